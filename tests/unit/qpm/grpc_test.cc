// The Runtime service over a unix socket: round trips, large results, a server that dies, sessions beyond the limit.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <set>
#include <string>
#include <thread>

#include "qpm/native/server_grpc.h"
#include "tests/unit/qpm/fixture.h"

namespace qfw::qpm {
namespace {

using test::Client;
using test::counts_task;
using test::ghz;
using test::ManualDevice;

class GrpcTest : public ::testing::Test {
 protected:
  void SetUp() override {
    RuntimeOptions o;
    o.threads = 2;
    o.window = 512;
    o.max_sessions = 9;
    runtime = Runtime::make(o);
    runtime->add_statevec();
    auto device = std::make_unique<ManualDevice>("manual", 8);
    manual = device.get();
    runtime->add_device(std::move(device));
    wire::Limits limits;
    limits.program_bytes = 64 << 10;  // so that programs are forgotten, and put again
    limits.task_bytes = 4 << 20;
    server = std::make_unique<GrpcServer>(runtime, "unix:" + folder / "r.sock", limits);
  }
  void TearDown() override {
    server->stop(0.0);
    runtime->stop();
  }
  std::shared_ptr<Session> connect() { return connect_session(server->address(), {.timeout_s = 20.0}); }

  test::Folder folder;
  std::shared_ptr<Runtime> runtime;
  ManualDevice* manual = nullptr;
  std::unique_ptr<GrpcServer> server;
};

TEST_F(GrpcTest, RoundTripAndTiming) {
  Client c(connect());
  struct stat s;
  ASSERT_EQ(stat((folder / "r.sock").c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777, 0600u);
  EXPECT_EQ(c.session->window(), 512u);
  ASSERT_EQ(c.session->devices().size(), 2u);
  EXPECT_EQ(c.session->devices()[0].name, "statevec");
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  const auto before = now_ns();
  Result r = c.run(counts_task(5, ghz(3), 1000));
  const auto wall = now_ns() - before;
  ASSERT_FALSE(r.failure) << r.failure.message;
  EXPECT_EQ(r.rows.at(0).count_keys, (std::vector<uint8_t>{0, 7}));
  EXPECT_EQ(r.seed, 5u);
  EXPECT_EQ(r.device, "statevec");
  EXPECT_LE(r.timing.total_ns(), wall);
  EXPECT_GE(r.timing.total_ns(), r.timing.execute_ns);
}

TEST_F(GrpcTest, LargeStateVectorComesWhole) {
  Client c(connect());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  Task t = counts_task(1, ghz(22, false), 0);
  t.outputs = kStatevector | kProbabilities;
  Result r = c.run(std::move(t));
  ASSERT_FALSE(r.failure) << r.failure.message;
  const auto& v = r.rows.at(0).statevector;
  ASSERT_EQ(v.size(), 1u << 22);
  EXPECT_NEAR(std::abs(v.front()), std::sqrt(0.5), 1e-12);
  EXPECT_NEAR(std::abs(v.back()), std::sqrt(0.5), 1e-12);
  EXPECT_EQ(v[12345], program::Complex(0.0));
  ASSERT_EQ(r.rows[0].probabilities.size(), 1u << 22);
  EXPECT_NEAR(r.rows[0].probabilities.back(), 0.5, 1e-12);
}

TEST_F(GrpcTest, LargeBindingsAndManyRows) {
  Client c(connect());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  constexpr uint32_t kRows = 200'000;  // 1.6 MB of bindings, more than one message of rows
  Task t;
  t.id = 1;
  t.stream = 1;
  t.program = test::rotation();
  t.outputs = kExpectations | kProbabilities;
  t.observables = {{{{2.0, {{0, program::Pauli::kZ}}}, {1.0, {}}}}};
  t.bindings.rows = kRows;
  t.bindings.columns = 1;
  for (uint32_t i = 0; i < kRows; ++i) t.bindings.values.push_back(1e-4 * i);
  Result r = c.run(std::move(t));
  ASSERT_FALSE(r.failure) << r.failure.message;
  ASSERT_EQ(r.rows.size(), kRows);
  for (uint32_t i = 0; i < kRows; i += 9973)
    EXPECT_NEAR(r.rows[i].expectations.at(0), 2 * std::cos(1e-4 * i) + 1, 1e-10);
}

TEST_F(GrpcTest, SequentialStreamKeepsOrderAndProgramsAreForgottenAlike) {
  Client c(connect());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kSequential);
  std::vector<program::ProgramPtr> programs;
  for (uint32_t i = 0; i < 60; ++i) {  // together far more than the table holds
    program::ProgramBuilder b(2, 2);
    const uint32_t zero = 0, one = 1;
    for (uint32_t k = 0; k < 100 + i; ++k) b.gate(program::GateId::kX, {&zero, 1}, {});
    b.measure(zero, 0);
    b.measure(one, 1);
    programs.push_back(b.finish());
  }
  TaskId next = 0;
  for (int round = 0; round < 5; ++round) {
    std::vector<Task> tasks;
    for (int i = 0; i < 80; ++i) tasks.push_back(counts_task(next++, programs[(i * i + round * 7) % 60], 10));
    c.session->submit(std::move(tasks));
    ASSERT_TRUE(c.wait(80));
    auto all = c.take();
    for (int i = 0; i < 80; ++i) {
      EXPECT_EQ(all[i].task, next - 80 + i);
      ASSERT_FALSE(all[i].result.failure) << all[i].result.failure.message;
      const uint8_t parity = ((i * i + round * 7) % 60) % 2;
      EXPECT_EQ(all[i].result.rows.at(0).count_keys, (std::vector<uint8_t>{parity}));
    }
  }
}

TEST_F(GrpcTest, RefusalsAndCancel) {
  Client c(connect());
  EXPECT_THROW(c.session->open_stream(1, std::vector<DeviceId>{77}, Order::kParallel), Error);
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  c.session->open_stream(2, std::vector<DeviceId>{1}, Order::kParallel);
  Task none = counts_task(1, nullptr);
  EXPECT_EQ(c.run(none).failure.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(c.run(counts_task(2, ghz(2), 0)).failure.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(c.run(counts_task(3, ghz(2), 10, 9)).failure.code, ErrorCode::kNotFound);
  c.submit(counts_task(4, ghz(2), 10, 2));
  EXPECT_THROW(c.submit(counts_task(4, ghz(2), 10, 2)), Error);
  c.session->cancel(std::vector<TaskId>{4});
  ASSERT_TRUE(c.wait(1));
  EXPECT_EQ(c.take()[0].result.failure.code, ErrorCode::kCancelled);
  std::vector<Task> many;
  for (TaskId i = 0; i < 513; ++i) many.push_back(counts_task(100 + i, ghz(2)));
  EXPECT_THROW(c.session->submit(std::move(many)), Error);
  EXPECT_FALSE(c.run(counts_task(5, ghz(2))).failure);
}

TEST_F(GrpcTest, WhatIsTooLargeIsRefusedAndTheSessionGoesOn) {
  Client c(connect());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  program::ProgramBuilder b(1, 1);
  const uint32_t zero = 0;
  for (int i = 0; i < 20'000; ++i) b.gate(program::GateId::kX, {&zero, 1}, {});
  b.measure(0, 0);
  const Failure program = c.run(counts_task(1, b.finish())).failure;
  EXPECT_EQ(program.code, ErrorCode::kLimitExceeded);
  EXPECT_NE(program.message.find("allowed at most 65536"), std::string::npos) << program.message;
  Task t = counts_task(2, test::rotation());
  t.bindings = {1'000'000, 1, std::vector<double>(1'000'000, 0.5)};
  const Failure bindings = c.run(std::move(t)).failure;
  EXPECT_EQ(bindings.code, ErrorCode::kLimitExceeded);
  EXPECT_NE(bindings.message.find("bindings of 8000000 bytes"), std::string::npos) << bindings.message;
  EXPECT_FALSE(c.run(counts_task(3, ghz(2))).failure);
}

TEST_F(GrpcTest, ServerEndingLosesEveryOutstandingTask) {
  Client c(connect());
  c.session->open_stream(1, std::vector<DeviceId>{1}, Order::kParallel);
  for (TaskId i = 0; i < 20; ++i) c.submit(counts_task(i, ghz(2)));
  auto held = manual->take(8);
  EXPECT_GE(held.size(), 8u);
  server->stop(0.0);
  ASSERT_TRUE(c.wait(20));
  std::set<TaskId> seen;
  for (auto& done : c.take()) {
    seen.insert(done.task);
    EXPECT_EQ(done.result.failure.code, ErrorCode::kConnectionLost);
    EXPECT_TRUE(done.result.failure.transient);
  }
  EXPECT_EQ(seen.size(), 20u);
  EXPECT_THROW(c.submit(counts_task(50, ghz(2))), Error);
  EXPECT_THROW(c.session->devices(), Error);
  for (auto& j : held) manual->give_back(j, {});
}

TEST_F(GrpcTest, AGracefulStopTakesNothingNewAndFinishesTheRest) {
  Client c(connect());
  c.session->open_stream(1, std::vector<DeviceId>{1}, Order::kSequential);
  c.session->open_stream(2, std::vector<DeviceId>{0}, Order::kParallel);
  for (TaskId i = 1; i <= 3; ++i) c.submit(counts_task(i, ghz(2)));
  auto held = manual->take(1);
  ASSERT_EQ(held.size(), 1u);
  ASSERT_FALSE(c.run(counts_task(99, ghz(2), 10, 2)).failure);  // what was sent before it has been read by now
  std::thread stopping([&] { server->stop(600.0); });
  Failure refusal;
  for (TaskId i = 100; !refusal; ++i) refusal = c.run(counts_task(i, ghz(2), 10, 2)).failure;
  EXPECT_EQ(refusal.code, ErrorCode::kUnavailable);
  EXPECT_TRUE(refusal.transient);
  manual->give_back(held[0], {});
  for (TaskId i = 2; i <= 3; ++i) manual->end(i);
  ASSERT_TRUE(c.wait(3));
  TaskId next = 0;
  for (const auto& done : c.take()) {
    EXPECT_EQ(done.task, ++next);
    EXPECT_FALSE(done.result.failure) << done.result.failure.message;
  }
  stopping.join();
  EXPECT_THROW(connect(), Error);
  EXPECT_THROW(c.submit(counts_task(50, ghz(2))), Error);
}

TEST_F(GrpcTest, AHurriedStopTellsEveryTaskThatItIsNotDone) {
  Client c(connect());
  c.session->open_stream(1, std::vector<DeviceId>{1}, Order::kSequential);
  c.session->open_stream(2, std::vector<DeviceId>{1}, Order::kParallel);
  for (TaskId i = 1; i <= 9; ++i) c.submit(counts_task(i, ghz(2)));
  for (TaskId i = 10; i <= 29; ++i) c.submit(counts_task(i, ghz(2), 10, 2));
  auto held = manual->take(8);  // and never given back before the end
  std::thread stopping([&] { server->stop(3600.0); });
  server->hurry();
  ASSERT_TRUE(c.wait(29));
  std::set<TaskId> seen;
  TaskId ordered = 0;
  for (const auto& done : c.take()) {
    EXPECT_TRUE(seen.insert(done.task).second);
    EXPECT_EQ(done.result.failure.code, ErrorCode::kUnavailable);
    if (done.stream == 1) {
      EXPECT_EQ(done.task, ++ordered);
    }
  }
  EXPECT_EQ(seen.size(), 29u);
  stopping.join();
  for (auto& j : held) manual->give_back(j, {});
}

TEST_F(GrpcTest, ClosingASessionCancelsItsTasks) {
  auto c = std::make_unique<Client>(connect());
  c->session->open_stream(1, std::vector<DeviceId>{1}, Order::kParallel);
  c->submit(counts_task(1, ghz(2)));
  auto held = manual->take(1);
  ASSERT_EQ(held.size(), 1u);
  c->session->close();
  auto all = c->take();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].result.failure.code, ErrorCode::kCancelled);
  c.reset();
  const auto end = std::chrono::steady_clock::now() + test::kPatience;
  while (!held[0]->stop.requested() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_TRUE(held[0]->stop.requested());
  manual->give_back(held[0], {});
}

TEST_F(GrpcTest, NoServerAndTooManySessions) {
  try {
    connect_session("unix:" + folder / "nothing.sock", {.timeout_s = 5.0});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kUnavailable);
  }
  std::vector<std::shared_ptr<Session>> all;
  for (int i = 0; i < 9; ++i) all.push_back(connect());
  try {
    connect();
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kResourceExhausted);
  }
}

TEST_F(GrpcTest, AJobIsReadOverTheWireWhenItsClientHasGone) {
  const JobSpec spec{"job", std::string("\0bytes", 6)};
  {
    Client first(connect());
    first.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel, &spec);
    first.session->open_stream(2, std::vector<DeviceId>{1}, Order::kParallel);
    Task state = counts_task(1, ghz(17, false), 0);
    state.outputs = kStatevector;  // 2 MiB: in chunks
    first.submit(state);
    for (TaskId t = 2; t < 100; ++t) first.submit(counts_task(t, ghz(3)));
    first.submit(counts_task(100, ghz(3), 10, 2));  // waits for ever, in a stream without a name
  }
  Client second(connect());
  const JobInfo info = second.session->attach_job(4, "job");
  EXPECT_EQ(info.metadata, spec.metadata);
  EXPECT_EQ(info.task_ids.size(), 99u);
  ASSERT_TRUE(second.wait(99));
  std::set<TaskId> seen;
  for (const auto& c : second.take()) {
    seen.insert(c.task);
    EXPECT_EQ(c.stream, 4u);
    EXPECT_FALSE(c.result.failure) << c.result.failure.message;
    if (c.task == 1) {
      EXPECT_EQ(c.result.rows.at(0).statevector.size(), 1u << 17);
      EXPECT_NEAR(std::abs(c.result.rows.at(0).statevector.back()), std::sqrt(0.5), 1e-12);
    }
  }
  EXPECT_EQ(seen.size(), 99u);
  EXPECT_EQ(second.session->jobs({}).size(), 1u);
  EXPECT_THROW(second.session->attach_job(5, "other"), Error);
  second.session->forget_job("job");
  EXPECT_TRUE(second.session->jobs({}).empty());
  second.session->forget_job("job");  // no answer, and none is needed
}

TEST_F(GrpcTest, EightClientsAtOnce) {
  std::atomic<int> wrong{0};
  auto client = [&](uint32_t seed) {
    Client c(connect());
    c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
    TaskId next = 0;
    for (int round = 0; round < 10; ++round) {
      std::vector<Task> tasks;
      for (uint32_t i = 0; i < 40; ++i) tasks.push_back(counts_task(next++, ghz(2 + (seed + i) % 6), 50));
      c.session->submit(std::move(tasks));
      if (!c.wait(40)) ++wrong;
      for (auto& done : c.take()) wrong += static_cast<bool>(done.result.failure);
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 8; ++i) threads.emplace_back(client, i);
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace qfw::qpm
