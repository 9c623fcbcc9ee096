// Sessions that outlive their runtime: servers are ended and begun anew under them, at the same address or another.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string>

#include "qpm/native/server_grpc.h"
#include "tests/unit/qpm/fixture.h"

namespace qfw::qpm {
namespace {

using test::Client;
using test::counts_task;
using test::ghz;
using test::ManualDevice;

// A runtime with a device "manual" behind a socket; dies with everything in it.
struct Daemon {
  Daemon(const std::string& address, bool manual_first, uint32_t window = 64) {
    RuntimeOptions o;
    o.threads = 1;
    o.window = window;
    runtime = Runtime::make(o);
    auto device = std::make_unique<ManualDevice>("manual", 8);
    manual = device.get();
    if (!manual_first) runtime->add_statevec();
    runtime->add_device(std::move(device));
    if (manual_first) runtime->add_statevec();
    server = std::make_unique<GrpcServer>(runtime, address);
  }
  ~Daemon() {
    server->stop(0.0);
    unlink(server->address().substr(5).c_str());
    for (auto& job : taken)
      if (!job->returned) manual->give_back(job, {});
    runtime->stop();
  }
  // Waits for `n` tasks that have started, in the order of their ids.
  std::vector<JobPtr> take(size_t n) {
    auto jobs = manual->take(n);
    std::sort(jobs.begin(), jobs.end(), [](const auto& a, const auto& b) { return a->task < b->task; });
    taken.insert(taken.end(), jobs.begin(), jobs.end());
    return jobs;
  }
  std::shared_ptr<Runtime> runtime;
  ManualDevice* manual = nullptr;
  std::unique_ptr<GrpcServer> server;
  std::vector<JobPtr> taken;
};

class ResumeTest : public ::testing::Test {
 protected:
  void SetUp() override { begin(); }
  void TearDown() override { daemon.reset(); }

  void begin(bool manual_first = false, uint32_t window = 64) {
    const std::string at = "unix:" + folder / std::to_string(++begun) + ".sock";
    daemon = std::make_unique<Daemon>(at, manual_first, window);
    std::lock_guard lock(mutex);
    seen = {false, true, at};
  }
  void end(bool gone = false) {
    {
      std::lock_guard lock(mutex);
      seen = {gone, !gone, ""};
    }
    daemon.reset();
  }
  std::shared_ptr<Session> connect(double reconnect_s = 60.0) {
    ConnectOptions o;
    o.timeout_s = 20.0;
    o.reconnect_s = reconnect_s;
    o.locate = [this] {
      std::lock_guard lock(mutex);
      return seen;
    };
    return connect_session(daemon->server->address(), o);
  }

  test::Folder folder;
  int begun = 0;
  std::unique_ptr<Daemon> daemon;
  std::mutex mutex;
  Sighting seen;
};

TEST_F(ResumeTest, WhatIsUnfinishedRunsAgainAndCompletesOnce) {
  Client c(connect());
  c.session->open_stream(1, std::vector<DeviceId>{1}, Order::kParallel);
  for (TaskId i = 1; i <= 6; ++i) c.submit(counts_task(i, ghz(2)));
  auto held = daemon->take(6);
  ASSERT_EQ(held.size(), 6u);
  daemon->manual->give_back(held[0], {});
  ASSERT_TRUE(c.wait(1));
  end();
  begin(true);  // elsewhere, and with its devices in another order
  held = daemon->take(5);
  ASSERT_EQ(held.size(), 5u);
  EXPECT_EQ(held[0]->task, 2u);
  EXPECT_EQ(held[0]->work.program->hash(), ghz(2)->hash());
  for (auto& job : held) daemon->manual->give_back(job, {});
  ASSERT_TRUE(c.wait(6));
  std::set<TaskId> done;
  for (auto& completion : c.take()) {
    EXPECT_FALSE(completion.result.failure) << completion.result.failure.message;
    EXPECT_TRUE(done.insert(completion.task).second);
  }
  EXPECT_EQ(done.size(), 6u);
  EXPECT_EQ(c.session->endpoint(), daemon->server->address());
  EXPECT_EQ(c.session->devices()[1].name, "statevec") << "the list is the runtime's";
  EXPECT_EQ(c.session->devices()[0].id, 1u) << "ids are the session's";
}

TEST_F(ResumeTest, AnAbsentSeedIsTheSameInBothRuns) {
  Client c(connect());
  c.session->open_stream(1, std::vector<DeviceId>{1}, Order::kParallel);
  Task t = counts_task(1, ghz(2));
  t.seed.reset();
  c.submit(std::move(t));
  auto held = daemon->take(1);
  ASSERT_EQ(held.size(), 1u);
  const uint64_t seed = held[0]->seed;
  end();
  begin();
  held = daemon->take(1);
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0]->seed, seed);
  daemon->manual->give_back(held[0], {});
  ASSERT_TRUE(c.wait(1));
  EXPECT_EQ(c.take()[0].result.seed, seed);
}

TEST_F(ResumeTest, SequentialStreamsKeepTheirOrderOverManyDeaths) {
  Client c(connect());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kSequential);
  TaskId next = 0;
  for (int round = 0; round < 8; ++round) {
    std::vector<Task> tasks;
    for (int i = 0; i < 8; ++i) tasks.push_back(counts_task(++next, ghz(3), 10));
    c.session->submit(std::move(tasks));
    end();
    begin(round % 2);
    ASSERT_TRUE(c.wait(next)) << "round " << round;
  }
  const auto all = c.take();
  ASSERT_EQ(all.size(), next);
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].task, i + 1);
    EXPECT_FALSE(all[i].result.failure) << all[i].result.failure.message;
  }
}

TEST_F(ResumeTest, CallsDuringTheOutageWaitOrAnswer) {
  Client c(connect());
  c.session->open_stream(1, std::vector<DeviceId>{1}, Order::kParallel);
  c.submit(counts_task(1, ghz(2)));
  ASSERT_EQ(daemon->take(1).size(), 1u);
  end();
  c.submit(counts_task(2, ghz(2)));
  c.submit(counts_task(3, ghz(2)));
  EXPECT_THROW(c.submit(counts_task(3, ghz(2))), Error) << "an id in use";
  c.session->cancel(std::vector<TaskId>{2});
  ASSERT_TRUE(c.wait(1));
  EXPECT_EQ(c.take()[0].result.failure.code, ErrorCode::kCancelled);
  Task late = counts_task(4, ghz(2));
  late.deadline_ns = 1'000'000;
  c.submit(std::move(late));
  ASSERT_TRUE(c.wait(1));
  EXPECT_EQ(c.take()[0].result.failure.code, ErrorCode::kDeadlineExceeded);
  std::vector<DeviceInfo> devices;
  std::thread asks([&] {
    c.session->open_stream(2, std::vector<DeviceId>{0}, Order::kParallel);
    devices = c.session->devices();
  });
  begin();
  asks.join();
  EXPECT_EQ(devices.size(), 2u);
  auto held = daemon->take(2);
  ASSERT_EQ(held.size(), 2u);
  for (auto& job : held) daemon->manual->give_back(job, {});
  ASSERT_TRUE(c.wait(2));
  c.take();
  EXPECT_FALSE(c.run(counts_task(5, ghz(2), 10, 2)).failure);
}

TEST_F(ResumeTest, ARunThatWasEndedLosesEverythingAtOnce) {
  Client c(connect());
  c.session->open_stream(1, std::vector<DeviceId>{1}, Order::kParallel);
  for (TaskId i = 1; i <= 3; ++i) c.submit(counts_task(i, ghz(2)));
  ASSERT_EQ(daemon->take(3).size(), 3u);
  end(true);
  ASSERT_TRUE(c.wait(3));
  for (auto& done : c.take()) EXPECT_EQ(done.result.failure.code, ErrorCode::kConnectionLost);
  EXPECT_THROW(c.submit(counts_task(4, ghz(2))), Error);
  EXPECT_THROW(c.session->devices(), Error);
}

TEST_F(ResumeTest, WhoNeverComesBackIsGivenUpInTime) {
  Client c(connect(0.2));
  c.session->open_stream(1, std::vector<DeviceId>{1}, Order::kParallel);
  c.submit(counts_task(1, ghz(2)));
  ASSERT_EQ(daemon->take(1).size(), 1u);
  end();
  ASSERT_TRUE(c.wait(1));
  const auto failure = c.take()[0].result.failure;
  EXPECT_EQ(failure.code, ErrorCode::kConnectionLost);
  EXPECT_NE(failure.message.find("no runtime came back within"), std::string::npos) << failure.message;
}

TEST_F(ResumeTest, ADifferentRuntimeIsRefusedWithTheReason) {
  for (const bool small : {false, true}) {
    Client c(connect());
    c.session->open_stream(1, std::vector<DeviceId>{1}, Order::kParallel);
    c.submit(counts_task(1, ghz(2)));
    ASSERT_EQ(daemon->take(1).size(), 1u);
    end();
    if (small) {
      begin(false, 8);
    } else {  // one that lacks the device
      const std::string at = "unix:" + folder / "other.sock";
      auto other = Runtime::make({});
      other->add_statevec();
      GrpcServer server(other, at);
      {
        std::lock_guard lock(mutex);
        seen = {false, true, at};
      }
      ASSERT_TRUE(c.wait(1));
      server.stop(0.0);
      unlink((folder / "other.sock").c_str());
      begin();
    }
    ASSERT_TRUE(c.wait(1));
    const auto failure = c.take()[0].result.failure;
    EXPECT_EQ(failure.code, ErrorCode::kConnectionLost);
    EXPECT_NE(failure.message.find(small ? "window of 8" : "no device 'manual'"), std::string::npos) << failure.message;
  }
}

TEST_F(ResumeTest, ClosingDuringAnOutageCancels) {
  auto c = std::make_unique<Client>(connect());
  c->session->open_stream(1, std::vector<DeviceId>{1}, Order::kParallel);
  for (TaskId i = 1; i <= 3; ++i) c->submit(counts_task(i, ghz(2)));
  ASSERT_EQ(daemon->take(3).size(), 3u);
  end();
  c->session->close();
  const auto all = c->take();
  ASSERT_EQ(all.size(), 3u);
  for (auto& done : all) EXPECT_EQ(done.result.failure.code, ErrorCode::kCancelled);
  EXPECT_THROW(c->submit(counts_task(4, ghz(2))), Error);
}

}  // namespace
}  // namespace qfw::qpm
