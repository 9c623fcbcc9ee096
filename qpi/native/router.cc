#include "qpi/native/router.h"

#include <algorithm>
#include <string>
#include <utility>

#include "qpi/native/router_inner.h"

namespace qfw::qpi {
namespace {

uint64_t nanoseconds(Clock::duration d) noexcept {
  return static_cast<uint64_t>(std::max<int64_t>(0, std::chrono::nanoseconds(d).count()));
}

// The parts up to execution come from the runtime; the way back is what is left of the wall time.
void settle(qpm::Timing& t, uint64_t wall, uint64_t convert_ns, uint64_t tools_ns) noexcept {
  t.convert_ns = convert_ns;
  t.tools_ns = tools_ns;
  const uint64_t inside = t.queue_ns + t.dispatch_ns + t.execute_ns;
  if (inside + t.transfer_ns > wall) t.transfer_ns = wall > inside ? wall - inside : 0;
  const uint64_t known = inside + t.transfer_ns;
  t.return_ns = wall > known ? wall - known : 0;
}

}  // namespace

std::shared_ptr<Router> Router::over(std::shared_ptr<qpm::Session> session) {
  std::shared_ptr<Router> router(new Router(session));
  session->set_sink([weak = std::weak_ptr<Router>(router)](std::vector<qpm::Completion>&& completions) {
    if (auto self = weak.lock()) self->on_completions(std::move(completions));
  });
  return router;
}

Router::Router(std::shared_ptr<qpm::Session> session)
    : window_(std::max(1u, session->window())), session_(std::move(session)) {}

Router::~Router() { close(); }

void Router::check_open(const StreamState* stream) const {
  if (closed_) throw Error(ErrorCode::kClosed, "the context is closed");
  if (stream && stream->closed) throw Error(ErrorCode::kClosed, "the stream is closed");
}

std::shared_ptr<qpm::Session> Router::session() {
  check_alive();
  Lock lock(mutex_);
  check_open(nullptr);
  return session_;
}

size_t Router::outstanding() const {
  Lock lock(mutex_);
  return outstanding_;
}

std::shared_ptr<StreamState> Router::open(std::span<const qpm::DeviceInfo> devices, qpm::Order order, bool all,
                                          const qpm::JobSpec* job) {
  if (all && job) throw Error(ErrorCode::kUnsupported, "a job on all devices of a mesh; name a stream on any of them");
  auto live = session();
  auto stream = std::make_shared<StreamState>();
  stream->order = order;
  for (const auto& device : devices) {
    stream->devices.push_back(device.id);
    stream->names.push_back(device.name);
  }
  {
    Lock lock(mutex_);
    for (size_t i = 0; i < (all ? devices.size() : 1); ++i) stream->ids.push_back(++next_stream_);
  }
  for (size_t i = 0; i < stream->ids.size(); ++i)
    live->open_stream(stream->ids[i], all ? std::span(&stream->devices[i], 1) : std::span(stream->devices), order, job);
  return stream;
}

void Router::close(StreamState& stream) {
  if (fork_guard_.forked()) return;
  std::shared_ptr<qpm::Session> live;
  Garbage garbage;
  {
    Lock lock(mutex_);
    if (stream.closed) return;
    stream.closed = true;
    live = session_;
    drop_held(stream, nullptr, {ErrorCode::kCancelled, "the stream was closed", false, 0.0}, garbage);
    changed_.notify_all();
  }
  if (!live) return;
  for (const qpm::StreamId id : stream.ids) live->close_stream(id);
}

// ---- the list of a stream's outstanding operations -----------------------------------------------------------------

void Router::free_slots(Operation* operation) {
  for (qpm::TaskId id : operation->tasks)
    if (Slot* slot = slots_.find(id)) slots_.free(*slot);
}

void Router::link(Operation* operation) {
  StreamState& stream = *operation->stream;
  operation->previous = stream.last;
  (stream.last ? stream.last->next : stream.first) = operation;
  stream.last = operation;
  ++stream.outstanding;
}

void Router::unlink(Operation* operation) {
  StreamState& stream = *operation->stream;
  (operation->previous ? operation->previous->next : stream.first) = operation->next;
  (operation->next ? operation->next->previous : stream.last) = operation->previous;
  operation->previous = operation->next = nullptr;
  --stream.outstanding;
}

// ---- completions ---------------------------------------------------------------------------------------------------

void Router::on_completions(std::vector<qpm::Completion>&& completions) {
  Garbage garbage;
  const auto now = Clock::now();
  Lock lock(mutex_);
  for (auto& completion : completions)
    if (Slot* slot = slots_.find(completion.task)) store(*slot, std::move(completion.result), now, garbage);
  notify();
  lock.unlock();
}

void Router::notify() {
  if (waiters_ > 0 && credit() >= wanted_) changed_.notify_all();
  credit_level_.set(credit() > 0 && held_ < window_);
  if (backlogs_.empty() || closed_) return;
  if (std::none_of(backlogs_.begin(), backlogs_.end(), [&](const auto& s) { return can_go(*s); })) return;
  if (!backlog_thread_.joinable()) backlog_thread_ = std::thread([self = shared_from_this()] { self->run_backlog(); });
  backlog_wake_.notify_one();
}

void Router::store(Slot& slot, qpm::Result&& result, Clock::time_point now, Garbage& garbage) {
  if (slot.done) return;  // a second completion of one task: the transport's defect, not worth dying for
  slot.done = true;
  --outstanding_;
  Operation* operation = slot.operation;
  settle(result.timing, nanoseconds(now - operation->start), slot.convert_ns, slot.tools_ns);
  operation->results[slot.index] = std::move(result);
  if (--operation->remaining == 0) finish(operation, garbage);
}

// Of a task on several devices: one failure that names those that failed.
void Router::summarize(Operation& operation) {
  const auto& names = operation.stream->names;
  if (operation.kind != Kind::kTask || operation.stream->ids.size() < 2) return;
  const size_t each = std::max<size_t>(1, operation.results.size() / names.size());
  std::vector<const qpm::Failure*> failures(names.size());
  for (size_t i = operation.results.size(); i-- > 0;)  // of several on one device the first says why
    if (operation.results[i].failure) failures[std::min(i / each, names.size() - 1)] = &operation.results[i].failure;
  operation.whole = failure_of(names, failures);
}

void Router::finish(Operation* operation, Garbage& garbage) {
  free_slots(operation);
  operation->finished = true;
  summarize(*operation);
  if (!operation->stream->sequential()) return deliver(operation, garbage);
  auto stream = operation->stream;  // a cancelled task may be done before the one ahead of it
  while (stream->first && stream->first->finished) deliver(stream->first, garbage);
}

void Router::deliver(Operation* operation, Garbage& garbage) {
  unlink(operation);
  if (operation->stream->outstanding == 0 && waiters_ > 0) changed_.notify_all();
  OperationPtr owned(operation);
  auto receiver = std::move(owned->receiver);
  auto errors = std::move(owned->errors);
  if (errors && owned->failure()) receiver.swap(errors);
  if (errors) {
    errors->unreserve(1);
    garbage.receivers.push_back(std::move(errors));
  }
  if (!receiver) {
    garbage.operations.push_back(std::move(owned));
    return;
  }
  receiver->deliver(std::move(owned));
  garbage.receivers.push_back(std::move(receiver));
}

// ---- waiting -------------------------------------------------------------------------------------------------------

bool Router::help() {
  if (fork_guard_.forked()) return false;
  std::shared_ptr<qpm::Session> live;
  {
    Lock lock(mutex_);
    live = session_;
  }
  return live && live->help();
}

bool Router::wait_credit(size_t count, Deadline deadline) {
  check_alive();
  static const StreamState any;
  const size_t wanted = std::clamp<size_t>(count, 1, window_);
  Lock lock(mutex_);
  check_open(nullptr);
  return await(lock, deadline, wanted, &any, [&] { return credit() >= wanted; });
}

bool Router::wait(StreamState& stream, Deadline deadline) {
  check_alive();
  Lock lock(mutex_);
  return await(lock, deadline, 0, nullptr, [&] { return stream.outstanding == 0; });
}

int Router::credit_fd() {
  check_alive();
  Lock lock(mutex_);
  return credit_level_.fd(credit() > 0 && held_ < window_, "the credit of a context");
}

// ---- cancelling and closing ----------------------------------------------------------------------------------------

namespace {
const qpm::Failure kCancelled{ErrorCode::kCancelled, "the task was cancelled before it was sent", false, 0.0};
}

void Router::cancel_tasks(const std::vector<qpm::TaskId>& tasks) {
  if (tasks.empty()) return;
  std::shared_ptr<qpm::Session> live;
  {
    Lock lock(mutex_);
    live = session_;
  }
  if (live) live->cancel(tasks);
}

Operation* Router::find(const StreamState& stream, OperationId id) {
  if (const Slot* slot = slots_.find(id); slot && slot->operation->id == id)
    return slot->operation->stream.get() == &stream ? slot->operation : nullptr;
  for (Operation* o = stream.first; o; o = o->next)  // one that had to wait has an id that is no task's
    if (o->id == id) return o;
  return nullptr;
}

void Router::cancel(StreamState& stream, OperationId id) {
  check_alive();
  std::vector<qpm::TaskId> tasks;
  Garbage garbage;
  {
    Lock lock(mutex_);
    check_open(nullptr);
    Operation* operation = find(stream, id);
    if (!operation || operation->finished)
      throw Error(ErrorCode::kNotFound, "operation " + std::to_string(id) + " is not outstanding in this stream");
    tasks = operation->tasks;
    operation->cancelled = true;
    drop_held(stream, operation, kCancelled, garbage);
    notify();
  }
  cancel_tasks(tasks);
}

void Router::cancel_all(StreamState& stream) {
  check_alive();
  std::vector<qpm::TaskId> tasks;
  Garbage garbage;
  {
    Lock lock(mutex_);
    if (closed_) return;
    for (Operation* o = stream.first; o; o = o->next) {
      if (o->finished) continue;
      o->cancelled = true;
      tasks.insert(tasks.end(), o->tasks.begin(), o->tasks.end());
    }
    drop_held(stream, nullptr, kCancelled, garbage);
    notify();
  }
  cancel_tasks(tasks);
}

void Router::cancel_everything() {
  check_alive();
  std::vector<qpm::TaskId> tasks;
  Garbage garbage;
  {
    Lock lock(mutex_);
    check_open(nullptr);
    for (const Slot& slot : slots_.all()) {
      if (!slot.operation || slot.done) continue;
      slot.operation->cancelled = true;
      tasks.push_back(slot.id);
    }
    for (const auto& stream : std::vector(backlogs_)) drop_held(*stream, nullptr, kCancelled, garbage);
    notify();
  }
  std::sort(tasks.begin(), tasks.end());  // as they were submitted
  cancel_tasks(tasks);
}

std::vector<size_t> Router::unfinished(StreamState& stream, OperationId id) {
  Lock lock(mutex_);
  std::vector<size_t> missing;
  const Operation* operation = find(stream, id);
  if (!operation) return missing;
  for (size_t i = 0; i < operation->results.size(); ++i) {
    const Slot* part = i < operation->tasks.size() ? slots_.find(operation->tasks[i]) : nullptr;
    if (!part || !part->done) missing.push_back(i);
  }
  return missing;
}

void Router::close() {
  std::shared_ptr<qpm::Session> live;
  if (fork_guard_.forked()) {  // the threads behind this session live in the parent
    if (session_) new std::shared_ptr<qpm::Session>(std::move(session_));
    if (backlog_thread_.joinable()) new std::thread(std::move(backlog_thread_));
    return;
  }
  {
    Lock lock(mutex_);
    if (closed_) return;
    closed_ = true;
    live = std::move(session_);
    session_.reset();
    changed_.notify_all();
  }
  live->close();
  stop_backlog();
  const qpm::Failure reason{ErrorCode::kCancelled, "the context was closed", false, 0.0};
  Garbage garbage;
  const auto now = Clock::now();
  Lock lock(mutex_);
  for (const auto& stream : std::vector(backlogs_)) drop_held(*stream, nullptr, reason, garbage);
  for (Slot& slot : slots_.all())  // whatever the transport has left without an end
    if (slot.operation && !slot.done) store(slot, failed(reason), now, garbage);
  changed_.notify_all();
  lock.unlock();
}

qpm::Result Router::failed(const qpm::Failure& failure) {
  qpm::Result result;
  result.failure = failure;
  return result;
}

qpm::Failure Router::no_credit() const {
  Lock lock(mutex_);
  return full();
}

qpm::Failure Router::full() const {
  std::string words = "no credit: " + std::to_string(outstanding_) + " tasks are outstanding";
  if (held_) words += " and " + std::to_string(held_) + " wait for their turn,";
  return {ErrorCode::kResourceExhausted, words + " and the session's window is " + std::to_string(window_), true,
          0.001};
}

}  // namespace qfw::qpi
