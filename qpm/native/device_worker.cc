#include "qpm/native/device_worker.h"

#include <algorithm>
#include <utility>

namespace qfw::qpm {
namespace {

constexpr double kConnectSeconds = 10.0;
constexpr StreamId kStream = 1;

// What the worker is told of a job: the seed is fixed here, the deadline is what is left of it.
Task task_of(const Job& job, TaskId id) {
  Task task = job.work;
  task.id = id;
  task.stream = kStream;
  task.priority = 0;
  task.seed = job.seed;
  if (job.deadline) {
    const uint64_t now = now_ns();
    task.deadline_ns = job.deadline > now ? job.deadline - now : 1;
  }
  return task;
}

Failure failure_now() noexcept {
  try {
    throw;
  } catch (const Error& e) {
    return Failure::of(e);
  } catch (const std::exception& e) {
    return {ErrorCode::kDevice, e.what()};
  }
}

}  // namespace

WorkerDevice::WorkerDevice(DeviceInfo info, Start start, LastWords last_words)
    : info_(std::move(info)),
      start_(std::move(start)),
      last_words_(std::move(last_words)),
      thread_([this] { run(); }) {}

WorkerDevice::~WorkerDevice() { stop(); }

void WorkerDevice::check(const Task& task) const {
  check_task(info_, task);
  check_gates(info_, *task.program);
}

void WorkerDevice::start(std::vector<JobPtr>&& jobs) {
  std::lock_guard lock(mutex_);
  std::move(jobs.begin(), jobs.end(), std::back_inserter(starting_));
  wake_.notify_all();
}

void WorkerDevice::cancel(const JobPtr& job) {
  std::lock_guard lock(mutex_);
  cancelling_.push_back(job);
  wake_.notify_all();
}

void WorkerDevice::stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true) && !thread_.joinable()) return;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

// ---- the device's own thread

void WorkerDevice::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!lost_.empty()) {
      auto lost = std::exchange(lost_, {});
      const auto link = std::exchange(link_, nullptr);
      lock.unlock();
      if (link) link->session->close();  // its threads end before the last reference goes
      lose(std::move(lost));
      lock.lock();
    } else if (!cancelling_.empty()) {
      std::vector<TaskId> ids;
      for (const auto& job : std::exchange(cancelling_, {}))
        if (link_)
          for (const auto& [id, running] : link_->running)
            if (running == job) ids.push_back(id);
      const auto link = link_;
      lock.unlock();
      if (!ids.empty()) link->session->cancel(ids);
      lock.lock();
    } else if (!starting_.empty()) {
      auto jobs = std::exchange(starting_, {});
      lock.unlock();
      send(std::move(jobs));
      lock.lock();
    } else {
      wake_.wait(lock);
    }
  }
  const auto link = std::exchange(link_, nullptr);
  auto jobs = std::exchange(starting_, {});
  auto lost = std::exchange(lost_, {});
  lock.unlock();
  if (link) link->session->close();  // gives back what runs
  for (auto& f : lost) jobs.push_back(std::move(f.job));
  fail(std::move(jobs), {ErrorCode::kCancelled, "the runtime was stopped"});
}

void WorkerDevice::send(std::vector<JobPtr>&& jobs) {
  std::shared_ptr<Link> link;
  std::vector<Task> tasks;
  std::vector<JobPtr> stopped;
  try {
    link = connect();
    std::lock_guard lock(mutex_);
    for (auto& job : jobs) {
      if (job->stop.requested()) {
        stopped.push_back(std::move(job));
        continue;
      }
      tasks.push_back(task_of(*job, next_task_++));
      job->began = now_ns();
      link->running.emplace(tasks.back().id, std::move(job));
    }
  } catch (...) {
    return fail(std::move(jobs), failure_now());
  }
  fail(std::move(stopped), {ErrorCode::kCancelled, "the task was cancelled before it ran"});
  if (tasks.empty()) return;
  std::vector<TaskId> ids;
  for (const auto& t : tasks) ids.push_back(t.id);
  try {
    link->session->submit(std::move(tasks));
  } catch (...) {
    Failure failure = failure_now();
    std::vector<Completion> refused;
    for (TaskId id : ids) {
      Result r;
      r.failure = failure;
      refused.push_back({id, kStream, std::move(r)});
    }
    receive(link, std::move(refused));
  }
}

// The link to a live process, made where there is none.
std::shared_ptr<WorkerDevice::Link> WorkerDevice::connect() {
  {
    std::lock_guard lock(mutex_);
    if (link_) return link_;
  }
  auto link = std::make_shared<Link>();
  link->session = connect_session(start_(), kConnectSeconds);
  const auto devices = link->session->devices();
  if (devices.empty()) throw Error(ErrorCode::kDevice, "the worker of '" + info_.name + "' offers no device");
  std::weak_ptr<Link> weak = link;  // the session, which holds the sink, is the link's own
  link->session->set_sink([this, weak](std::vector<Completion>&& done) {
    if (auto held = weak.lock()) receive(held, std::move(done));
  });
  const DeviceId first = devices.front().id;
  link->session->open_stream(kStream, std::span(&first, 1), Order::kParallel);
  std::lock_guard lock(mutex_);
  link_ = link;
  return link;
}

// On the session's threads: results go up at once; for those whose process is gone, its last words are asked first, on
// the device's thread.
void WorkerDevice::receive(const std::shared_ptr<Link>& link, std::vector<Completion>&& done) {
  std::vector<Finished> finished;
  {
    std::lock_guard lock(mutex_);
    for (auto& c : done) {
      auto node = link->running.extract(c.task);
      if (node.empty()) continue;
      Finished f{std::move(node.mapped()), std::move(c.result)};
      f.job->ended = now_ns();
      const auto code = f.result.failure.code;
      const bool gone = code == ErrorCode::kConnectionLost || code == ErrorCode::kUnavailable;
      (gone && !stopping_ ? lost_ : finished).push_back(std::move(f));
    }
    if (!lost_.empty()) wake_.notify_all();
  }
  if (!finished.empty()) host_->finished(std::move(finished));
}

void WorkerDevice::lose(std::vector<Finished>&& lost) {
  std::string words;
  try {
    words = last_words_ ? last_words_() : lost.front().result.failure.message;
  } catch (...) {
    words = failure_now().message;
  }
  for (auto& f : lost) {
    f.result = {};
    f.result.failure = {ErrorCode::kDeviceLost, "device '" + info_.name + "': " + words, true};
    if (f.job->stop.requested()) f.result.failure = {ErrorCode::kCancelled, "the task was cancelled while it ran"};
  }
  host_->finished(std::move(lost));
}

void WorkerDevice::fail(std::vector<JobPtr>&& jobs, const Failure& failure) {
  std::vector<Finished> done;
  for (auto& job : jobs) {
    if (!job) continue;
    Result r;
    r.failure = failure;
    done.push_back({std::move(job), std::move(r)});
  }
  if (!done.empty()) host_->finished(std::move(done));
}

}  // namespace qfw::qpm
