#include "qpm/native/device_worker.h"

#include <algorithm>
#include <utility>

namespace qfw::qpm {
namespace {

constexpr StreamId kStream = 1;

}  // namespace

WorkerDevice::WorkerDevice(DeviceInfo info, Process process, Policy policy)
    : DescribedDevice(std::move(info)), process_(std::move(process)), policy_(policy) {}

WorkerDevice::~WorkerDevice() { stop(); }

void WorkerDevice::start(std::vector<JobPtr>&& jobs) {
  std::vector<Finished> done;
  {
    std::lock_guard lock(mutex_);
    for (auto& job : jobs) {
      if (stopping_ || job->stop.requested())
        done.push_back(failed(std::move(job), cancelled()));
      else
        waiting_.push_back(std::move(job));
    }
    if (!waiting_.empty() && !thread_.joinable()) thread_ = std::thread([this] { run(); });
    changed_.notify_one();
  }
  if (!done.empty()) host_->finished(std::move(done));
}

void WorkerDevice::cancel(const JobPtr& job) {
  std::vector<Finished> done;
  {
    std::lock_guard lock(mutex_);
    auto found = std::find(waiting_.begin(), waiting_.end(), job);
    if (found == waiting_.end()) {
      cancels_.push_back(job);
      changed_.notify_one();
      return;
    }
    waiting_.erase(found);
    done.push_back(failed(job, cancelled()));
  }
  host_->finished(std::move(done));
}

void WorkerDevice::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  const auto join = [this] {
    if (thread_.joinable()) thread_.join();
  };
  process_.away ? process_.away(join) : join();
}

void WorkerDevice::run() {
  Lock lock(mutex_);
  while (!stopping_) {
    if (dead_) {
      bury(lock);
    } else if (!cancels_.empty()) {
      forward_cancels(lock);
    } else if (!waiting_.empty() && !session_) {
      raise(lock);
    } else if (!waiting_.empty()) {
      forward(lock);
    } else if (resting_ && Clock::now() >= rest_until_) {
      resting_ = false;
      lock.unlock();
      host_->set_status(id_, DeviceStatus::kOnline, "");
      lock.lock();
    } else if (resting_) {
      changed_.wait_until(lock, rest_until_);
    } else {
      changed_.wait(lock);
    }
  }
  end(lock, std::exchange(waiting_, {}), cancelled());
  lock.unlock();
  session_.reset();  // completes what ran there
  lock.lock();
  end(lock, std::exchange(lost_, {}), cancelled());
}

// Starts a process and connects to it.
void WorkerDevice::raise(Lock& lock) {
  lock.unlock();
  Failure failure;
  std::shared_ptr<Session> made;
  try {
    const std::string address = process_.start();
    made = connect_session(address, {.timeout_s = policy_.connect_s});
    made->set_sink([this](std::vector<Completion>&& done) { receive(std::move(done)); });
    made->open_stream(kStream, std::vector<DeviceId>{0}, Order::kParallel);
    made->subscribe({}, event_bit(EventKind::kCalibration) | event_bit(EventKind::kNoise),
                    [this](std::vector<Event>&& events) {
                      for (auto& e : events) host_->emit(id_, std::move(e));
                    });
  } catch (const Error& e) {
    failure = {ErrorCode::kDevice, "device '" + info().name + "' could not be started: " + e.what(), e.transient(),
               e.retry_after_s()};
  }
  lock.lock();
  if (failure) {
    end(lock, std::exchange(waiting_, {}), failure);
    return count_death(lock, true, failure.message);
  }
  session_ = std::move(made);
  served_ = false;
  born_ = Clock::now();
  dead_ = false;
}

Task WorkerDevice::forwarded(Job& job, TaskId id) const {
  Task t;
  t.id = id;
  t.stream = kStream;
  t.program = job.work.program;
  t.bindings = std::move(job.work.bindings);  // nobody else needs them any more
  t.observables = std::move(job.work.observables);
  t.shots = job.work.shots;
  t.outputs = job.work.outputs;
  t.probability_qubits = job.work.probability_qubits;
  t.seed = job.seed;
  t.gradient_parameters = job.work.gradient_parameters;
  t.options = job.work.options;
  t.first_row = job.work.first_row;
  t.ranks = job.work.ranks;
  if (job.deadline) {
    const uint64_t now = now_ns();
    t.deadline_ns = job.deadline > now ? job.deadline - now : 1;
  }
  return t;
}

void WorkerDevice::forward(Lock& lock) {
  std::vector<Task> tasks;
  const uint64_t now = now_ns();
  for (auto& job : std::exchange(waiting_, {})) {
    const TaskId id = next_id_++;
    job->began = now;
    tasks.push_back(forwarded(*job, id));
    running_.emplace(id, std::move(job));
  }
  std::vector<TaskId> ids;
  for (const auto& t : tasks) ids.push_back(t.id);
  lock.unlock();
  bool gone = false;
  try {
    session_->submit(std::move(tasks));
  } catch (const Error&) {  // the process had died before: none was taken
    gone = true;
  }
  lock.lock();
  const bool idle_death = std::exchange(served_, !gone);
  if (!gone) return;
  dead_ = true;
  for (size_t i = 0; i < ids.size(); ++i) {
    auto node = running_.extract(ids[i]);
    if (!node) continue;
    JobPtr job = std::move(node.mapped());
    if (!idle_death) {
      lost_.push_back(std::move(job));
      continue;
    }
    job->work.bindings = std::move(tasks[i].bindings);  // it died with nothing to do: the next process gets them
    job->work.observables = std::move(tasks[i].observables);
    waiting_.push_back(std::move(job));
  }
}

void WorkerDevice::forward_cancels(Lock& lock) {
  const std::vector<JobPtr> jobs = std::exchange(cancels_, {});
  std::vector<TaskId> ids;
  for (const auto& [id, job] : running_)
    if (std::find(jobs.begin(), jobs.end(), job) != jobs.end()) ids.push_back(id);
  if (ids.empty() || !session_) return;
  lock.unlock();
  session_->cancel(ids);
  lock.lock();
}

void WorkerDevice::receive(std::vector<Completion>&& completions) {
  std::vector<Finished> done;
  const uint64_t now = now_ns();
  {
    std::lock_guard lock(mutex_);
    for (auto& c : completions) {
      auto node = running_.extract(c.task);
      if (!node) continue;
      JobPtr job = std::move(node.mapped());
      job->ended = now;
      const auto code = c.result.failure.code;
      if (code == ErrorCode::kConnectionLost || code == ErrorCode::kUnavailable || stopping_) {
        lost_.push_back(std::move(job));
        dead_ = true;
      } else {
        c.result.timing = {};
        done.push_back({std::move(job), std::move(c.result)});
      }
    }
    if (!done.empty()) fast_deaths_ = 0;
    changed_.notify_one();
  }
  if (!done.empty()) host_->finished(std::move(done));
}

// The process is gone, and what ran in it with it.
void WorkerDevice::bury(Lock& lock) {
  const bool fast = Clock::now() - born_ < policy_.fast;
  lock.unlock();
  session_.reset();
  std::string words;
  try {
    if (process_.last_words) words = process_.last_words();
  } catch (const Error& e) {
    words = e.what();
  }
  lock.lock();
  dead_ = false;
  const std::string reason =
      "the worker process of device '" + info().name + "' died" + (words.empty() ? "" : ": " + words);
  std::vector<JobPtr> lost, unwanted;
  for (auto& job : std::exchange(lost_, {})) (job->stop.requested() ? unwanted : lost).push_back(std::move(job));
  end(lock, std::move(unwanted), cancelled());
  end(lock, std::move(lost), {ErrorCode::kDeviceLost, reason, true, 0.5});
  count_death(lock, fast, reason);
}

void WorkerDevice::count_death(Lock& lock, bool fast, const std::string& reason) {
  fast_deaths_ = fast ? fast_deaths_ + 1 : 0;
  if (fast_deaths_ < policy_.fast_deaths) return;
  fast_deaths_ = 0;
  resting_ = true;
  rest_until_ = Clock::now() + policy_.rest;
  lock.unlock();
  host_->set_status(id_, DeviceStatus::kFault,
                    reason + "; " + std::to_string(policy_.fast_deaths) + " times in a row, next try in " +
                        std::to_string(policy_.rest.count() / 1000) + " s");
  lock.lock();
}

void WorkerDevice::end(Lock& lock, std::vector<JobPtr>&& jobs, const Failure& failure) {
  if (jobs.empty()) return;
  std::vector<Finished> done;
  for (auto& j : jobs) done.push_back(failed(std::move(j), failure));
  lock.unlock();
  host_->finished(std::move(done));
  lock.lock();
}

}  // namespace qfw::qpm
