// The runtime in this process: completions, order, fairness, cancel, deadlines, limits, and its end.
#include "qpm/native/runtime.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <set>
#include <thread>

#include "tests/unit/qpm/fixture.h"

namespace qfw::qpm {
namespace {

using test::Client;
using test::counts_task;
using test::ghz;
using test::ManualDevice;

class RuntimeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    RuntimeOptions o;
    o.threads = 2;
    o.window = 64;
    o.max_shots = 1'000'000;
    runtime = Runtime::make(o);
    runtime->add_statevec();
    auto device = std::make_unique<ManualDevice>("manual");
    manual = device.get();
    runtime->add_device(std::move(device));
  }
  void TearDown() override { runtime->stop(); }

  static constexpr DeviceId kStatevec = 0, kManual = 1;
  std::shared_ptr<Runtime> runtime;
  ManualDevice* manual = nullptr;
};

TEST_F(RuntimeTest, RunsAndReports) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kStatevec}, Order::kParallel);
  Result r = c.run(counts_task(7, ghz(3), 1000));
  ASSERT_FALSE(r.failure) << r.failure.message;
  EXPECT_EQ(r.device, "statevec");
  EXPECT_EQ(r.seed, 7u);
  EXPECT_EQ(r.shots, 1000u);
  EXPECT_EQ(r.num_bits, 3u);
  ASSERT_EQ(r.rows.size(), 1u);
  ASSERT_EQ(r.rows[0].counts.size(), 2u);
  EXPECT_EQ(r.rows[0].counts[0] + r.rows[0].counts[1], 1000u);
  EXPECT_EQ(r.rows[0].count_keys, (std::vector<uint8_t>{0, 7}));
  EXPECT_GT(r.timing.execute_ns, 0u);
  EXPECT_EQ(r.timing.total_ns(), r.timing.queue_ns + r.timing.dispatch_ns + r.timing.execute_ns);
}

TEST_F(RuntimeTest, DrawnSeedIsReportedAndReproduces) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kStatevec}, Order::kParallel);
  Task t = counts_task(1, ghz(4), 500);
  t.outputs = kMemory;
  t.seed.reset();
  Result first = c.run(t);
  t.id = 2;
  t.seed = first.seed;
  Result second = c.run(t);
  ASSERT_EQ(first.rows.size(), 1u);
  EXPECT_EQ(first.rows[0].memory, second.rows.at(0).memory);
}

TEST_F(RuntimeTest, PartsOfASweepGiveTheBitsOfTheWhole) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kStatevec}, Order::kParallel);
  const auto part = [&](TaskId id, uint64_t first, uint32_t rows) {
    Task t = counts_task(id, ghz(4), 500);
    t.outputs = kMemory;
    t.seed = 9;
    t.bindings.rows = rows;
    t.first_row = first;
    return c.run(std::move(t));
  };
  const Result whole = part(1, 0, 5), first = part(2, 0, 2), second = part(3, 2, 3);
  ASSERT_EQ(whole.rows.size(), 5u);
  for (size_t i = 0; i < 5; ++i)
    EXPECT_EQ(whole.rows[i].memory, i < 2 ? first.rows.at(i).memory : second.rows.at(i - 2).memory);
  EXPECT_NE(whole.rows[0].memory, whole.rows[1].memory);
  Task t = counts_task(4, ghz(2));
  t.first_row = UINT64_MAX;
  EXPECT_EQ(c.run(std::move(t)).failure.code, ErrorCode::kInvalidArgument);
}

TEST_F(RuntimeTest, RanksThatADeviceDoesNotHaveAreRefused) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kStatevec}, Order::kParallel);
  Task t = counts_task(1, ghz(2));
  t.ranks = 1;
  EXPECT_FALSE(c.run(t).failure);
  t.ranks = 3;
  const Failure f = c.run(t).failure;
  EXPECT_EQ(f.code, ErrorCode::kUnsupported);
  EXPECT_NE(f.message.find("ranks 3"), std::string::npos) << f.message;
  EXPECT_EQ(runtime->devices().at(kStatevec).instances, 1u);
}

TEST_F(RuntimeTest, SweepRowsComeInOrder) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kStatevec}, Order::kParallel);
  Task t;
  t.id = 1;
  t.stream = 1;
  t.program = test::rotation();
  t.outputs = kExpectations;
  t.observables = {{{{1.0, {{0, program::Pauli::kZ}}}}}};
  t.bindings.rows = 5000;
  t.bindings.columns = 1;
  for (int i = 0; i < 5000; ++i) t.bindings.values.push_back(0.001 * i);
  Result r = c.run(t);
  ASSERT_FALSE(r.failure) << r.failure.message;
  ASSERT_EQ(r.rows.size(), 5000u);
  for (int i = 0; i < 5000; i += 97) EXPECT_NEAR(r.rows[i].expectations.at(0), std::cos(0.001 * i), 1e-12);
}

TEST_F(RuntimeTest, RefusalsAreTypedAndOthersGoOn) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kStatevec}, Order::kParallel);
  auto code = [&](auto change) {
    Task t = counts_task(1, ghz(2));
    change(t);
    return c.run(std::move(t)).failure.code;
  };
  EXPECT_EQ(code([](Task& t) { t.shots = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Task& t) { t.shots = 2'000'000; }), ErrorCode::kLimitExceeded);
  EXPECT_EQ(code([](Task& t) { t.outputs = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Task& t) { t.program = nullptr; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Task& t) { t.program = ghz(60); }), ErrorCode::kLimitExceeded);
  EXPECT_EQ(code([](Task& t) { t.program = ghz(40); }), ErrorCode::kResourceExhausted);
  EXPECT_EQ(code([](Task& t) { t.options["frobnicate"] = "1"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Task& t) { t.bindings.columns = 3; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Task& t) { t.bindings.rows = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Task& t) { t.outputs = kExpectations, t.shots = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Task& t) {
              t.outputs = kExpectations;
              t.observables = {{{{1.0, {{0, program::Pauli::kZ}}}}}};
            }),
            ErrorCode::kUnsupported);
  EXPECT_EQ(code([](Task& t) {
              t.program = test::rotation();
              t.outputs = kStatevector;
              t.bindings = {1, 1, {std::numeric_limits<double>::quiet_NaN()}};
            }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Task& t) { t.stream = 9; }), ErrorCode::kNotFound);
  EXPECT_EQ(code([](Task&) {}), ErrorCode::kOk);
}

TEST_F(RuntimeTest, SequentialStreamCompletesInOrder) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kStatevec}, Order::kSequential);
  std::vector<Task> tasks;
  for (TaskId i = 0; i < 60; ++i) tasks.push_back(counts_task(i, ghz(2 + (i * 7) % 9), i % 5 ? 10 : 0));
  c.session->submit(std::move(tasks));
  ASSERT_TRUE(c.wait(60));
  auto all = c.take();
  for (TaskId i = 0; i < 60; ++i) {
    EXPECT_EQ(all[i].task, i);
    EXPECT_EQ(all[i].result.failure.code, i % 5 ? ErrorCode::kOk : ErrorCode::kInvalidArgument);
  }
}

TEST_F(RuntimeTest, TwoSessionsShareADevice) {
  Client a(runtime->session()), b(runtime->session());
  for (Client* c : {&a, &b}) c->session->open_stream(1, std::vector<DeviceId>{kManual}, Order::kParallel);
  for (TaskId i = 0; i < 8; ++i) a.submit(counts_task(100 + i, ghz(2)));
  for (TaskId i = 0; i < 8; ++i) b.submit(counts_task(200 + i, ghz(2)));
  for (TaskId i = 0; i < 8; ++i) {
    manual->end(100 + i);  // fails the test when the other session's task is next twice
    manual->end(200 + i);
  }
  EXPECT_TRUE(a.wait(8));
  EXPECT_TRUE(b.wait(8));
}

TEST_F(RuntimeTest, CancelQueuedAndRunning) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kManual}, Order::kParallel);
  for (TaskId i = 1; i <= 3; ++i) c.submit(counts_task(i, ghz(2)));
  c.session->cancel(std::vector<TaskId>{2, 1});
  ASSERT_TRUE(c.wait(2));
  manual->end(3);
  ASSERT_TRUE(c.wait(3));
  for (auto& done : c.take())
    EXPECT_EQ(done.result.failure.code, done.task == 3 ? ErrorCode::kOk : ErrorCode::kCancelled);
}

TEST_F(RuntimeTest, CancelReachesTheKernel) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kStatevec}, Order::kParallel);
  Task t = counts_task(1, test::rotation(), 0);
  t.outputs = kStatevector;
  t.bindings.rows = 1'000'000;
  t.bindings.columns = 1;
  t.bindings.values.assign(1'000'000, 0.5);
  c.submit(t);
  c.session->cancel(std::vector<TaskId>{1});
  ASSERT_TRUE(c.wait(1));
  EXPECT_EQ(c.take()[0].result.failure.code, ErrorCode::kCancelled);
}

TEST_F(RuntimeTest, DeadlineQueuedAndRunning) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kManual}, Order::kParallel);
  for (TaskId i = 1; i <= 2; ++i) {
    Task t = counts_task(i, ghz(2));
    t.deadline_ns = 2'000'000;
    c.submit(std::move(t));
  }
  ASSERT_TRUE(c.wait(2));
  for (auto& done : c.take()) EXPECT_EQ(done.result.failure.code, ErrorCode::kDeadlineExceeded);
}

TEST_F(RuntimeTest, WindowIsKept) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kManual}, Order::kParallel);
  for (TaskId i = 0; i < 64; ++i) c.submit(counts_task(i, ghz(2)));
  try {
    c.submit(counts_task(64, ghz(2)));
    FAIL() << "the window was exceeded";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kResourceExhausted);
    EXPECT_TRUE(e.transient());
  }
  manual->end(0);
  ASSERT_TRUE(c.wait(1));
  c.submit(counts_task(65, ghz(2)));
  EXPECT_THROW(c.session->submit({}), Error);
}

TEST(RuntimeMemoryTest, TasksBeyondTheBytesAreRefusedUntilOthersEnd) {
  RuntimeOptions o;
  o.threads = 1;
  o.max_queue_bytes = 64 << 10;
  auto runtime = Runtime::make(o);
  auto device = std::make_unique<ManualDevice>("manual", 1);
  auto* manual = device.get();
  runtime->add_device(std::move(device));
  {
    Client c(runtime->session());
    c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
    for (TaskId id = 0; id < 20; ++id) c.submit(counts_task(id, ghz(2)));
    Task big = counts_task(100, ghz(2));
    big.observables = {{std::vector<program::PauliTerm>(4000, {1.0, {{0, program::Pauli::kZ}}})}};
    const Failure refused = c.run(big).failure;
    EXPECT_EQ(refused.code, ErrorCode::kResourceExhausted);
    EXPECT_TRUE(refused.transient);
    EXPECT_NE(refused.message.find("of the runtime's 65536"), std::string::npos) << refused.message;
    for (TaskId id = 0; id < 20; ++id) manual->end(id);
    ASSERT_TRUE(c.wait(20));
    for (auto& done : c.take()) EXPECT_FALSE(done.result.failure) << done.result.failure.message;
  }
  runtime->stop();
}

TEST_F(RuntimeTest, MeshSkipsDevicesThatCannot) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kManual, kStatevec}, Order::kParallel);
  Task t = counts_task(1, ghz(2), 2000);  // more shots than the first device takes
  EXPECT_EQ(c.run(t).device, "statevec");
}

TEST_F(RuntimeTest, FaultOfADeviceIsAnErrorOfItsTasksAlone) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kManual}, Order::kParallel);
  c.session->open_stream(2, std::vector<DeviceId>{kStatevec}, Order::kParallel);
  for (TaskId i = 1; i <= 2; ++i) c.submit(counts_task(i, ghz(2)));
  runtime->set_status(kManual, DeviceStatus::kFault, "on fire");
  ASSERT_TRUE(c.wait(1));
  auto queued = c.take();
  EXPECT_EQ(queued[0].task, 2u);
  EXPECT_EQ(queued[0].result.failure.code, ErrorCode::kUnavailable);
  EXPECT_NE(queued[0].result.failure.message.find("on fire"), std::string::npos);
  manual->end(1, {ErrorCode::kDevice, "smoke"});
  ASSERT_TRUE(c.wait(1));
  EXPECT_EQ(c.take()[0].result.failure.message, "smoke");
  EXPECT_FALSE(c.run(counts_task(3, ghz(2), 10, 2)).failure);
}

TEST_F(RuntimeTest, StopCompletesEverythingOnce) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kManual}, Order::kParallel);
  c.session->open_stream(2, std::vector<DeviceId>{kStatevec}, Order::kSequential);
  for (TaskId i = 0; i < 30; ++i) c.submit(counts_task(i, ghz(2)));
  std::vector<Task> tasks;
  for (TaskId i = 30; i < 60; ++i) tasks.push_back(counts_task(i, ghz(12), 100'000, 2));
  c.session->submit(std::move(tasks));
  runtime->stop();
  std::set<TaskId> seen;
  for (auto& done : c.take()) EXPECT_TRUE(seen.insert(done.task).second) << done.task;
  EXPECT_EQ(seen.size(), 60u);
  EXPECT_THROW(c.submit(counts_task(99, ghz(2))), Error);
  EXPECT_THROW(runtime->session(), Error);
  runtime->stop();
}

TEST_F(RuntimeTest, ManyClientsHammer) {
  std::atomic<int> wrong{0};
  auto client = [&](int seed) {
    Client c(runtime->session());
    c.session->open_stream(1, std::vector<DeviceId>{kStatevec}, Order::kParallel);
    c.session->open_stream(2, std::vector<DeviceId>{kStatevec}, Order::kSequential);
    for (int round = 0; round < 20; ++round) {
      std::vector<Task> tasks;
      for (TaskId i = 0; i < 16; ++i) tasks.push_back(counts_task(i, ghz(2 + (seed + i) % 5), 20, 1 + i % 2));
      c.session->submit(std::move(tasks));
      if (round % 3 == 0) c.session->cancel(std::vector<TaskId>{3, 8, 15});
      while (c.session->help()) {
      }
      if (!c.wait(16)) ++wrong;
      std::set<TaskId> seen;
      for (auto& done : c.take()) {
        seen.insert(done.task);
        const auto code = done.result.failure.code;
        if (code != ErrorCode::kOk && code != ErrorCode::kCancelled) ++wrong;
      }
      if (seen.size() != 16) ++wrong;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back(client, i);
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
  const RuntimeStats s = runtime->stats();
  EXPECT_EQ(s.submitted, 8u * 20 * 16);
  EXPECT_EQ(s.submitted, s.completed + s.failed);
  EXPECT_EQ(s.sessions, 0u);
}

TEST_F(RuntimeTest, SmallTaskCompletesInsideSubmit) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{kStatevec}, Order::kParallel);
  c.submit(counts_task(1, ghz(2), 10));
  EXPECT_EQ(c.count(), 1u);
}

}  // namespace
}  // namespace qfw::qpm
