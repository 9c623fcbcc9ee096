#include "qpm/native/pool_worker.h"

#include <algorithm>
#include <utility>

namespace qfw::qpm {
namespace {

constexpr StreamId kStream = 1;

Finished cancelled(JobPtr job) {
  Finished f;
  f.job = std::move(job);
  f.result.failure = {ErrorCode::kCancelled, "the task was cancelled"};
  return f;
}

}  // namespace

PoolWorker::PoolWorker(std::string device, Process process)
    : device_(std::move(device)), process_(std::move(process)) {}

PoolWorker::~PoolWorker() { stop(); }

// ---- what is asked of it

void PoolWorker::wake(uint32_t life, uint32_t ranks) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  life_ = life;
  ranks_ = ranks;
  lower_ = false;
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  changed_.notify_one();
}

void PoolWorker::run(uint32_t life, std::vector<JobPtr>&& jobs) {
  std::vector<Finished> done;
  {
    std::lock_guard lock(mutex_);
    if (life != life_ || stopping_) return;  // its owner knows of that instance's end, or of this seat's
    for (auto& job : jobs) {
      if (job->stop.requested())  // a cancel may have come before its job
        done.push_back(cancelled(std::move(job)));
      else
        waiting_.push_back(std::move(job));
    }
    changed_.notify_one();
  }
  if (!done.empty()) owner_->returned(id_, std::move(done));
}

void PoolWorker::cancel(uint32_t life, const JobPtr& job) {
  std::vector<Finished> done;
  {
    std::lock_guard lock(mutex_);
    if (life != life_) return;
    const auto found = std::find(waiting_.begin(), waiting_.end(), job);
    if (found == waiting_.end()) {
      cancels_.push_back(job);
      changed_.notify_one();
      return;
    }
    waiting_.erase(found);
    done.push_back(cancelled(job));
  }
  owner_->returned(id_, std::move(done));
}

void PoolWorker::lower(uint32_t life) {
  std::lock_guard lock(mutex_);
  if (life != life_) return;
  lower_ = true;
  changed_.notify_one();
}

void PoolWorker::lost(const std::string& address) {
  std::lock_guard lock(mutex_);
  if (address != address_) return;
  gone_ = true;
  changed_.notify_one();
}

void PoolWorker::stop() {
  bool starting;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    starting = starting_;
    changed_.notify_one();
  }
  const auto join = [&] {
    try {
      if (starting && process_.stop) process_.stop();
    } catch (const Error&) {  // its start then ends by itself
    }
    if (thread_.joinable()) thread_.join();
  };
  process_.away ? process_.away(join) : join();
}

// ---- its thread

void PoolWorker::work() {
  Lock lock(mutex_);
  while (!stopping_) {
    if (gone_ && session_)
      bury(lock);
    else if (ranks_ && !session_)
      raise(lock);
    else if (lower_ && session_)
      put_down(lock);
    else if (!cancels_.empty())
      forward_cancels(lock);
    else if (!waiting_.empty() && session_)
      forward(lock);
    else
      changed_.wait(lock);
  }
  end(lock);
}

std::unique_ptr<GrpcSession> PoolWorker::open(const std::string& address) {
  ConnectOptions options;
  options.timeout_s = process_.connect_s;
  options.keepalive_s = process_.keepalive_s;
  options.tls = process_.tls;
  auto made = std::make_unique<GrpcSession>(address, options, [this](Failure&&) {
    std::lock_guard lock(mutex_);
    gone_ = true;
    changed_.notify_one();
  });
  made->set_sink([this](std::vector<Completion>&& done) { receive(std::move(done)); });
  made->open_stream(kStream, std::vector<DeviceId>{0}, Order::kParallel, nullptr);
  made->subscribe({}, event_bit(EventKind::kCalibration) | event_bit(EventKind::kNoise),
                  [this](std::vector<Event>&& events) {
                    for (auto& e : events) owner_->told(std::move(e));
                  });
  return made;
}

// Starts an instance and connects to it.
void PoolWorker::raise(Lock& lock) {
  const uint32_t ranks = std::exchange(ranks_, 0);
  starting_ = true;
  gone_ = false;
  lock.unlock();
  Failure failure;
  bool started = false;
  std::string address;
  std::unique_ptr<GrpcSession> made;
  try {
    address = process_.start(ranks);
    started = true;
    made = open(address);
  } catch (const Error& e) {
    failure = Failure::of(e);
  }
  if (failure && started) failure.code = ErrorCode::kDeviceLost;  // it said that it serves
  try {
    if (failure && started && process_.stop) process_.stop();
  } catch (const Error& e) {
    failure.message += "; " + std::string(e.what());
  }
  lock.lock();
  starting_ = false;
  if (failure) {
    const bool no_slot = !started && failure.code == ErrorCode::kResourceExhausted;
    lock.unlock();
    no_slot ? owner_->refused(id_, failure) : owner_->failed(id_, failure);
    return lock.lock();
  }
  session_ = std::move(made);
  address_ = std::move(address);
  instance_ranks_ = ranks;
  lock.unlock();
  owner_->up(id_);
  lock.lock();
}

// What the instance is told of a job. Everything else of `work` is the application's.
void PoolWorker::prepare(Job& job, TaskId id) const {
  Task& t = job.work;
  t.id = id;
  t.stream = kStream;
  t.seed = job.seed;
  if (instance_ranks_ > 1) t.ranks = instance_ranks_;
  if (!job.deadline) return;
  const uint64_t now = now_ns();
  t.deadline_ns = job.deadline > now ? job.deadline - now : 1;
}

void PoolWorker::forward(Lock& lock) {
  const std::vector<JobPtr> jobs = std::exchange(waiting_, {});
  std::vector<const Task*> tasks;
  const uint64_t now = now_ns();
  for (const auto& job : jobs) {
    const TaskId id = next_id_++;
    job->began = now;
    prepare(*job, id);
    running_.emplace(id, job);
    tasks.push_back(&job->work);
  }
  lock.unlock();
  bool refused = false;
  try {
    session_->send(tasks);
  } catch (const Error&) {  // the instance had died before: none was taken
    refused = true;
  }
  lock.lock();
  if (!refused) return;
  for (const Task* t : tasks) running_.erase(t->id);
  gone_ = true;
}

void PoolWorker::forward_cancels(Lock& lock) {
  const std::vector<JobPtr> jobs = std::exchange(cancels_, {});
  std::vector<TaskId> ids;
  for (const auto& [id, job] : running_)
    if (std::find(jobs.begin(), jobs.end(), job) != jobs.end()) ids.push_back(id);
  if (ids.empty() || !session_) return;
  lock.unlock();
  session_->cancel(ids);
  lock.lock();
}

void PoolWorker::receive(std::vector<Completion>&& completions) {
  std::vector<Finished> done;
  const uint64_t now = now_ns();
  {
    std::lock_guard lock(mutex_);
    if (closing_) return;
    for (auto& c : completions) {
      // A runtime that is being stopped says so of what it has not done: it runs again elsewhere.
      if (c.result.failure.code == ErrorCode::kUnavailable && !stopping_) {
        gone_ = true;
        continue;
      }
      auto node = running_.extract(c.task);
      if (!node) continue;
      node.mapped()->ended = now;
      c.result.timing = {};
      done.push_back({std::move(node.mapped()), std::move(c.result)});
    }
    if (gone_) changed_.notify_one();
  }
  if (!done.empty()) owner_->returned(id_, std::move(done));
}

// The instance is gone, and what ran in it with it.
void PoolWorker::bury(Lock& lock) {
  closing_ = true;
  lock.unlock();
  session_.reset();
  std::string words;
  try {
    if (process_.last_words) words = process_.last_words();
    if (process_.stop) process_.stop();
  } catch (const Error& e) {
    words += (words.empty() ? "" : "; ") + std::string(e.what());
  }
  lock.lock();
  closing_ = gone_ = lower_ = false;
  address_.clear();
  waiting_.clear();
  cancels_.clear();
  std::vector<JobPtr> inside;
  for (auto& [id, job] : std::exchange(running_, {})) inside.push_back(std::move(job));
  lock.unlock();
  owner_->died(id_, inside, "an instance of device '" + device_ + "' died" + (words.empty() ? "" : ": " + words));
  lock.lock();
}

void PoolWorker::put_down(Lock& lock) {
  closing_ = true;
  lock.unlock();
  session_.reset();
  try {
    if (process_.stop) process_.stop();
  } catch (const Error&) {  // it is the launcher's to end it; here it has gone
  }
  lock.lock();
  closing_ = gone_ = lower_ = false;
  address_.clear();
  cancels_.clear();
  lock.unlock();
  owner_->down(id_);
  lock.lock();
}

// Everything left is given back.
void PoolWorker::end(Lock& lock) {
  lock.unlock();
  session_.reset();  // completes what ran there
  lock.lock();
  std::vector<Finished> done;
  for (auto& job : std::exchange(waiting_, {})) done.push_back(cancelled(std::move(job)));
  for (auto& [id, job] : std::exchange(running_, {})) done.push_back(cancelled(std::move(job)));
  lock.unlock();
  if (!done.empty()) owner_->returned(id_, std::move(done));
  lock.lock();
}

}  // namespace qfw::qpm
