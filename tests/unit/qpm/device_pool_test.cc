// A device over a pool, with members that need no process: spreading, deaths, cancels, deadlines, sweeps in parts,
// ranks by memory, and everything at once on several threads.
#include "qpm/native/device_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "simenv/native/simulator.h"
#include "tests/unit/qpm/fixture.h"

namespace qfw::qpm {
namespace {

using test::Client;
using test::counts_task;
using test::ghz;

// One row of a job, as an instance would make it: told by its seed alone.
RowResult row_of(const Job& job, uint32_t row) {
  RowResult r;
  r.counts = {simenv::derive_seed(job.seed, job.work.first_row + row)};
  r.count_keys = {0};
  return r;
}

// A seat whose instances are a thread. It answers by itself, or holds what it gets until it is told.
class FakeMember : public PoolMember {
 public:
  enum class Mode { kAnswer, kHold };

  FakeMember() : thread_([this] { work(); }) {}
  ~FakeMember() override { stop(); }

  void wake(uint32_t life, uint32_t ranks) override {
    tell([=, this] { raise(life, ranks); });
  }
  void run(uint32_t life, std::vector<JobPtr>&& jobs) override {
    tell([this, life, jobs = std::move(jobs)] {
      if (life != life_ || !up_) return;
      std::lock_guard lock(held_mutex_);
      for (const auto& j : jobs) held_.push_back(j);
      held_changed_.notify_all();
    });
    tell([this] { answer(); });
  }
  void cancel(uint32_t life, const JobPtr& job) override {
    tell([this, life, job] {
      if (life == life_ && up_ && forget(job)) give(job, {ErrorCode::kCancelled, "the task was cancelled"});
    });
  }
  void lower(uint32_t life) override {
    tell([this, life] {
      if (life == life_ && std::exchange(up_, false)) owner_->down(id_);
    });
  }
  void lost(const std::string&) override { die(); }
  void stop() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }

  // ---- the test's side

  void die() {
    tell([this] {
      if (!std::exchange(up_, false)) return;
      std::vector<JobPtr> inside;
      {
        std::lock_guard lock(held_mutex_);
        inside = std::exchange(held_, {});
      }
      owner_->died(id_, inside, "it sank");
    });
  }
  std::vector<JobPtr> take(size_t at_least) {
    std::unique_lock lock(held_mutex_);
    held_changed_.wait_for(lock, test::kPatience, [&] { return held_.size() >= at_least; });
    return held_;
  }
  void release() {
    mode = Mode::kAnswer;
    tell([this] { answer(); });
  }

  std::atomic<Mode> mode{Mode::kAnswer};
  std::atomic<bool> full{false};  // no slot
  std::atomic<TaskId> killer{0};  // the seed of a job that no instance survives
  std::atomic<uint32_t> served{0}, ranks{0};

 private:
  void tell(std::function<void()> what) {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    todo_.push_back(std::move(what));
    changed_.notify_all();
  }
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || !todo_.empty(); });
      if (stopping_) return;
      auto what = std::move(todo_.front());
      todo_.pop_front();
      lock.unlock();
      what();
      lock.lock();
    }
  }
  void raise(uint32_t life, uint32_t wanted) {
    life_ = life;
    ranks = wanted;
    if (full) return owner_->refused(id_, {ErrorCode::kResourceExhausted, "no slot", true, 0.1});
    up_ = true;
    owner_->up(id_);
  }
  bool forget(const JobPtr& job) {
    std::lock_guard lock(held_mutex_);
    return std::erase(held_, job) > 0;
  }
  void answer() {
    while (up_ && mode == Mode::kAnswer) {
      JobPtr job;
      {
        std::lock_guard lock(held_mutex_);
        if (held_.empty()) return;
        if (killer && std::any_of(held_.begin(), held_.end(), [&](const JobPtr& j) { return j->seed == killer; })) {
          up_ = false;
          const auto inside = std::exchange(held_, {});
          return owner_->died(id_, inside, "it sank");
        }
        job = held_.front();
        held_.erase(held_.begin());
      }
      ++served;
      give(job, {});
    }
  }
  void give(const JobPtr& job, Failure failure) {
    Finished f{job, {}};
    job->began = job->ended = now_ns();
    f.result.failure = std::move(failure);
    if (!f.result.failure)
      for (uint32_t i = 0; i < job->work.bindings.rows; ++i) f.result.rows.push_back(row_of(*job, i));
    std::vector<Finished> one;
    one.push_back(std::move(f));
    owner_->returned(id_, std::move(one));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> todo_;
  bool stopping_ = false;
  uint32_t life_ = 0;  // the thread's, as the next
  bool up_ = false;
  std::mutex held_mutex_;
  std::condition_variable held_changed_;
  std::vector<JobPtr> held_;
  std::thread thread_;
};

class PoolDeviceTest : public ::testing::Test {
 protected:
  void make(size_t count, PoolDevice::Options options = {}, bool split = false) {
    options.policy.retry_min = Pool::kMs;
    options.policy.retry_max = 10 * Pool::kMs;
    std::vector<std::unique_ptr<PoolMember>> seats;
    for (size_t i = 0; i < count; ++i) {
      auto seat = std::make_unique<FakeMember>();
      members.push_back(seat.get());
      seats.push_back(std::move(seat));
    }
    DeviceInfo info;
    info.name = "pool";
    info.max_qubits = 40;
    info.max_shots = 1000;
    info.max_rows = 100'000;
    info.outputs = {"counts"};
    info.split_rows = split;
    RuntimeOptions one;
    one.threads = 1;
    runtime = Runtime::make(one);
    auto device = std::make_unique<PoolDevice>(info, std::move(seats), std::move(options));
    pool = device.get();
    runtime->add_device(std::move(device));
    client = std::make_unique<Client>(runtime->session());
    client->session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  }
  void TearDown() override {
    client.reset();
    if (runtime) runtime->stop();
  }
  void submit(TaskId first, TaskId last) {
    std::vector<Task> tasks;
    for (TaskId id = first; id <= last; ++id) tasks.push_back(counts_task(id, ghz(2)));
    client->session->submit(std::move(tasks));
  }
  template <typename Done>
  void await(Done done) {
    const auto end = std::chrono::steady_clock::now() + test::kPatience;
    while (!done() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    EXPECT_TRUE(done());
  }

  std::vector<FakeMember*> members;
  PoolDevice* pool = nullptr;
  std::shared_ptr<Runtime> runtime;
  std::unique_ptr<Client> client;
};

TEST_F(PoolDeviceTest, RunsTasksAndCountsInstances) {
  make(3);
  EXPECT_EQ(runtime->devices().at(0).instances, 0u);
  submit(1, 200);
  ASSERT_TRUE(client->wait(200));
  std::set<TaskId> seen;
  for (const auto& c : client->take()) {
    EXPECT_FALSE(c.result.failure) << c.result.failure.message;
    EXPECT_TRUE(seen.insert(c.task).second);
  }
  EXPECT_EQ(seen.size(), 200u);
  EXPECT_GE(runtime->devices().at(0).instances, 1u);
  EXPECT_EQ(pool->stats().running + pool->stats().backlog, 0u);
}

TEST_F(PoolDeviceTest, ADeathLosesNoTask) {
  make(1);
  members[0]->mode = FakeMember::Mode::kHold;
  submit(1, 3);
  members[0]->take(1);
  members[0]->mode = FakeMember::Mode::kAnswer;
  members[0]->die();
  ASSERT_TRUE(client->wait(3));
  for (const auto& c : client->take()) EXPECT_FALSE(c.result.failure) << c.result.failure.message;
  EXPECT_EQ(pool->stats().deaths, 1u);
}

TEST_F(PoolDeviceTest, TheKillerAloneIsLost) {
  make(2);
  for (auto* m : members) m->killer = 5;
  submit(1, 9);
  ASSERT_TRUE(client->wait(9));
  for (const auto& c : client->take()) {
    EXPECT_EQ(c.result.failure.code, c.task == 5 ? ErrorCode::kDeviceLost : ErrorCode::kOk) << c.task;
    if (c.task != 5) continue;
    EXPECT_NE(c.result.failure.message.find("it sank"), std::string::npos);
    EXPECT_FALSE(c.result.failure.transient);
  }
  EXPECT_EQ(pool->stats().deaths, 3u);
  EXPECT_NE(runtime->devices().at(0).status, DeviceStatus::kFault);
}

TEST_F(PoolDeviceTest, CancelReachesWhatWaitsAndWhatRuns) {
  make(1);
  members[0]->full = true;  // nothing can start
  submit(1, 2);
  const TaskId one = 1, two = 2;
  client->session->cancel({&one, 1});
  ASSERT_TRUE(client->wait(1));
  EXPECT_EQ(client->take().at(0).result.failure.code, ErrorCode::kCancelled);
  members[0]->mode = FakeMember::Mode::kHold;
  members[0]->full = false;
  EXPECT_EQ(members[0]->take(1).size(), 1u);
  client->session->cancel({&two, 1});
  ASSERT_TRUE(client->wait(1));
  EXPECT_EQ(client->take().at(0).result.failure.code, ErrorCode::kCancelled);
}

TEST_F(PoolDeviceTest, DeadlinesPassWhileNothingCanStart) {
  make(1);
  members[0]->full = true;
  Task t = counts_task(1, ghz(2));
  t.deadline_ns = 20'000'000;
  EXPECT_EQ(client->run(std::move(t)).failure.code, ErrorCode::kDeadlineExceeded);
}

TEST_F(PoolDeviceTest, SlotsThatComeBackAreUsed) {
  make(2);
  for (auto* m : members) m->full = true;
  submit(1, 5);
  await([&] { return pool->stats().starts > 0; });
  EXPECT_EQ(client->count(), 0u);
  for (auto* m : members) m->full = false;
  runtime->slots_freed();
  ASSERT_TRUE(client->wait(5));
  EXPECT_EQ(pool->yield_idle(2), pool->stats().up);
  await([&] { return pool->instances() == 0; });
}

TEST_F(PoolDeviceTest, ASweepInPartsGivesTheRowsOfTheWhole) {
  make(4, {}, true);
  Task t = counts_task(7, ghz(2));
  t.bindings.rows = 1000;  // estimated at 1 ms each
  const Result r = client->run(t);
  ASSERT_FALSE(r.failure) << r.failure.message;
  ASSERT_EQ(r.rows.size(), 1000u);
  for (uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(r.rows[i].counts.at(0), simenv::derive_seed(7, i)) << i;
  EXPECT_EQ(r.device, "pool");
  uint32_t parts = 0;
  for (auto* m : members) parts += m->served;
  EXPECT_GT(parts, 4u);
  EXPECT_LE(parts, 32u);
}

TEST_F(PoolDeviceTest, DeathsInTheMiddleOfASweepCostNothing) {
  make(3, {}, true);
  for (auto* m : members) m->mode = FakeMember::Mode::kHold;
  Task t = counts_task(7, ghz(2));
  t.bindings.rows = 300;
  client->submit(std::move(t));
  members[0]->take(1);
  members[0]->die();
  for (auto* m : members) m->release();
  ASSERT_TRUE(client->wait(1));
  const Result r = std::move(client->take().at(0).result);
  ASSERT_FALSE(r.failure) << r.failure.message;
  ASSERT_EQ(r.rows.size(), 300u);
  for (uint32_t i = 0; i < 300; ++i) ASSERT_EQ(r.rows[i].counts.at(0), simenv::derive_seed(7, i)) << i;
}

TEST_F(PoolDeviceTest, ACancelledSweepStopsItsParts) {
  make(2, {}, true);
  for (auto* m : members) m->mode = FakeMember::Mode::kHold;
  Task t = counts_task(7, ghz(2));
  t.bindings.rows = 500;
  client->submit(std::move(t));
  members[0]->take(1);
  const TaskId id = 7;
  client->session->cancel({&id, 1});
  ASSERT_TRUE(client->wait(1));
  EXPECT_EQ(client->take().at(0).result.failure.code, ErrorCode::kCancelled);
  await([&] { return pool->stats().running + pool->stats().backlog == 0; });
}

TEST_F(PoolDeviceTest, RanksAreChosenByMemory) {
  PoolDevice::Options options;
  options.ranks.max_ranks = 4;
  options.ranks.node_bytes = 1000;
  options.ranks.rank_bytes = 1000;
  options.ranks.needed = [](const Task& task) { return uint64_t{16} << task.program->num_qubits(); };
  make(4, options);
  EXPECT_EQ(runtime->devices().at(0).max_ranks, 4u);
  const auto ranks_of = [&](uint32_t qubits, uint32_t asked = 0) {
    Task t = counts_task(1, ghz(qubits));
    t.ranks = asked;
    const Result r = client->run(std::move(t));
    EXPECT_FALSE(r.failure) << r.failure.message;
    uint32_t most = 0;
    for (auto* m : members) most = std::max(most, m->ranks.load());
    return most;
  };
  EXPECT_EQ(ranks_of(5), 1u);     // 512 bytes
  EXPECT_EQ(ranks_of(6), 2u);     // 1024, and a quarter more
  EXPECT_EQ(ranks_of(5, 4), 4u);  // as asked
  Task t = counts_task(2, ghz(8));
  const Failure f = client->run(t).failure;
  EXPECT_EQ(f.code, ErrorCode::kResourceExhausted);
  EXPECT_NE(f.message.find("8 qubits need 4096 bytes"), std::string::npos) << f.message;
  EXPECT_NE(f.message.find("4 ranks have 4000 bytes"), std::string::npos) << f.message;
  t.ranks = 8;
  EXPECT_EQ(client->run(t).failure.code, ErrorCode::kLimitExceeded);
  t.ranks = 3;
  EXPECT_EQ(client->run(t).failure.code, ErrorCode::kUnsupported);
}

TEST_F(PoolDeviceTest, StopWithEverythingInTheAir) {
  make(2);
  members[0]->mode = members[1]->mode = FakeMember::Mode::kHold;
  submit(1, 40);
  members[0]->take(1);
  runtime->stop();
  ASSERT_TRUE(client->wait(40));
  for (const auto& c : client->take()) EXPECT_EQ(c.result.failure.code, ErrorCode::kCancelled);
}

// Clients, cancels, deaths, refusals and yields at the same time: every task completes exactly once.
TEST_F(PoolDeviceTest, EverythingAtOnce) {
  PoolDevice::Options options;
  options.policy.idle = 5 * Pool::kMs;
  options.policy.quantum = Pool::kMs;
  options.policy.deaths = 1000;
  options.policy.fast_deaths = 1u << 30;
  make(4, options, true);
  constexpr TaskId kTasks = 2000;
  std::atomic<bool> done{false};
  std::thread trouble([&] {
    std::mt19937 draw(1);
    while (!done) {
      FakeMember* m = members[draw() % members.size()];
      const auto what = draw() % 4;
      if (what == 0) m->die();
      if (what == 1) m->full = !m->full;
      if (what == 2) pool->yield_idle(1);
      if (what == 3) runtime->slots_freed();
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
    for (auto* m : members) m->full = false;
  });
  std::set<TaskId> cancelled;
  std::mt19937 draw(2);
  for (TaskId id = 1; id <= kTasks; ++id) {
    Task t = counts_task(id, ghz(2));
    if (draw() % 50 == 0) t.bindings.rows = 100;
    client->submit(std::move(t));
    if (draw() % 20 == 0) {
      cancelled.insert(id);
      client->session->cancel({&id, 1});
    }
    if (id % 500 == 0) {
      EXPECT_TRUE(client->wait(id));
    }
  }
  EXPECT_TRUE(client->wait(kTasks));
  done = true;
  trouble.join();
  std::set<TaskId> seen;
  for (const auto& c : client->take()) {
    EXPECT_TRUE(seen.insert(c.task).second) << c.task << " completed twice";
    if (!c.result.failure) continue;
    EXPECT_EQ(c.result.failure.code, ErrorCode::kCancelled) << c.result.failure.message;
    EXPECT_EQ(cancelled.count(c.task), 1u);
  }
  EXPECT_EQ(seen.size(), kTasks);
}

}  // namespace
}  // namespace qfw::qpm
