// What the tests of this room share: programs, and a client that collects completions.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "program/native/builder.h"
#include "qpm/api/native/session.h"
#include "qpm/native/device.h"
#include "qpm/native/runtime.h"

namespace qfw::qpm::test {

inline constexpr auto kPatience = std::chrono::seconds(60);  // a hang fails the test; nothing passes by waiting

// A directory of a test's own with a path short enough for sockets; goes with all that is in it.
struct Folder {
  Folder() {
    char made[] = "/tmp/qfw-test-XXXXXX";
    if (!mkdtemp(made)) throw std::runtime_error("no directory for a test");
    path = made;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return path + "/" + name; }

  std::string path;
};

// GHZ over n qubits; measured when asked.
inline program::ProgramPtr ghz(uint32_t n, bool measured = true) {
  program::ProgramBuilder b(n, measured ? n : 0);
  const uint32_t zero = 0;
  b.gate(program::GateId::kH, {&zero, 1}, {});
  for (uint32_t q = 1; q < n; ++q) {
    const uint32_t pair[] = {q - 1, q};
    b.gate(program::GateId::kCx, pair, {});
  }
  if (measured)
    for (uint32_t q = 0; q < n; ++q) b.measure(q, q);
  return b.finish();
}

// ry(theta) on one qubit.
inline program::ProgramPtr rotation() {
  program::ProgramBuilder b(1, 0);
  const uint32_t p = b.parameter("theta"), zero = 0;
  const program::Angle a{0.0, 1.0, p};
  b.gate(program::GateId::kRy, {&zero, 1}, {&a, 1});
  return b.finish();
}

inline Task counts_task(TaskId id, program::ProgramPtr p, uint64_t shots = 100, StreamId stream = 1) {
  Task t;
  t.id = id;
  t.stream = stream;
  t.program = std::move(p);
  t.shots = shots;
  t.seed = id;
  return t;
}

// Collects a session's completions in order of arrival.
class Client {
 public:
  explicit Client(std::shared_ptr<Session> s) : session(std::move(s)) {
    session->set_sink([this](std::vector<Completion>&& done) {
      std::lock_guard lock(mutex_);
      for (auto& c : done) all_.push_back(std::move(c));
      arrived_.notify_all();
    });
  }
  ~Client() { session->close(); }

  void submit(Task t) {
    std::vector<Task> one;
    one.push_back(std::move(t));
    session->submit(std::move(one));
  }

  // Waits until `n` completions have arrived in all; false when they do not.
  bool wait(size_t n) {
    std::unique_lock lock(mutex_);
    return arrived_.wait_for(lock, kPatience, [&] { return all_.size() >= n; });
  }
  size_t count() {
    std::lock_guard lock(mutex_);
    return all_.size();
  }
  std::vector<Completion> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(all_, {});
  }
  Result run(Task t) {
    submit(std::move(t));
    EXPECT_TRUE(wait(1));
    auto all = take();
    return all.empty() ? Result{} : std::move(all[0].result);
  }

  std::shared_ptr<Session> session;

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Completion> all_;
};

// A device whose jobs end when the test says so.
class ManualDevice : public Device {
 public:
  explicit ManualDevice(std::string name, uint32_t capacity = 1) {
    info_.name = std::move(name);
    info_.max_qubits = 30;
    info_.max_shots = 1000;
    info_.max_rows = 1000;
    info_.capacity = capacity;
    info_.outputs = {"counts"};
  }
  const DeviceInfo& info() const noexcept override { return info_; }
  void start(std::vector<JobPtr>&& jobs) override {
    std::vector<JobPtr> cancelled;
    {
      std::lock_guard lock(mutex_);
      for (auto& j : jobs) (j->stop.requested() ? cancelled : held_).push_back(std::move(j));
      changed_.notify_all();
    }
    for (auto& j : cancelled) give_back(std::move(j), {ErrorCode::kCancelled, "stopped"});
  }
  void cancel(const JobPtr& job) override {
    if (JobPtr held = find(job->task)) give_back(std::move(held), {ErrorCode::kCancelled, "stopped"});
  }
  void stop() override {
    for (auto& j : take(0)) give_back(std::move(j), {ErrorCode::kCancelled, "stopped"});
  }

  // Ends the job with this task id, once it is here.
  void end(TaskId task, Failure failure = {}) {
    JobPtr job;
    {
      std::unique_lock lock(mutex_);
      ASSERT_TRUE(changed_.wait_for(lock, kPatience, [&] { return (job = find_locked(task)) != nullptr; }))
          << "task " << task << " never started";
    }
    give_back(std::move(job), std::move(failure));
  }
  void give_back(JobPtr job, Failure failure) {
    std::vector<Finished> one;
    Result r;
    r.failure = std::move(failure);
    one.push_back({std::move(job), std::move(r)});
    host_->finished(std::move(one));
  }
  // All jobs that are here, once there are as many; they are the test's to give back.
  std::vector<JobPtr> take(size_t at_least) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return held_.size() >= at_least; });
    return std::exchange(held_, {});
  }

 private:
  JobPtr find_locked(TaskId task) {
    for (auto it = held_.begin(); it != held_.end(); ++it) {
      if ((*it)->task != task) continue;
      JobPtr job = *it;
      held_.erase(it);
      return job;
    }
    return nullptr;
  }
  JobPtr find(TaskId task) {
    std::lock_guard lock(mutex_);
    return find_locked(task);
  }
  DeviceInfo info_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<JobPtr> held_;
};

}  // namespace qfw::qpm::test
