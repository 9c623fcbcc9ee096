// A device in another process, played by a second runtime behind a socket: results, death, fast deaths, refusal to
// start.
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "qpm/native/device_worker.h"
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
    info.capacity = 4;
    WorkerDevice::Process process;
    process.start = [this] { return start(); };
    process.last_words = [] { return std::string("it sank"); };
    WorkerDevice::Policy policy;
    policy.rest = std::chrono::milliseconds(50);
    runtime->add_device(std::make_unique<WorkerDevice>(info, process, policy));
  }
  void TearDown() override {
    runtime->stop();
    kill();
    worker->stop();
  }

  std::string start() {
    if (refusal) refusal.raise();
    server = std::make_unique<GrpcServer>(worker, "unix:" + folder / std::to_string(++starts) + ".sock");
    return server->address();
  }
  void kill() {
    if (!server) return;
    const std::string path = server->address().substr(5);
    server.reset();
    unlink(path.c_str());
  }

  test::Folder folder;
  std::shared_ptr<Runtime> worker, runtime;
  ManualDevice* inner = nullptr;
  std::unique_ptr<GrpcServer> server;
  std::atomic<int> starts{0};
  Failure refusal;
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

TEST_F(WorkerTest, DeathLosesWhatRanAndTheNextTaskStartsAnother) {
  Client c(runtime->session());
  c.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  for (TaskId i = 1; i <= 2; ++i) c.submit(counts_task(i, ghz(2)));
  auto held = inner->take(2);
  kill();
  ASSERT_TRUE(c.wait(2));
  for (auto& done : c.take()) {
    EXPECT_EQ(done.result.failure.code, ErrorCode::kDeviceLost);
    EXPECT_TRUE(done.result.failure.transient);
    EXPECT_NE(done.result.failure.message.find("it sank"), std::string::npos);
  }
  for (auto& j : held) inner->give_back(j, {});
  c.submit(counts_task(3, ghz(2)));
  held = inner->take(1);
  ASSERT_EQ(held.size(), 1u);
  inner->give_back(held[0], {});
  ASSERT_TRUE(c.wait(1));
  EXPECT_FALSE(c.take()[0].result.failure);
  EXPECT_EQ(starts, 2);
}

TEST_F(WorkerTest, ThreeRefusalsPutItIntoFaultForAWhile) {
  refusal = {ErrorCode::kUnsupported, "no licence"};
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
