// Several members as one device: spread, woken when needed, cancelled where they are, in fault together.
#include "qpm/native/device_pool.h"

#include <gtest/gtest.h>

#include "tests/unit/qpm/fixture.h"

namespace qfw::qpm {
namespace {

using test::Client;
using test::counts_task;
using test::ghz;
using test::ManualDevice;

class Member : public ManualDevice {
 public:
  using ManualDevice::ManualDevice;
  void fault(bool on) {
    host_->set_status(id_, on ? DeviceStatus::kFault : DeviceStatus::kOnline, on ? "it sank" : "");
  }
};

class PoolTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<std::unique_ptr<Device>> devices;
    for (auto*& m : members) {
      auto device = std::make_unique<Member>("member", 64);
      m = device.get();
      devices.push_back(std::move(device));
    }
    runtime = Runtime::make({.threads = 1});
    const DeviceInfo info = members[0]->info();
    runtime->add_device(std::make_unique<PoolDevice>(info, std::move(devices)));
    client = std::make_unique<Client>(runtime->session());
    client->session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  }
  void TearDown() override {
    client.reset();
    runtime->stop();
  }
  void submit(TaskId first, TaskId last) {
    std::vector<Task> tasks;
    for (TaskId id = first; id <= last; ++id) tasks.push_back(counts_task(id, ghz(2)));
    client->session->submit(std::move(tasks));
  }

  Member* members[3];
  std::shared_ptr<Runtime> runtime;
  std::unique_ptr<Client> client;
};

TEST_F(PoolTest, OneTaskAtATimeStaysWithOneMember) {
  for (TaskId id = 1; id <= 5; ++id) {
    submit(id, id);
    members[0]->end(id);
    ASSERT_TRUE(client->wait(id));
  }
  EXPECT_TRUE(members[1]->take(0).empty());
}

TEST_F(PoolTest, ManyAreSpreadEvenly) {
  submit(1, 30);
  std::vector<JobPtr> held;
  for (auto* m : members) {
    auto jobs = m->take(10);
    EXPECT_EQ(jobs.size(), 10u);
    for (auto& j : jobs) m->give_back(std::move(j), {});
  }
  ASSERT_TRUE(client->wait(30));
  client->take();
  submit(31, 31);  // all are idle again: the first one
  members[0]->end(31);
  ASSERT_TRUE(client->wait(1));
}

TEST_F(PoolTest, CancelFindsTheMember) {
  submit(1, 9);
  const TaskId last = 9;
  client->session->cancel({&last, 1});
  ASSERT_TRUE(client->wait(1));
  EXPECT_EQ(client->take().at(0).result.failure.code, ErrorCode::kCancelled);
  size_t left = 0;
  for (auto* m : members)
    for (auto& job : m->take(0)) {
      m->give_back(std::move(job), {});
      ++left;
    }
  EXPECT_EQ(left, 8u);
}

TEST_F(PoolTest, AMemberInFaultIsAvoidedAndAllInFaultAreTheDevicesFault) {
  submit(1, 5);  // two in use
  members[0]->fault(true);
  EXPECT_NE(runtime->devices().at(0).status, DeviceStatus::kFault);
  submit(6, 6);
  members[1]->end(6);
  members[1]->fault(true);
  const DeviceInfo info = runtime->devices().at(0);
  EXPECT_EQ(info.status, DeviceStatus::kFault);
  EXPECT_EQ(info.status_reason, "it sank");
  members[0]->fault(false);
  EXPECT_NE(runtime->devices().at(0).status, DeviceStatus::kFault);
}

}  // namespace
}  // namespace qfw::qpm
