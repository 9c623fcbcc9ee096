#include "qpm/api/native/resuming_session.h"

#include <algorithm>
#include <chrono>
#include <random>

namespace qfw::qpm {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t clock_ns() { return static_cast<uint64_t>(std::chrono::nanoseconds(Clock::now().time_since_epoch()).count()); }

Clock::time_point point(uint64_t ns) {
  const auto far = Clock::now() + std::chrono::hours(24);
  return ns == UINT64_MAX ? far : std::min(far, Clock::time_point(std::chrono::nanoseconds(ns)));
}

ReconnectPolicy policy_of(const ConnectOptions& o) {
  ReconnectPolicy p;
  p.total_s = o.reconnect_s;
  p.dead_s = o.dead_s;
  return p;
}

// splitmix64: distinct, well-mixed numbers from a counter (Steele, Lea, Flood 2014).
uint64_t mix(uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

uint64_t random_base() {
  std::random_device source;
  return (uint64_t{source()} << 32) | source();
}

Completion ended_completion(Unfinished::Ended&& ended, uint64_t now) {
  Completion c{ended.entry.task->id, ended.entry.task->stream, {}, 0};
  c.result.failure = std::move(ended.failure);
  c.result.timing.return_ns = now - ended.entry.submitted;
  return c;
}

}  // namespace

// ---- names of devices

std::vector<DeviceInfo> DeviceNames::update(std::vector<DeviceInfo> infos) {
  current_.clear();
  for (auto& info : infos) {
    current_[info.name] = info.id;
    auto known = std::find(names_.begin(), names_.end(), info.name);
    if (known == names_.end()) known = names_.insert(known, info.name);
    info.id = static_cast<DeviceId>(known - names_.begin());
  }
  return infos;
}

std::vector<std::string> DeviceNames::names(std::span<const DeviceId> ids) const {
  std::vector<std::string> out;
  for (DeviceId id : ids) {
    if (id >= names_.size())
      throw Error(ErrorCode::kNotFound,
                  "no device with id " + std::to_string(id) + "; there are " + std::to_string(names_.size()));
    out.push_back(names_[id]);
  }
  return out;
}

std::optional<DeviceId> DeviceNames::id(const std::string& name) const {
  auto known = std::find(names_.begin(), names_.end(), name);
  if (known == names_.end()) return std::nullopt;
  return static_cast<DeviceId>(known - names_.begin());
}

std::vector<DeviceId> DeviceNames::current(const std::vector<std::string>& names) const {
  std::vector<DeviceId> out;
  for (const auto& name : names) {
    auto found = current_.find(name);
    if (found == current_.end())
      throw Error(ErrorCode::kNotFound, "the runtime that came back has no device '" + name + "'");
    out.push_back(found->second);
  }
  return out;
}

// ---- connecting and closing

ResumingSession::ResumingSession(const std::string& address, const ConnectOptions& options)
    : options_(options), seed_base_(random_base()), address_(address), reconnect_(policy_of(options)) {
  link_ = connect(address, options.timeout_s, ++number_);
  window_ = link_->window();
  names_.update(link_->devices());
  thread_ = std::thread([this] { run(); });
}

ResumingSession::~ResumingSession() { close(); }

ResumingSession::Link ResumingSession::connect(const std::string& address, double timeout_s, uint64_t number) {
  ConnectOptions options = options_;
  options.timeout_s = timeout_s;
  auto link = std::make_shared<GrpcSession>(address, options,
                                            [this, number](Failure&& why) { on_lost(number, std::move(why)); });
  link->set_sink([this](std::vector<Completion>&& done) { on_completions(std::move(done)); });
  return link;
}

void ResumingSession::close() {
  Link link, trying;
  {
    Lock lock(mutex_);
    if (std::exchange(closed_, true)) return;
    link = link_;
    trying = trying_;
    changed_.notify_all();
  }
  if (link) link->close();  // completes what it has as cancelled
  if (trying) trying->close();
  if (thread_.joinable()) thread_.join();
  dead_.reset();
  Lock lock(mutex_);
  deliver(lock, unfinished_.end_all({ErrorCode::kCancelled, "the session was closed"}));
}

void ResumingSession::check_alive() const {
  if (closed_) throw Error(ErrorCode::kClosed, "the session was closed");
  if (over_) over_.raise();
}

std::string ResumingSession::endpoint() const {
  Lock lock(mutex_);
  return address_;
}

void ResumingSession::set_sink(Sink sink) {
  Lock lock(mutex_);
  sink_ = std::move(sink);
}

// ---- what the caller asks

ResumingSession::Link ResumingSession::await_link(Lock& lock) {
  changed_.wait(lock, [&] { return closed_ || over_ || link_; });
  check_alive();
  return link_;
}

// Asks the runtime, and the next one when this one dies over the question.
template <typename Ask>
auto ResumingSession::ask(Ask&& question) {
  for (;;) {
    Lock lock(mutex_);
    const Link link = await_link(lock);
    const uint64_t number = number_;
    lock.unlock();
    try {
      return question(*link);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kConnectionLost && e.code() != ErrorCode::kClosed) throw;
    }
    lock.lock();
    changed_.wait(lock, [&] { return closed_ || over_ || lost_ >= number; });
  }
}

std::vector<DeviceInfo> ResumingSession::devices() {
  return ask([&](GrpcSession& link) {
    auto infos = link.devices();
    Lock lock(mutex_);
    if (link_.get() != &link) throw Error(ErrorCode::kConnectionLost, "the runtime died while it listed its devices");
    return names_.update(std::move(infos));
  });
}

void ResumingSession::open_stream(StreamId stream, std::span<const DeviceId> devices, Order order, const JobSpec* job) {
  ask([&](GrpcSession& link) {
    std::lock_guard order_lock(order_mutex_);
    Stream entry{{}, order, job ? std::optional(*job) : std::nullopt, false};
    std::vector<DeviceId> ids;
    {
      Lock lock(mutex_);
      entry.devices = names_.names(devices);
      ids = names_.current(entry.devices);
    }
    link.open_stream(stream, ids, order, job);
    Lock lock(mutex_);
    streams_[stream] = std::move(entry);
    return 0;
  });
}

void ResumingSession::close_stream(StreamId stream) {
  std::lock_guard order(order_mutex_);
  Lock lock(mutex_);
  attached_.erase(stream);
  streams_.erase(stream);
  auto ended = unfinished_.cancel_stream(stream);
  const Link link = link_;
  deliver(lock, std::move(ended));
  lock.unlock();
  if (link) link->close_stream(stream);
}

// ---- jobs and events

JobInfo ResumingSession::attach_job(StreamId stream, const std::string& job) {
  return ask([&](GrpcSession& link) {
    std::lock_guard order(order_mutex_);
    {
      Lock lock(mutex_);
      attached_[stream].clear();  // its completions may come before the answer
    }
    JobInfo info = link.attach_job(stream, job);
    Lock lock(mutex_);
    streams_[stream] = {{}, Order::kParallel, JobSpec{job, {}}, true};
    return info;
  });
}

std::vector<JobInfo> ResumingSession::jobs(std::span<const std::string> ids) {
  return ask([&](GrpcSession& link) { return link.jobs(ids); });
}

void ResumingSession::forget_job(const std::string& job) {
  ask([&](GrpcSession& link) {
    link.forget_job(job);
    return 0;
  });
}

void ResumingSession::subscribe(std::span<const DeviceId> devices, uint32_t kinds, EventSink sink) {
  Subscription wanted;
  wanted.kinds = kinds;
  if (kinds)
    wanted.sink = [this, sink = std::move(sink)](std::vector<Event>&& events) {
      {
        Lock lock(mutex_);
        for (Event& e : events) e.device = names_.id(e.device_name).value_or(e.device);
      }
      sink(std::move(events));
    };
  ask([&](GrpcSession& link) {
    std::lock_guard order(order_mutex_);
    Lock lock(mutex_);
    wanted.devices = names_.names(devices);
    const auto ids = names_.current(wanted.devices);
    lock.unlock();
    link.subscribe(ids, kinds, wanted.sink);
    lock.lock();
    subscription_ = wanted;
    return 0;
  });
}

// ---- tasks

uint64_t ResumingSession::draw_seed() noexcept { return mix(seed_base_ + seeds_.fetch_add(1)); }

void ResumingSession::submit(std::vector<Task>&& tasks) {
  if (tasks.empty()) throw Error(ErrorCode::kInvalidArgument, "0 tasks submitted; at least 1 is needed");
  for (Task& t : tasks)
    if (!t.seed) t.seed = draw_seed();  // here, so that a second run gives the same
  const auto batch = std::make_shared<const std::vector<Task>>(std::move(tasks));
  std::vector<const Task*> now_sent;
  now_sent.reserve(batch->size());
  std::lock_guard order(order_mutex_);
  Link link;
  {
    Lock lock(mutex_);
    check_alive();
    if (unfinished_.size() + batch->size() > window_)
      throw Error(ErrorCode::kResourceExhausted,
                  std::to_string(batch->size()) + " tasks submitted with " + std::to_string(unfinished_.size()) +
                      " unfinished; the session's window is " + std::to_string(window_),
                  true, 0.01);
    for (const Task& t : *batch)
      if (unfinished_.contains(t.id))
        throw Error(ErrorCode::kInvalidArgument, "task id " + std::to_string(t.id) + " is in use in this session");
    const uint64_t now = clock_ns();
    for (const Task& t : *batch)
      if (unfinished_.add(TaskPtr(batch, &t), now)) now_sent.push_back(&t);
    link = link_;
    if (now_sent.size() < batch->size()) changed_.notify_all();  // deadlines of what waits
  }
  if (!link || now_sent.empty()) return;
  try {
    link->send(now_sent);
  } catch (const Error&) {  // the connection is gone: they are in the book, and go out with the next one
  }
}

void ResumingSession::cancel(std::span<const TaskId> tasks) {
  Lock lock(mutex_);
  std::vector<Unfinished::Ended> ended;
  std::vector<TaskId> there;
  for (TaskId id : tasks) {
    if (auto e = unfinished_.cancel(id))
      ended.push_back(std::move(*e));
    else
      there.push_back(id);
  }
  const Link link = link_;
  deliver(lock, std::move(ended));
  lock.unlock();
  if (link && !there.empty()) link->cancel(there);
}

// ---- what connections tell

void ResumingSession::on_lost(uint64_t number, Failure&& why) {
  Lock lock(mutex_);
  if (closed_ || number <= lost_) return;
  lost_ = number;
  if (link_) {  // else it is lost while it is being taken into use
    dead_ = std::move(link_);
    link_.reset();
    std::erase_if(streams_, [](const auto& s) { return s.second.attached; });  // their tasks have failed
    reconnect_.lost(clock_ns(), std::move(why));
    deliver(lock, unfinished_.lost());
  }
  changed_.notify_all();
}

void ResumingSession::on_completions(std::vector<Completion>&& completions) {
  std::vector<Completion> out;
  std::vector<TaskPtr> done;  // let go without the lock: a large batch takes its time
  out.reserve(completions.size());
  done.reserve(completions.size());
  {
    Lock lock(mutex_);
    for (auto& c : completions) {
      if (auto job = attached_.find(c.stream); job != attached_.end()) {  // submitted by another session
        if (job->second.insert(c.task).second) out.push_back(std::move(c));
        continue;
      }
      auto entry = unfinished_.take(c.task);
      if (!entry) continue;
      c.result.timing.transfer_ns += entry->sent - entry->submitted;  // the outage belongs to the way there
      out.push_back(std::move(c));
      done.push_back(std::move(entry->task));
    }
    if (!out.empty()) reconnect_.progress();
    if (unfinished_.has_next()) changed_.notify_all();
  }
  if (!out.empty() && sink_) sink_(std::move(out));
}

// The lock is open while the sink runs.
void ResumingSession::deliver(Lock& lock, std::vector<Unfinished::Ended>&& ended) {
  if (ended.empty()) return;
  std::vector<Completion> out;
  const uint64_t now = clock_ns();
  for (auto& e : ended) out.push_back(ended_completion(std::move(e), now));
  lock.unlock();
  if (sink_) sink_(std::move(out));
  lock.lock();
}

// ---- the thread

void ResumingSession::run() {
  Lock lock(mutex_);
  while (!closed_) {
    if (Link dead = std::move(dead_)) {
      lock.unlock();
      dead.reset();
      lock.lock();
      continue;
    }
    const uint64_t now = clock_ns();
    if (auto ended = unfinished_.expire(now); !ended.empty()) {
      deliver(lock, std::move(ended));
      continue;
    }
    Reconnect::Step step = reconnect_.step(now);
    switch (step.what) {
      case Reconnect::Do::kNothing:
        if (link_ && unfinished_.has_next()) {
          send_waiting(lock);
        } else {
          changed_.wait_until(lock, point(unfinished_.next_deadline()));
        }
        break;
      case Reconnect::Do::kWait:
        changed_.wait_until(lock, point(std::min(step.until, unfinished_.next_deadline())));
        break;
      case Reconnect::Do::kLook: {
        const std::string address = address_;
        lock.unlock();
        Sighting seen = options_.locate ? options_.locate() : Sighting{false, false, address};
        lock.lock();
        reconnect_.seen(clock_ns(), std::move(seen));
        break;
      }
      case Reconnect::Do::kConnect:
        try_once(lock, step);
        break;
      case Reconnect::Do::kGiveUp:
        return give_up(lock, std::move(step.reason));
    }
  }
}

void ResumingSession::try_once(Lock& lock, const Reconnect::Step& step) {
  const uint64_t number = ++number_;
  lock.unlock();
  Failure failure;
  try {
    const Link link = connect(step.address, step.timeout_s, number);
    lock.lock();
    trying_ = link;
    if (closed_) return;
    lock.unlock();
    if (link->window() < window_)
      throw Error(ErrorCode::kConnectionLost, "the runtime that came back has a window of " +
                                                  std::to_string(link->window()) + " tasks; this session's is " +
                                                  std::to_string(window_));
    std::lock_guard order(order_mutex_);
    reopen(*link);
    resume(link, step.address);
  } catch (const Error& e) {
    failure = Failure::of(e);
  }
  lock.lock();
  Link gone = std::exchange(trying_, nullptr);
  lock.unlock();
  gone.reset();  // waits for its reader, which may want the lock
  lock.lock();
  if (failure && !closed_) reconnect_.refused(clock_ns(), std::move(failure));
  changed_.notify_all();
}

// Brings a new runtime to where the last one was: devices, streams, what is subscribed to. order_mutex_ is held.
void ResumingSession::reopen(GrpcSession& link) {
  auto infos = link.devices();
  Lock lock(mutex_);
  names_.update(std::move(infos));
  const auto streams = streams_;
  const auto subscription = subscription_;
  for (const auto& [id, stream] : streams) {
    const auto devices = names_.current(stream.devices);
    lock.unlock();
    link.open_stream(id, devices, stream.order, stream.job ? &*stream.job : nullptr);
    lock.lock();
  }
  if (!subscription.sink) return;
  const auto devices = names_.current(subscription.devices);
  lock.unlock();
  link.subscribe(devices, subscription.kinds, subscription.sink);
}

// Takes the new runtime into use. order_mutex_ is held.
void ResumingSession::resume(const Link& link, const std::string& address) {
  std::vector<TaskPtr> tasks;
  {
    Lock lock(mutex_);
    if (closed_) throw Error(ErrorCode::kClosed, "the session was closed");
    if (lost_ == number_) throw Error(ErrorCode::kConnectionLost, "the runtime died again at once", true);
    link_ = link;
    address_ = address;
    reconnect_.connected(clock_ns());
    unfinished_.connected();
    tasks = unfinished_.next(clock_ns());
  }
  send(*link, tasks);
}

void ResumingSession::send(GrpcSession& link, const std::vector<TaskPtr>& tasks) {
  if (tasks.empty()) return;
  std::vector<const Task*> pointers;
  for (const auto& t : tasks) pointers.push_back(t.get());
  try {
    link.send(pointers);
  } catch (const Error&) {  // the connection is gone: they are in the book, and go out with the next one
  }
}

// One more task, when they go one at a time.
void ResumingSession::send_waiting(Lock& lock) {
  lock.unlock();
  std::lock_guard order(order_mutex_);
  lock.lock();
  const Link link = link_;
  if (!link) return;
  const std::vector<TaskPtr> tasks = unfinished_.next(clock_ns());
  lock.unlock();
  send(*link, tasks);
  lock.lock();
}

void ResumingSession::give_up(Lock& lock, Failure reason) {
  over_ = reason;
  if (reason.code != ErrorCode::kUnavailable) reason.code = ErrorCode::kConnectionLost;
  changed_.notify_all();
  deliver(lock, unfinished_.end_all(reason));
}

std::shared_ptr<Session> connect_session(const std::string& address, const ConnectOptions& options) {
  if (options.reconnect_s > 0) return std::make_shared<ResumingSession>(address, options);
  return std::make_shared<GrpcSession>(address, options);
}

}  // namespace qfw::qpm
