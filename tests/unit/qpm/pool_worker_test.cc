// Instances in another process, played by a second runtime behind a socket: results, cancels, death, the killer,
// refusal to start, no slot, giving one up.
#include "qpm/native/pool_worker.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "qpm/native/device_pool.h"
#include "qpm/native/server_grpc.h"
#include "tests/unit/qpm/fixture.h"

namespace qfw::qpm {
namespace {

using test::Client;
using test::counts_task;
using test::ghz;
using test::ManualDevice;

class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    worker = Runtime::make();
    auto device = std::make_unique<ManualDevice>("inner", 8);
    inner = device.get();
    worker->add_device(std::move(device));
    runtime = Runtime::make();
    DeviceInfo info = inner->info();
    info.name = "outer";
    PoolWorker::Process process;
    process.start = [this](uint32_t) { return start(); };
    process.stop = [this] {
      kill();
      ++stops;
    };
    process.last_words = [] { return std::string("it sank"); };
    PoolDevice::Options options;
    options.policy.rest = 50 * Pool::kMs;
    options.policy.retry_min = Pool::kMs;
    std::vector<std::unique_ptr<PoolMember>> members;
    members.push_back(std::make_unique<PoolWorker>("outer", process));
    auto made = std::make_unique<PoolDevice>(info, std::move(members), options);
    pool = made.get();
    runtime->add_device(std::move(made));
  }
  void TearDown() override {
    runtime->stop();
    kill();
    worker->stop();
  }

  std::string start() {
    std::lock_guard lock(server_mutex);
    if (refusal) refusal.raise();
    server = std::make_unique<GrpcServer>(worker, "unix:" + folder / std::to_string(++starts) + ".sock");
    return server->address();
  }
  void kill() {
    std::lock_guard lock(server_mutex);
    if (!server) return;
    const std::string path = server->address().substr(5);
    server.reset();
    unlink(path.c_str());
  }

  test::Folder folder;
  std::shared_ptr<Runtime> worker, runtime;
  ManualDevice* inner = nullptr;
  std::unique_ptr<GrpcServer> server;
  PoolDevice* pool = nullptr;
  std::mutex server_mutex;
  std::atomic<int> starts{0}, stops{0};
  Failure refusal;  // under server_mutex
};

TEST_F(WorkerTest, ForwardsAndReturns) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  c.submit(counts_task(7, ghz(2)));
  auto held = inner->take(1);
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0]->seed, 7u);
  EXPECT_EQ(held[0]->work.program->hash(), ghz(2)->hash());
  inner->give_back(held[0], {});
  ASSERT_TRUE(c.wait(1));
  const Result r = std::move(c.take()[0].result);
  EXPECT_FALSE(r.failure) << r.failure.message;
  EXPECT_EQ(r.shots, 100u);
  EXPECT_GT(r.timing.execute_ns, 0u);
  c.submit(counts_task(8, ghz(2)));
  held = inner->take(1);
  inner->give_back(held.at(0), {ErrorCode::kDevice, "too hot"});
  ASSERT_TRUE(c.wait(1));
  EXPECT_EQ(c.take()[0].result.failure.message, "too hot");
  EXPECT_EQ(starts, 1);
}

TEST_F(WorkerTest, CancelIsPassedOn) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  c.submit(counts_task(1, ghz(2)));
  auto held = inner->take(1);
  ASSERT_EQ(held.size(), 1u);
  c.session->cancel(std::vector<TaskId>{1});
  const auto end = std::chrono::steady_clock::now() + test::kPatience;
  while (!held[0]->stop.requested() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_TRUE(held[0]->stop.requested());
  inner->give_back(held[0], {ErrorCode::kCancelled, "stopped"});
  ASSERT_TRUE(c.wait(1));
  EXPECT_EQ(c.take()[0].result.failure.code, ErrorCode::kCancelled);
}

TEST_F(WorkerTest, WhatADeathTookRunsAgain) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  Task sweep = counts_task(1, ghz(2));
  sweep.observables = {};
  sweep.bindings.rows = 3;
  c.submit(std::move(sweep));
  auto held = inner->take(1);
  ASSERT_EQ(held.size(), 1u);
  kill();
  for (auto& j : held) inner->give_back(j, {});  // to nobody
  held = inner->take(1);
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0]->seed, 1u);
  EXPECT_EQ(held[0]->work.bindings.rows, 3u);
  inner->give_back(held[0], {});
  ASSERT_TRUE(c.wait(1));
  EXPECT_FALSE(c.take()[0].result.failure);
  EXPECT_EQ(starts, 2);
  EXPECT_EQ(pool->stats().redispatched, 1u);
}

TEST_F(WorkerTest, ATaskThatKillsIsFound) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  c.submit(counts_task(1, ghz(2)));
  for (int death = 0; death < 3; ++death) {
    auto held = inner->take(1);
    ASSERT_EQ(held.size(), 1u) << death;
    kill();
    inner->give_back(held[0], {});
  }
  ASSERT_TRUE(c.wait(1));
  const Failure f = c.take()[0].result.failure;
  EXPECT_EQ(f.code, ErrorCode::kDeviceLost);
  EXPECT_NE(f.message.find("it sank"), std::string::npos) << f.message;
  EXPECT_EQ(starts, 3);
}

TEST_F(WorkerTest, AnInstanceKnownToBeLostIsGivenUp) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  c.submit(counts_task(1, ghz(2)));
  auto held = inner->take(1);
  pool->lost("unix:/nowhere");
  pool->lost("unix:" + folder / "1.sock");
  const auto again = inner->take(1);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_NE(again[0], held.at(0));
  inner->give_back(again[0], {});
  inner->give_back(held[0], {});  // to nobody
  ASSERT_TRUE(c.wait(1));
  EXPECT_FALSE(c.take()[0].result.failure);
}

TEST_F(WorkerTest, NoSlotIsWaitedForAndAnIdleOneIsGivenBack) {
  {
    std::lock_guard lock(server_mutex);
    refusal = {ErrorCode::kResourceExhausted, "no slot", true, 0.1};
  }
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  c.submit(counts_task(1, ghz(2)));
  const auto until = [](auto done) {
    const auto end = std::chrono::steady_clock::now() + test::kPatience;
    while (!done() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return done();
  };
  EXPECT_TRUE(until([&] { return pool->stats().starts >= 2; }));
  EXPECT_EQ(pool->stats().deaths, 0u);
  {
    std::lock_guard lock(server_mutex);
    refusal = {};
  }
  auto held = inner->take(1);
  ASSERT_EQ(held.size(), 1u);
  inner->give_back(held[0], {});
  ASSERT_TRUE(c.wait(1));
  EXPECT_EQ(pool->instances(), 1u);
  EXPECT_EQ(pool->yield_idle(1), 1u);
  EXPECT_TRUE(until([&] { return pool->instances() == 0; }));
  EXPECT_GE(stops, 1);
}

TEST_F(WorkerTest, ThreeRefusalsPutItIntoFaultForAWhile) {
  {
    std::lock_guard lock(server_mutex);
    refusal = {ErrorCode::kUnsupported, "no licence"};
  }
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  bool fault = false;
  for (TaskId i = 1; i < 100 && !fault; ++i) {
    const Failure f = c.run(counts_task(i, ghz(2))).failure;
    EXPECT_NE(f.message.find("no licence"), std::string::npos) << f.message;
    fault = f.code == ErrorCode::kUnavailable;
    if (!fault) {
      EXPECT_EQ(f.code, ErrorCode::kDevice);
    }
  }
  EXPECT_TRUE(fault);
  const auto end = std::chrono::steady_clock::now() + test::kPatience;
  while (runtime->devices()[0].status != DeviceStatus::kOnline && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  EXPECT_EQ(runtime->devices()[0].status, DeviceStatus::kOnline);
}

}  // namespace
}  // namespace qfw::qpm
