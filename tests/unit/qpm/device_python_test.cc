// A device that is run by somebody else's code, here C++ in place of Python.
#include "qpm/native/device_python.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>

#include "tests/unit/qpm/fixture.h"

namespace qfw::qpm {
namespace {

using test::Client;
using test::counts_task;
using test::ghz;
using test::kPatience;

DeviceInfo described(const std::string& name, uint32_t capacity = 16) {
  DeviceInfo info;
  info.name = name;
  info.max_qubits = 30;
  info.max_shots = 1000;
  info.max_rows = 1000;
  info.capacity = capacity;
  info.outputs = {"counts"};
  return info;
}

class CodeTest : public ::testing::Test {
 protected:
  void SetUp() override { runtime = Runtime::make({.threads = 1}); }
  void TearDown() override { runtime->stop(); }

  PythonDevice::Code code(std::function<std::vector<Result>(const std::vector<JobPtr>&)> execute) {
    return {std::move(execute), [this] { ++begun; }, [this] { ++ended; }};
  }
  std::unique_ptr<Client> client() {
    auto c = std::make_unique<Client>(runtime->session());
    c->session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
    return c;
  }

  std::atomic<int> begun{0}, ended{0};
  std::shared_ptr<Runtime> runtime;
};

TEST_F(CodeTest, RunsBatchesOnOneThreadInOrder) {
  std::set<std::thread::id> threads;
  runtime->add_device(std::make_unique<PythonDevice>(described("code"), code([&](const std::vector<JobPtr>& jobs) {
                                                       threads.insert(std::this_thread::get_id());
                                                       std::vector<Result> out(jobs.size());
                                                       for (size_t i = 0; i < jobs.size(); ++i)
                                                         out[i].rows.resize(1),
                                                             out[i].rows[0].counts = {jobs[i]->work.id};
                                                       return out;
                                                     })));
  auto c = client();
  for (TaskId id = 1; id <= 50; ++id) c->submit(counts_task(id, ghz(2)));
  ASSERT_TRUE(c->wait(50));
  for (const auto& done : c->take()) {
    ASSERT_FALSE(done.result.failure) << done.result.failure.message;
    EXPECT_EQ(done.result.rows.at(0).counts.at(0), done.task);
    EXPECT_EQ(done.result.seed, done.task);
  }
  runtime->stop();
  EXPECT_EQ(threads.size(), 1u);
  EXPECT_EQ(begun, 1);
  EXPECT_EQ(ended, 1);
}

TEST_F(CodeTest, ATaskThatWaitsIsCancelledAtOnceAndOneThatRunsSeesIt) {
  std::mutex mutex;
  std::condition_variable entered;
  bool inside = false;
  runtime->add_device(std::make_unique<PythonDevice>(described("code"), code([&](const std::vector<JobPtr>& jobs) {
                                                       {
                                                         std::lock_guard lock(mutex);
                                                         inside = true;
                                                         entered.notify_all();
                                                       }
                                                       while (!given_up(*jobs[0])) std::this_thread::yield();
                                                       return std::vector<Result>(jobs.size());
                                                     })));
  auto c = client();
  c->submit(counts_task(1, ghz(2)));
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(entered.wait_for(lock, kPatience, [&] { return inside; }));
  }
  c->submit(counts_task(2, ghz(2)));
  const TaskId waiting = 2, running = 1;
  c->session->cancel({&waiting, 1});
  ASSERT_TRUE(c->wait(1));
  EXPECT_EQ(c->take().at(0).task, 2u);
  c->session->cancel({&running, 1});
  ASSERT_TRUE(c->wait(1));
  EXPECT_EQ(c->take().at(0).result.failure.code, ErrorCode::kCancelled);
}

TEST_F(CodeTest, WorkThatNobodyWaitsForIsReportedAsStuck) {
  std::mutex mutex;
  std::condition_variable changed;
  bool stuck = false;
  auto released = [&] {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kPatience, [&] { return stuck; });
  };
  runtime->add_device(std::make_unique<PythonDevice>(described("code"), code([&](const std::vector<JobPtr>& jobs) {
                                                       EXPECT_TRUE(
                                                           released());  // ends only once it was found to be stuck
                                                       return std::vector<Result>(jobs.size());
                                                     }),
                                                     0.05, [&] {
                                                       std::lock_guard lock(mutex);
                                                       stuck = true;
                                                       changed.notify_all();
                                                     }));
  auto c = client();
  Task t = counts_task(1, ghz(2));
  t.deadline_ns = 1'000'000;
  EXPECT_EQ(c->run(std::move(t)).failure.code, ErrorCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace qfw::qpm
