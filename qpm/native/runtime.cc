#include "qpm/native/runtime.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <random>
#include <utility>

#include "qpm/native/batch.h"
#include "qpm/native/device_statevec.h"
#include "qpm/native/session.h"

namespace qfw::qpm {
namespace {

constexpr size_t kMaxDevices = 256;
constexpr uint64_t kMaxQueueBytes = 16ull << 30;
constexpr double kHelpNs = 200e3;  // a task up to this long may run on a thread that waits

uint64_t memory_bytes() {
  const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(size) : kMaxQueueBytes;
}

Failure failure_of_exception() noexcept {
  try {
    throw;
  } catch (const Error& e) {
    return Failure::of(e);
  } catch (const std::bad_alloc&) {
    return {ErrorCode::kResourceExhausted, "out of memory while the task ran", true, 1.0};
  } catch (const std::exception& e) {
    return {ErrorCode::kInternal, e.what()};
  }
}

}  // namespace

std::shared_ptr<Runtime> Runtime::make(const RuntimeOptions& options) {
  // In a child of fork() the threads are missing that its end would wait for: there it is left as it is.
  return std::shared_ptr<Runtime>(new Runtime(options), [parent = ::getpid()](Runtime* runtime) {
    if (::getpid() == parent) delete runtime;
  });
}

Runtime::Runtime(const RuntimeOptions& options)
    : options_(options),
      max_queue_bytes_(options.max_queue_bytes),
      dispatcher_({options.max_queue, options.max_sessions, 1024}),
      table_(std::make_shared<JobTable>(options.jobs)),
      programs_(options.program_cache_bytes),
      pool_(options.threads) {
  devices_.reserve(kMaxDevices);
  if (max_queue_bytes_ == 0) max_queue_bytes_ = std::min(kMaxQueueBytes, memory_bytes() / 4);
  std::random_device entropy;
  seed_base_ = (uint64_t{entropy()} << 32) | entropy();
  timer_ = std::thread([this] { watch_deadlines(); });
}

Runtime::~Runtime() { stop(); }

// ---- devices

DeviceId Runtime::add_device(std::unique_ptr<Device> device) {
  std::lock_guard lock(mutex_);
  const DeviceInfo& info = device->info();
  if (devices_.size() >= kMaxDevices)
    throw Error(ErrorCode::kLimitExceeded, "a runtime holds at most " + std::to_string(kMaxDevices) + " devices");
  for (const auto& d : devices_)
    if (d->info().name == info.name)
      throw Error(ErrorCode::kInvalidArgument, "a device named '" + info.name + "' is there already");
  const auto id = static_cast<DeviceId>(devices_.size());
  dispatcher_.add_device(id, info.name, info.capacity);
  device->attach(this, id);
  devices_.push_back(std::move(device));
  return id;
}

DeviceId Runtime::add_statevec(const std::string& name) {
  StatevecDevice::Limits limits;
  limits.max_shots = options_.max_shots;
  limits.max_rows = options_.max_rows;
  return add_device(std::make_unique<StatevecDevice>(name, pool_, limits));
}

Device& Runtime::find_device(DeviceId id) const {
  std::lock_guard lock(mutex_);
  if (id < devices_.size()) return *devices_[id];
  throw Error(ErrorCode::kNotFound,
              "no device with id " + std::to_string(id) + "; there are " + std::to_string(devices_.size()));
}

void Runtime::slots_freed() {
  size_t count;
  {
    std::lock_guard lock(mutex_);
    count = devices_.size();
  }
  for (size_t i = 0; i < count; ++i) devices_[i]->slots_freed();
}

void Runtime::set_status(DeviceId id, DeviceStatus status, const std::string& reason) {
  Dispatcher::Actions actions;
  Batch batch(*this);
  {
    std::lock_guard telling(status_mutex_);
    bool changed = false;
    {
      std::lock_guard lock(mutex_);
      changed = dispatcher_.status(id) != status || dispatcher_.status_reason(id) != reason;
      dispatcher_.set_device_status(id, status, reason, actions);
      in_flight_ += actions.start.size();
    }
    if (changed) emit(id, event_of(status, reason));
  }
  perform(actions, batch);
}

void Runtime::emit(DeviceId id, Event&& event) {
  {
    std::lock_guard lock(mutex_);
    event.status = dispatcher_.status(id);
    event.device = id;
    event.device_name = devices_[id]->info().name;
  }
  events_.emit(std::move(event));
}

void Runtime::emit(Event&& event) {
  event.device_name.clear();
  events_.emit(std::move(event));
}

std::vector<DeviceInfo> Runtime::devices() const {
  std::lock_guard lock(mutex_);
  std::vector<DeviceInfo> out;
  for (DeviceId id = 0; id < devices_.size(); ++id) {
    DeviceInfo info = devices_[id]->info();
    info.id = id;
    info.instances = devices_[id]->instances();
    info.status = dispatcher_.status(id);
    if (info.status == DeviceStatus::kOnline && dispatcher_.full(id)) info.status = DeviceStatus::kBusy;
    info.status_reason = dispatcher_.status_reason(id);
    info.queued = static_cast<uint32_t>(std::min<uint64_t>(dispatcher_.load(id), UINT32_MAX));
    out.push_back(std::move(info));
  }
  return out;
}

program::ProgramPtr Runtime::program(const program::Hash& hash, std::span<const std::byte> bytes) {
  {
    std::lock_guard lock(programs_mutex_);
    if (auto* found = programs_.find(hash)) {
      const auto known = (*found)->bytes();
      if (known.size() == bytes.size() && std::memcmp(known.data(), bytes.data(), bytes.size()) == 0) return *found;
    }
  }
  auto decoded = program::Program::decode(bytes);
  if (decoded->hash() != hash)
    throw Error(ErrorCode::kInvalidProgram, "the program's bytes do not have the hash given");
  std::lock_guard lock(programs_mutex_);
  return programs_.put(hash, std::move(decoded), bytes.size());
}

RuntimeStats Runtime::stats() const {
  RuntimeStats s;
  s.submitted = submitted_;
  s.completed = completed_;
  s.failed = failed_;
  {
    std::lock_guard lock(mutex_);
    s.queued = dispatcher_.queued();
    s.running = dispatcher_.running();
    s.sessions = dispatcher_.sessions();
  }
  std::lock_guard lock(programs_mutex_);
  s.programs = programs_.size();
  s.program_bytes = programs_.weight();
  return s;
}

// ---- running jobs

// Carries out what the dispatcher decided. The first job for a synchronous device goes to *next, if given.
void Runtime::perform(Dispatcher::Actions& actions, Batch& batch, JobPtr* next) {
  bool ordered = false;
  for (auto& t : actions.fail) {
    auto job = std::static_pointer_cast<Job>(std::move(t));
    ordered = ordered || job->sequential;
    Result result;
    result.failure = job->doom;
    batch.complete(job, std::move(result));
  }
  if (ordered) batch.flush();
  for (auto& t : actions.stop) {
    auto job = std::static_pointer_cast<Job>(std::move(t));
    job->stop.request();
    device(job->device).cancel(job);
  }
  std::vector<JobPtr> queue;
  std::vector<std::pair<DeviceId, std::vector<JobPtr>>> away;
  const uint64_t now = actions.start.empty() ? 0 : now_ns();
  for (auto& t : actions.start) {
    auto job = std::static_pointer_cast<Job>(std::move(t));
    job->dispatched = now;
    if (job->named) job->named->started();
    if (device(job->device).synchronous()) {
      if (next && !*next)
        *next = std::move(job);
      else
        queue.push_back(std::move(job));
      continue;
    }
    if (away.empty() || away.back().first != job->device) away.push_back({job->device, {}});
    away.back().second.push_back(std::move(job));
  }
  if (!queue.empty()) enqueue(std::move(queue));
  for (auto& [id, jobs] : away) device(id).start(std::move(jobs));
}

void Runtime::enqueue(std::vector<JobPtr>&& jobs) {
  const size_t n = jobs.size();
  {
    std::lock_guard lock(mutex_);
    for (auto& j : jobs) run_queue_.push_back(std::move(j));
  }
  for (size_t i = 0; i < n; ++i)
    pool_.submit([this] {
      if (JobPtr job = take(false)) work(std::move(job), UINT64_MAX);
    });
}

JobPtr Runtime::take(bool small_only) {
  std::lock_guard lock(mutex_);
  if (run_queue_.empty() || (small_only && run_queue_.front()->cost_ns > kHelpNs)) return nullptr;
  JobPtr job = std::move(run_queue_.front());
  run_queue_.pop_front();
  return job;
}

bool Runtime::help() {
  JobPtr job = take(true);
  if (!job) return false;
  work(std::move(job), 0);
  return true;
}

// Takes a job whose completion is in the batch out of what is in flight; gives what that lets start. A sequential
// stream's completion is delivered before its next task can start, and its id is free by then.
Dispatcher::Actions Runtime::retire(Job& job, Batch& batch) {
  if (job.sequential) {
    {
      std::lock_guard lock(mutex_);
      dispatcher_.forget(job);
    }
    batch.flush();
  }
  Dispatcher::Actions actions;
  std::lock_guard lock(mutex_);
  dispatcher_.finished(job, actions);
  in_flight_ += actions.start.size();
  if (--in_flight_ == 0 && stopping_) idle_.notify_all();
  return actions;
}

// Runs a job of a synchronous device on this thread, then whatever its end lets start, until the clock reads `until`.
void Runtime::work(JobPtr job, uint64_t until) {
  Batch batch(*this);
  while (job) {
    Result result = execute(*job);
    batch.complete(job, std::move(result));
    Dispatcher::Actions actions = retire(*job, batch);
    job.reset();
    perform(actions, batch, &job);
    if (job && until != UINT64_MAX && now_ns() >= until) {
      enqueue({std::move(job)});
      job.reset();
    }
    if (batch.due(job ? job->cost_ns : 0)) batch.flush();
  }
}

Result Runtime::execute(Job& job) {
  Result result;
  job.began = now_ns();
  try {
    result = device(job.device).run(job);
  } catch (...) {  // whatever it is becomes the task's own failure
    result = {};
    result.failure = failure_of_exception();
  }
  job.ended = now_ns();
  return result;
}

// Results of devices that do not run in place.
void Runtime::finished(std::vector<Finished>&& jobs) {
  Batch batch(*this);
  for (auto& [job, result] : jobs) {
    if (job->returned.exchange(true)) continue;
    if (!job->ended) job->ended = now_ns();
    if (!job->began) job->began = job->ended.load();
    batch.complete(job, std::move(result));
    Dispatcher::Actions actions = retire(*job, batch);
    perform(actions, batch);
  }
}

// Everything a result says besides its rows.
void Runtime::settle(Job& job, Result& result) const {
  if (result.failure.code == ErrorCode::kCancelled && job.expired)
    result.failure = {ErrorCode::kDeadlineExceeded, "the task's deadline passed while it ran"};
  result.shots = job.work.shots;
  result.seed = job.seed;
  if (job.work.program) result.num_bits = job.work.program->num_bits();
  if (job.work.program && (job.work.outputs & kGradients)) result.gradient_columns = gradient_columns(job.work);
  if (!job.method.empty()) {
    result.method = job.method;
    result.method_reason = job.method_reason;
  }
  const uint64_t now = now_ns();
  Timing& t = result.timing;
  const uint64_t dispatched = job.dispatched;
  if (!dispatched) {
    t.queue_ns = now - job.arrived;
    return;
  }
  const DeviceInfo& info = device(job.device).info();
  if (result.device.empty()) result.device = info.name;
  if (result.device_version.empty()) result.device_version = info.version;
  const uint64_t ended = job.ended ? job.ended.load() : now;
  const uint64_t began = job.began ? std::min(job.began.load(), ended) : ended;
  t.queue_ns = dispatched - job.arrived;
  t.execute_ns = ended - began;
  t.dispatch_ns = (now - job.arrived) - t.queue_ns - t.execute_ns;
}

// ---- deadlines and the end

void Runtime::watch_deadlines() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    timer_next_ = dispatcher_.next_deadline();
    if (timer_next_ == UINT64_MAX) {
      timer_wake_.wait(lock);
      continue;
    }
    if (now_ns() < timer_next_) {
      timer_wake_.wait_until(lock, deadline_point(timer_next_));
      continue;
    }
    Dispatcher::Actions actions;
    dispatcher_.expire(now_ns(), actions);
    in_flight_ += actions.start.size();
    lock.unlock();
    {
      Batch batch(*this);
      perform(actions, batch);
    }
    lock.lock();
  }
}

void Runtime::drain() {
  if (!draining_.exchange(true)) emit(event_of(DeviceStatus::kDraining, "the runtime is being stopped"));
}

void Runtime::abandon(const Failure& failure) {
  Dispatcher::Actions actions;
  Batch batch(*this);
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, session] : sessions_) dispatcher_.abandon(id, failure, actions);
    in_flight_ += actions.start.size();
  }
  for (const auto& t : actions.stop) {  // before what was queued behind it
    Result result;
    result.failure = failure;
    batch.complete(std::static_pointer_cast<Job>(t), std::move(result));
  }
  perform(actions, batch);
}

void Runtime::stop() {
  if (::getpid() != process_) return;
  std::lock_guard once(stop_mutex_);
  if (std::exchange(stopped_, true)) return;
  std::vector<std::shared_ptr<SessionState>> sessions;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& [id, weak] : sessions_)
      if (auto s = weak.lock()) sessions.push_back(std::move(s));
    timer_wake_.notify_all();
  }
  for (auto& s : sessions) close(s);
  {
    std::lock_guard lock(mutex_);
    sessions = std::exchange(detached_, {});
  }
  for (auto& s : sessions) end(s);
  for (auto& d : devices_) d->stop();
  {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return in_flight_ == 0; });
  }
  timer_.join();
}

}  // namespace qfw::qpm
