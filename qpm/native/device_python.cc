#include "qpm/native/device_python.h"

#include <algorithm>
#include <utility>

namespace qfw::qpm {
namespace {

const Failure kCancelledBefore{ErrorCode::kCancelled, "the task was cancelled before it ran"};

Result too_late(const Job& job) {
  Result r;
  if (job.stop.requested())
    r.failure = {ErrorCode::kCancelled, "the task was cancelled while it ran"};
  else
    r.failure = {ErrorCode::kDeadlineExceeded, "the task's deadline passed while it ran"};
  return r;
}

}  // namespace

bool given_up(const Job& job) noexcept { return job.stop.requested() || (job.deadline && now_ns() > job.deadline); }

PythonDevice::PythonDevice(DeviceInfo info, Code code, double patience_s, std::function<void()> stuck)
    : DescribedDevice(std::move(info)),
      code_(std::move(code)),
      patience_(patience_s),
      stuck_(std::move(stuck)),
      thread_([this] { run(); }) {
  if (stuck_ && patience_s > 0) watcher_ = std::thread([this] { watch(); });
}

PythonDevice::~PythonDevice() { stop(); }

void PythonDevice::start(std::vector<JobPtr>&& jobs) {
  std::vector<JobPtr> never_run;
  {
    std::lock_guard lock(mutex_);
    for (auto& job : jobs)  // a cancel may have come before its job
      if (stopping_ || job->stop.requested())
        never_run.push_back(std::move(job));
      else
        waiting_.push_back(std::move(job));
    wake_.notify_all();
  }
  give_back(std::move(never_run), kCancelledBefore);
}

void PythonDevice::cancel(const JobPtr& job) {
  std::unique_lock lock(mutex_);
  watch_wake_.notify_all();
  const auto found = std::find(waiting_.begin(), waiting_.end(), job);
  if (found == waiting_.end()) return;  // it runs: the code sees it by itself
  waiting_.erase(found);
  lock.unlock();
  give_back({job}, kCancelledBefore);
}

void PythonDevice::stop() {
  std::deque<JobPtr> never_run;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    never_run.swap(waiting_);
    for (const auto& job : running_) job->stop.request();
    wake_.notify_all();
    watch_wake_.notify_all();
  }
  give_back({never_run.begin(), never_run.end()}, {ErrorCode::kCancelled, "the runtime was stopped"});
  const auto join = [this] {
    if (thread_.joinable()) thread_.join();
    if (watcher_.joinable()) watcher_.join();
  };
  code_.away ? code_.away(join) : join();
}

void PythonDevice::run() {
  code_.thread_begins();
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) break;
    running_.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(waiting_.end()));
    waiting_.clear();
    ++batch_;
    const auto jobs = running_;
    watch_wake_.notify_all();
    lock.unlock();
    for (const auto& job : jobs) job->began = now_ns();
    std::vector<Result> results = code_.execute(jobs);
    const uint64_t ended = now_ns();
    std::vector<Finished> done;
    for (size_t i = 0; i < jobs.size(); ++i) {
      jobs[i]->ended = ended;
      if (given_up(*jobs[i])) results[i] = too_late(*jobs[i]);
      done.push_back({jobs[i], std::move(results[i])});
    }
    lock.lock();
    running_.clear();
    watch_wake_.notify_all();
    lock.unlock();
    host_->finished(std::move(done));
    lock.lock();
  }
  lock.unlock();
  code_.thread_ends();
}

// Sleeps until a batch runs, then looks a few times a second whether anybody still waits for it.
void PythonDevice::watch() {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    watch_wake_.wait(lock, [this] { return stopping_ || !running_.empty(); });
    const uint64_t batch = batch_;
    std::chrono::steady_clock::time_point since = std::chrono::steady_clock::time_point::max();
    while (!stopping_ && batch == batch_ && !running_.empty()) {
      const auto now = std::chrono::steady_clock::now();
      if (!std::all_of(running_.begin(), running_.end(), [](const JobPtr& j) { return given_up(*j); }))
        since = std::chrono::steady_clock::time_point::max();
      else if (since == std::chrono::steady_clock::time_point::max())
        since = now;
      else if (now - since > patience_)
        return stuck_();
      watch_wake_.wait_for(lock, 100ms);
    }
  }
}

void PythonDevice::give_back(std::vector<JobPtr>&& jobs, const Failure& failure) {
  std::vector<Finished> done;
  for (auto& job : jobs) {
    Result r;
    r.failure = failure;
    done.push_back({std::move(job), std::move(r)});
  }
  if (!done.empty()) host_->finished(std::move(done));
}

}  // namespace qfw::qpm
