#include "qpm/native/session.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "qpm/native/batch.h"
#include "qpm/native/method.h"
#include "simenv/native/simulator.h"

namespace qfw::qpm {
namespace {

constexpr uint64_t kJobListBytes = 32ull << 20;  // of metadata in one answer
constexpr double kInlineNs = 50e3;  // a message of tasks up to this long together runs on the submitting thread

}  // namespace

void SessionState::note(std::span<const Completion> completions) {
  if (!has_jobs) return;
  std::vector<NamedJobPtr> named;
  {
    std::lock_guard lock(streams_mutex);
    for (const auto& c : completions) {
      auto found = streams.find(c.stream);
      if (found == streams.end() || !found->second.job) continue;
      if (std::find(named.begin(), named.end(), found->second.job) == named.end()) named.push_back(found->second.job);
    }
  }
  for (auto& job : named) {
    const double now = unix_seconds();
    NamedJob::Noted noted = job->completed(*this, completions, table->limits().job_bytes, now);
    table->took(noted.bytes, noted.ended, now);
    for (auto& [place, copies] : noted.copies)
      if (auto other = place.session.lock()) other->forward(std::move(copies));
  }
}

void SessionState::forward(std::vector<Completion>&& completions) {
  std::shared_lock lock(sink_mutex);
  if (sink && !completions.empty()) sink(std::move(completions));
}

void SessionState::deliver(std::vector<Completion>&& completions) {
  note(completions);
  std::shared_lock lock(sink_mutex);
  const uint64_t n = completions.size();
  if (outstanding.fetch_sub(n) == n && closed) outstanding.notify_all();
  if (sink) sink(std::move(completions));
}

// ---- the runtime's side

std::shared_ptr<Session> Runtime::session(double weight) {
  reap();
  auto state = std::make_shared<SessionState>();
  state->table = table_;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) throw Error(ErrorCode::kClosed, "the runtime was stopped");
    state->id = next_session_++;
    dispatcher_.open_session(state->id, weight);
    sessions_[state->id] = state;
  }
  return std::make_shared<LocalSession>(shared_from_this(), std::move(state));
}

void Runtime::open_stream(const std::shared_ptr<SessionState>& s, StreamId stream, std::span<const DeviceId> devices,
                          Order order, const JobSpec* job) {
  SessionState::Stream entry{{devices.begin(), devices.end()}, order, nullptr, false};
  std::vector<StreamId> over;  // jobs that ended after their client had closed them
  {
    std::lock_guard lock(s->streams_mutex);
    for (const auto& [id, old] : s->streams)
      if (old.ending && old.job->ended_s() != 0.0) over.push_back(id);
  }
  for (StreamId id : over) drop_stream(*s, id);
  {
    std::lock_guard lock(mutex_);
    dispatcher_.open_stream(s->id, stream, entry.devices, order);
  }
  try {
    if (job) entry.job = table_->open(*job, s, stream, unix_seconds());
  } catch (const Error&) {
    drop_stream(*s, stream);
    throw;
  }
  std::lock_guard lock(s->streams_mutex);
  if (entry.job) s->has_jobs = true;
  s->streams[stream] = std::move(entry);
}

void Runtime::close_stream(SessionState& s, StreamId stream) {
  NamedJobPtr left;
  {
    std::lock_guard lock(s.streams_mutex);
    if (auto node = s.attached.extract(stream)) left = std::move(node.mapped());
    if (auto found = s.streams.find(stream); found != s.streams.end() && found->second.job) {
      found->second.job->closed(unix_seconds());
      found->second.ending = found->second.job->ended_s() == 0.0;
      if (found->second.ending) return;
    }
  }
  if (left) return left->leave(s, stream);
  drop_stream(s, stream);
}

void Runtime::drop_stream(SessionState& s, StreamId stream) {
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
  if (job.work.program && wants_auto(job.work) && admit_auto(job, devices)) return;
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

// Books the memory that a task keeps until it has completed; one that there is no room for is doomed.
void Runtime::hold(Job& job) {
  const Task& t = job.work;
  uint64_t bytes = sizeof(Job) + 64 + t.bindings.values.size() * sizeof(double);
  for (const auto& sum : t.observables)
    for (const auto& term : sum.terms) bytes += sizeof(term) + term.factors.size() * sizeof(term.factors[0]);
  const uint64_t before = held_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  job.bytes = bytes;
  if (before + bytes <= max_queue_bytes_) return;
  held_bytes_.fetch_sub(std::exchange(job.bytes, 0), std::memory_order_relaxed);
  job.doom = {ErrorCode::kResourceExhausted,
              "a task of " + std::to_string(bytes) + " bytes; unfinished tasks hold " + std::to_string(before) +
                  " of the runtime's " + std::to_string(max_queue_bytes_),
              true, 0.1};
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
    if (draining_)
      job->doom = {ErrorCode::kUnavailable, "the runtime is being stopped and takes no new tasks", true, 1.0};
    hold(*job);
    if (known) admit(*job, stream.devices);  // an unknown stream is the dispatcher's to refuse
    if (known && stream.job) job->named = stream.job;
    if (job->named && !job->named->placed()) place(*job->named, stream.devices);
    jobs.push_back(std::move(job));
  }
  return jobs;
}

void Runtime::place(NamedJob& job, const std::vector<DeviceId>& devices) {
  uint64_t least = UINT64_MAX;
  {
    std::lock_guard lock(mutex_);
    for (DeviceId id : devices) least = std::min(least, dispatcher_.load(id));
  }
  job.ahead(devices.empty() ? 0 : least, completed_ + failed_);
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
      for (const auto& job : jobs) held_bytes_.fetch_sub(job->bytes, std::memory_order_relaxed);
      throw Error(ErrorCode::kClosed, "the session was closed");
    }
    for (auto& job : jobs) {
      if (job->named) job->named->submitted(job->task);
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

void Runtime::close(const std::shared_ptr<SessionState>& s, bool keep_jobs) {
  if (s->closed.exchange(true)) return;
  if (s->has_jobs && leave_jobs(*s) && keep_jobs && detach(s)) return;
  end(s);
}

// Tells its jobs that nothing more comes, and leaves those of others; whether something of its own is unfinished.
bool Runtime::leave_jobs(SessionState& s) {
  std::unordered_map<StreamId, NamedJobPtr> attached;
  bool unfinished = false;
  {
    std::lock_guard lock(s.streams_mutex);
    attached = std::exchange(s.attached, {});
    for (auto& [id, stream] : s.streams) {
      if (!stream.job) continue;
      stream.job->closed(unix_seconds());
      unfinished = unfinished || stream.job->ended_s() == 0.0;
    }
  }
  for (auto& [stream, job] : attached) job->leave(s, stream);
  return unfinished;
}

// The session goes on without its client, for its jobs alone; false when the runtime is being stopped.
bool Runtime::detach(const std::shared_ptr<SessionState>& s) {
  events_.subscribe(s->id, {}, 0, nullptr);
  {
    std::unique_lock running(s->sink_mutex);
    s->sink = nullptr;
  }
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    detached_.push_back(s);
  }
  std::vector<StreamId> plain;
  {
    std::lock_guard lock(s->streams_mutex);
    for (const auto& [id, stream] : s->streams)
      if (!stream.job) plain.push_back(id);
  }
  for (StreamId id : plain) drop_stream(*s, id);
  pause(*s, false);  // nobody takes its results slowly any more
  return true;
}

// Ends detached sessions whose jobs are done.
void Runtime::reap() {
  std::vector<std::shared_ptr<SessionState>> done;
  {
    std::lock_guard lock(mutex_);
    const auto idle = [](const auto& s) { return s->outstanding == 0; };
    std::copy_if(detached_.begin(), detached_.end(), std::back_inserter(done), idle);
    std::erase_if(detached_, idle);
  }
  for (auto& s : done) end(s);
}

std::vector<JobInfo> Runtime::jobs(std::span<const std::string> ids) {
  uint64_t bytes = 0;
  std::vector<JobInfo> out;
  for (const auto& job : table_->list(ids)) {
    out.push_back(job->info(completed_ + failed_));
    bytes += out.back().metadata.size();
    if (ids.empty() || bytes > kJobListBytes) out.back().metadata.clear();
    if (ids.empty()) out.back().task_ids.clear();
  }
  return out;
}

void Runtime::forget_job(const std::string& id) {
  const NamedJobPtr job = table_->find(id);
  table_->drop(*job);
  const auto [owner, tasks] = job->unfinished();
  if (owner && !tasks.empty()) cancel(*owner, tasks);
}

// Running tasks complete at once, as cancelled; their devices give the slots back when they have stopped.
void Runtime::end(const std::shared_ptr<SessionState>& s) {
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
  check_open();
  runtime_->open_stream(state_, stream, devices, order, job);
}

JobInfo LocalSession::job(const std::string& id) {
  check_open();
  return runtime_->table_->find(id)->info(runtime_->completed_ + runtime_->failed_);
}

void LocalSession::listen(StreamId stream, const std::string& id) {
  const NamedJobPtr job = runtime_->table_->find(id);
  {
    std::lock_guard lock(state_->streams_mutex);
    if (state_->streams.count(stream) || !state_->attached.emplace(stream, job).second)
      throw Error(ErrorCode::kInvalidArgument, "stream " + std::to_string(stream) + " is in use in this session");
    state_->has_jobs = true;
  }
  state_->forward(job->listen(state_, stream));
}

JobInfo LocalSession::attach_job(StreamId stream, const std::string& id) {
  JobInfo info = job(id);
  listen(stream, id);
  return info;
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

void LocalSession::cancel(std::span<const TaskId> tasks) {
  runtime_->cancel(*state_, tasks);
  if (!state_->has_jobs) return;
  std::vector<NamedJobPtr> attached;
  {
    std::lock_guard lock(state_->streams_mutex);
    for (const auto& [stream, job] : state_->attached) attached.push_back(job);
  }
  for (const auto& job : attached) {
    auto [owner, unfinished] = job->unfinished();
    std::erase_if(unfinished, [&](TaskId id) { return std::find(tasks.begin(), tasks.end(), id) == tasks.end(); });
    if (owner && !unfinished.empty()) runtime_->cancel(*owner, unfinished);
  }
}
void LocalSession::close() { runtime_->close(state_); }
void LocalSession::leave() { runtime_->close(state_, true); }
void LocalSession::pause(bool paused) { runtime_->pause(*state_, paused); }

}  // namespace qfw::qpm
