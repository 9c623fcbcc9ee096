#include "qpm/native/session.h"

#include <algorithm>
#include <utility>

#include "qpm/native/batch.h"
#include "simenv/native/simulator.h"

namespace qfw::qpm {
namespace {

constexpr double kInlineNs = 50e3;  // a message of tasks up to this long together runs on the submitting thread

}  // namespace

void SessionState::deliver(std::vector<Completion>&& completions) {
  std::shared_lock lock(sink_mutex);
  const uint64_t n = completions.size();
  if (outstanding.fetch_sub(n) == n && closed) outstanding.notify_all();
  if (sink) sink(std::move(completions));
}

// ---- the runtime's side

std::shared_ptr<Session> Runtime::session(double weight) {
  auto state = std::make_shared<SessionState>();
  {
    std::lock_guard lock(mutex_);
    if (stopping_) throw Error(ErrorCode::kClosed, "the runtime was stopped");
    state->id = next_session_++;
    dispatcher_.open_session(state->id, weight);
    sessions_[state->id] = state;
  }
  return std::make_shared<LocalSession>(shared_from_this(), std::move(state));
}

void Runtime::open_stream(SessionState& s, StreamId stream, std::span<const DeviceId> devices, Order order) {
  SessionState::Stream entry{{devices.begin(), devices.end()}, order};
  {
    std::lock_guard lock(mutex_);
    dispatcher_.open_stream(s.id, stream, entry.devices, order);
  }
  std::lock_guard lock(s.streams_mutex);
  s.streams[stream] = std::move(entry);
}

void Runtime::close_stream(SessionState& s, StreamId stream) {
  {
    std::lock_guard lock(s.streams_mutex);
    s.streams.erase(stream);
  }
  Dispatcher::Actions actions;
  Batch batch(*this);
  {
    std::lock_guard lock(mutex_);
    dispatcher_.close_stream(s.id, stream, actions);
    in_flight_ += actions.start.size();
  }
  perform(actions, batch);
}

// Asks the stream's devices: those that refuse are left out, and when all refuse the job is doomed with the first
// reason.
void Runtime::admit(Job& job, const std::vector<DeviceId>& devices) {
  std::vector<DeviceId> able;
  Failure refusal;
  for (DeviceId id : devices) {
    try {
      device(id).check(job.work);
      able.push_back(id);
    } catch (const Error& e) {
      if (!refusal) refusal = Failure::of(e);
    }
  }
  if (able.empty()) {
    job.doom = refusal;
    return;
  }
  job.cost_ns = device(able.front()).estimate_ns(job.work);
  if (able.size() != devices.size()) job.devices = std::move(able);
}

std::vector<JobPtr> Runtime::admit(const std::shared_ptr<SessionState>& s, std::vector<Task>&& tasks) {
  const uint64_t arrived = now_ns();
  std::vector<JobPtr> jobs;
  jobs.reserve(tasks.size());
  SessionState::Stream stream;
  StreamId current = 0;
  bool known = false;
  for (auto& task : tasks) {
    auto job = std::make_shared<Job>(std::move(task), arrived);
    job->session = s->id;
    job->owner = s;
    job->seed = job->work.seed ? *job->work.seed : simenv::derive_seed(seed_base_, seeds_.fetch_add(1));
    if (!known || current != job->stream) {
      std::lock_guard lock(s->streams_mutex);
      auto found = s->streams.find(job->stream);
      known = found != s->streams.end();
      if (known) stream = found->second;
      current = job->stream;
    }
    if (known) admit(*job, stream.devices);  // an unknown stream is the dispatcher's to refuse
    jobs.push_back(std::move(job));
  }
  return jobs;
}

void Runtime::submit(const std::shared_ptr<SessionState>& s, std::vector<Task>&& tasks) {
  if (tasks.empty()) throw Error(ErrorCode::kInvalidArgument, "0 tasks submitted; at least 1 is needed");
  const uint64_t n = tasks.size();
  if (s->outstanding.fetch_add(n) + n > options_.window) {
    const uint64_t before = s->outstanding.fetch_sub(n) - n;
    throw Error(ErrorCode::kResourceExhausted,
                std::to_string(n) + " tasks submitted with " + std::to_string(before) +
                    " unfinished; the session's window is " + std::to_string(options_.window),
                true, 0.01);
  }
  std::vector<JobPtr> jobs = admit(s, std::move(tasks));
  submitted_.fetch_add(n);
  Dispatcher::Actions actions;
  double cost = 0;
  {
    std::lock_guard lock(mutex_);
    if (s->closed || stopping_) {
      s->outstanding.fetch_sub(n);
      s->outstanding.notify_all();
      throw Error(ErrorCode::kClosed, "the session was closed");
    }
    for (auto& job : jobs) {
      if (!job->doom) cost += job->cost_ns;
      dispatcher_.submit(std::move(job), actions);
    }
    in_flight_ += actions.start.size();
    if (dispatcher_.next_deadline() < timer_next_) timer_wake_.notify_one();
  }
  // A few tiny tasks are done here before a pool thread would have woken up.
  JobPtr mine;
  {
    Batch batch(*this);
    perform(actions, batch, cost <= kInlineNs ? &mine : nullptr);
  }
  if (mine) work(std::move(mine), now_ns() + static_cast<uint64_t>(2 * kInlineNs));
}

void Runtime::cancel(SessionState& s, std::span<const TaskId> tasks) {
  Dispatcher::Actions actions;
  Batch batch(*this);
  {
    std::lock_guard lock(mutex_);
    for (TaskId id : tasks) dispatcher_.cancel(s.id, id, actions);
    in_flight_ += actions.start.size();
  }
  perform(actions, batch);
}

void Runtime::subscribe(SessionState& s, std::span<const DeviceId> devices, uint32_t kinds, EventSink&& sink) {
  {
    std::lock_guard lock(mutex_);
    for (DeviceId id : devices) dispatcher_.status(id);  // refuses an unknown one
  }
  if (kinds & ~kAllEvents)
    throw Error(ErrorCode::kInvalidArgument,
                "kinds of events " + std::to_string(kinds) + "; known are the bits of " + std::to_string(kAllEvents));
  events_.subscribe(s.id, {devices.begin(), devices.end()}, kinds, std::move(sink));
}

void Runtime::pause(SessionState& s, bool paused) {
  Dispatcher::Actions actions;
  Batch batch(*this);
  {
    std::lock_guard lock(mutex_);
    dispatcher_.pause_session(s.id, paused, actions);
    in_flight_ += actions.start.size();
  }
  perform(actions, batch);
}

// Running tasks complete at once, as cancelled; their devices give the slots back when they have stopped.
void Runtime::close(const std::shared_ptr<SessionState>& s) {
  if (s->closed.exchange(true)) return;
  Dispatcher::Actions actions;
  {
    std::lock_guard lock(mutex_);
    dispatcher_.close_session(s->id, actions);
    sessions_.erase(s->id);
    in_flight_ += actions.start.size();
  }
  {
    Batch batch(*this);
    const std::vector<TicketPtr> running = actions.stop;
    perform(actions, batch);
    for (const auto& t : running) {
      Result result;
      result.failure = {ErrorCode::kCancelled, "the session was closed while the task ran"};
      batch.complete(std::static_pointer_cast<Job>(t), std::move(result));
    }
  }
  events_.subscribe(s->id, {}, 0, nullptr);
  for (uint64_t left = s->outstanding; left != 0; left = s->outstanding) s->outstanding.wait(left);
  std::unique_lock lock(s->sink_mutex);
  s->sink = nullptr;
}

// ---- the client's side

LocalSession::~LocalSession() { runtime_->close(state_); }

void LocalSession::check_open() const {
  if (state_->closed) throw Error(ErrorCode::kClosed, "the session was closed");
}

void LocalSession::set_sink(Sink sink) {
  std::unique_lock lock(state_->sink_mutex);
  state_->sink = std::move(sink);
}

void LocalSession::open_stream(StreamId stream, std::span<const DeviceId> devices, Order order, const JobSpec* job) {
  if (job) throw Error(ErrorCode::kUnsupported, "jobs are not offered by this runtime");
  check_open();
  runtime_->open_stream(*state_, stream, devices, order);
}

void LocalSession::close_stream(StreamId stream) { runtime_->close_stream(*state_, stream); }

void LocalSession::submit(std::vector<Task>&& tasks) {
  check_open();
  runtime_->submit(state_, std::move(tasks));
}

void LocalSession::subscribe(std::span<const DeviceId> devices, uint32_t kinds, EventSink sink) {
  check_open();
  runtime_->subscribe(*state_, devices, kinds, std::move(sink));
}

void LocalSession::cancel(std::span<const TaskId> tasks) { runtime_->cancel(*state_, tasks); }
void LocalSession::close() { runtime_->close(state_); }
void LocalSession::pause(bool paused) { runtime_->pause(*state_, paused); }

}  // namespace qfw::qpm
