#include "qpi/native/router.h"

#include <pthread.h>

#include <algorithm>
#include <string>
#include <utility>

namespace qfw::qpi {
namespace {

std::atomic<uint64_t> fork_generation{0};

uint64_t watch_forks() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { fork_generation.fetch_add(1); });
  (void)registered;
  return fork_generation.load();
}

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

// What must be destroyed only after the lock is gone: destroying a caller's context may run the caller's code.
struct Router::Garbage {
  std::vector<OperationPtr> operations;
  std::vector<std::shared_ptr<Receiver>> receivers;
  bool wake = false;
};

std::shared_ptr<Router> Router::over(std::shared_ptr<qpm::Session> session) {
  std::shared_ptr<Router> router(new Router(session));
  session->set_sink([weak = std::weak_ptr<Router>(router)](std::vector<qpm::Completion>&& completions) {
    if (auto self = weak.lock()) self->on_completions(std::move(completions));
  });
  return router;
}

Router::Router(std::shared_ptr<qpm::Session> session)
    : generation_(watch_forks()), window_(std::max(1u, session->window())), session_(std::move(session)), ring_(64) {}

Router::~Router() { close(); }

void Router::check_alive() const {
  if (generation_ != fork_generation.load(std::memory_order_relaxed))
    throw Error(ErrorCode::kClosed, "this context was made before a fork(); the child must connect anew");
}

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

std::shared_ptr<StreamState> Router::open(std::span<const qpm::DeviceId> devices, qpm::Order order) {
  auto live = session();
  auto stream = std::make_shared<StreamState>();
  stream->order = order;
  {
    Lock lock(mutex_);
    stream->id = ++next_stream_;
  }
  live->open_stream(stream->id, devices, order);
  return stream;
}

void Router::close(StreamState& stream) {
  if (generation_ != fork_generation.load()) return;
  std::shared_ptr<qpm::Session> live;
  {
    Lock lock(mutex_);
    if (stream.closed) return;
    stream.closed = true;
    live = session_;
    changed_.notify_all();
  }
  if (live) live->close_stream(stream.id);
}

// ---- slots -----------------------------------------------------------------------------------------------------

Router::Slot* Router::find(qpm::TaskId id) {
  Slot& slot = ring_[id & (ring_.size() - 1)];
  return slot.operation && slot.id == id ? &slot : nullptr;
}

void Router::grow() {
  std::vector<Slot> larger(ring_.size() * 2);  // distinct modulo the old size means distinct modulo the new one
  for (Slot& slot : ring_)
    if (slot.operation) larger[slot.id & (larger.size() - 1)] = slot;
  ring_.swap(larger);
}

Router::Slot& Router::allocate() {
  if (used_ * 2 >= ring_.size()) grow();
  for (;;) {
    Slot& slot = ring_[++next_id_ & (ring_.size() - 1)];
    if (slot.operation) continue;  // a task that has been running for a whole turn of the ring
    slot = Slot{};
    slot.id = next_id_;
    ++used_;
    return slot;
  }
}

void Router::free_slots(Operation* operation) {
  for (qpm::TaskId id : operation->tasks)
    if (Slot* slot = find(id)) {
      slot->operation = nullptr;
      --used_;
    }
}

// ---- the list of a stream's outstanding operations -----------------------------------------------------------------

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
    if (Slot* slot = find(completion.task)) store(*slot, std::move(completion.result), now, garbage);
  if (waiters_ > 0 && (garbage.wake || window_ - outstanding_ >= wanted_)) changed_.notify_all();
  lock.unlock();
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

void Router::finish(Operation* operation, Garbage& garbage) {
  free_slots(operation);
  operation->finished = true;
  if (operation->stream->order == qpm::Order::kParallel) return deliver(operation, garbage);
  auto stream = operation->stream;  // a cancelled task may be done before the one ahead of it
  while (stream->first && stream->first->finished) deliver(stream->first, garbage);
}

void Router::deliver(Operation* operation, Garbage& garbage) {
  unlink(operation);
  if (operation->stream->outstanding == 0) garbage.wake = true;
  OperationPtr owned(operation);
  if (!owned->receiver) {
    garbage.operations.push_back(std::move(owned));
    return;
  }
  auto receiver = std::move(owned->receiver);
  receiver->deliver(std::move(owned));
  garbage.receivers.push_back(std::move(receiver));
}

// ---- waiting -------------------------------------------------------------------------------------------------------

bool Router::help() {
  std::shared_ptr<qpm::Session> live;
  {
    Lock lock(mutex_);
    live = session_;
  }
  return live && live->help();
}

// Until `credit` more tasks fit into the window, or, for credit 0, until the stream has nothing outstanding.
bool Router::await(Lock& lock, Deadline deadline, const StreamState* stream, size_t credit) {
  const auto reached = [&] { return credit ? window_ - outstanding_ >= credit : stream->outstanding == 0; };
  while (!reached()) {
    if (credit) check_open(stream);
    if (deadline.passed()) return false;
    auto live = session_;
    lock.unlock();
    const bool helped = live && live->help();
    live.reset();
    lock.lock();
    if (helped || reached() || (credit && (closed_ || stream->closed))) continue;
    if (waiters_++ == 0) wanted_ = window_;
    if (credit) wanted_ = std::min(wanted_, credit);
    const bool more = deadline.sleep(changed_, lock);
    --waiters_;
    if (!more && !reached()) return false;
  }
  return true;
}

bool Router::wait_credit(size_t count, Deadline deadline) {
  check_alive();
  static const StreamState any;
  Lock lock(mutex_);
  check_open(nullptr);
  return await(lock, deadline, &any, std::clamp<size_t>(count, 1, window_));
}

bool Router::wait(StreamState& stream, Deadline deadline) {
  check_alive();
  Lock lock(mutex_);
  return await(lock, deadline, &stream, 0);
}

// ---- submission ----------------------------------------------------------------------------------------------------

Operation* Router::admit(const std::shared_ptr<StreamState>& stream, Request& request,
                         const std::shared_ptr<Receiver>& receiver) {
  auto* operation = new Operation;
  if (receiver) operation->context = std::move(request.context);  // no queue bound, nothing kept
  operation->results.resize(request.tasks.size());
  operation->stream = stream;
  operation->receiver = receiver;
  operation->tasks.reserve(request.tasks.size());
  operation->remaining = request.tasks.size();
  operation->start = Clock::now();
  link(operation);
  return operation;
}

void Router::number(Operation* operation, Task& task, std::vector<qpm::Task>& message) {
  Slot& slot = allocate();
  slot.operation = operation;
  slot.index = static_cast<uint32_t>(operation->tasks.size());
  slot.convert_ns = task.convert_ns;
  slot.tools_ns = task.tools_ns;
  if (operation->tasks.empty()) operation->id = slot.id;
  operation->tasks.push_back(slot.id);
  ++outstanding_;
  task.task.id = slot.id;
  task.task.stream = operation->stream->id;
  message.push_back(std::move(task.task));
}

// Hands a message over without the lock; false leaves the reason in `failure`.
bool Router::hand_over(Lock& lock, std::vector<qpm::Task>&& message, qpm::Failure& failure) {
  auto live = session_;
  lock.unlock();
  try {
    if (!live) throw Error(ErrorCode::kClosed, "the context is closed");
    live->submit(std::move(message));
  } catch (const Error& e) {
    failure = qpm::Failure::of(e);
  }
  lock.lock();
  return !failure;
}

// Operations that never reached the runtime disappear without a completion (unless close() completed them meanwhile).
void Router::withdraw(std::span<const OperationId> ids, Garbage& garbage) {
  for (OperationId id : ids) {
    Slot* slot = find(id);
    if (!slot) continue;
    Operation* operation = slot->operation;
    for (qpm::TaskId task : operation->tasks)
      if (const Slot* part = find(task); part && !part->done) --outstanding_;
    free_slots(operation);
    unlink(operation);
    OperationPtr owned(operation);
    if (owned->receiver) owned->receiver->unreserve(1);
    garbage.operations.push_back(std::move(owned));
  }
  if (waiters_ > 0) changed_.notify_all();
}

size_t Router::send_singles(Lock& lock, const std::shared_ptr<StreamState>& stream, std::span<Request> requests,
                            const std::shared_ptr<Receiver>& receiver, std::vector<OperationId>& ids,
                            Garbage& garbage) {
  const size_t count = std::min<size_t>(requests.size(), window_ - outstanding_);
  const size_t before = ids.size();
  std::vector<qpm::Task> message;
  message.reserve(count);
  for (Request& request : requests.first(count)) {
    Operation* operation = admit(stream, request, receiver);
    number(operation, request.tasks.front(), message);
    ids.push_back(operation->id);
  }
  qpm::Failure failure;
  if (hand_over(lock, std::move(message), failure)) return count;
  withdraw(std::span(ids).subspan(before), garbage);
  ids.resize(before);
  failure.raise();
}

// A group goes out in pieces when it is larger than the credit; once its first piece is out, whatever stops the rest
// becomes the result of the rest.
OperationId Router::send_group(Lock& lock, const std::shared_ptr<StreamState>& stream, Request& request,
                               const std::shared_ptr<Receiver>& receiver, Deadline deadline, Garbage& garbage) {
  const size_t total = request.tasks.size();
  Operation* operation = admit(stream, request, receiver);
  OperationId id = 0;
  qpm::Failure failure;
  size_t sent = 0;
  while (sent < total && !failure) {
    try {
      if (!await(lock, deadline, stream.get(), std::min<size_t>(total - sent, std::max(1u, window_ / 4))))
        failure = full();
    } catch (const Error& e) {
      failure = qpm::Failure::of(e);
    }
    if (failure) break;
    const size_t count = std::min<size_t>(total - sent, window_ - outstanding_);
    std::vector<qpm::Task> message;
    message.reserve(count);
    for (size_t i = sent; i < sent + count; ++i) number(operation, request.tasks[i], message);
    id = operation->id;
    const auto ids =
        std::vector<qpm::TaskId>(operation->tasks.end() - static_cast<ptrdiff_t>(count), operation->tasks.end());
    if (hand_over(lock, std::move(message), failure)) {
      sent += count;
    } else if (sent > 0) {  // these were numbered, so they end like completions
      const auto now = Clock::now();
      sent += count;
      for (qpm::TaskId task : ids)
        if (Slot* slot = find(task)) store(*slot, failed(failure), now, garbage);
    }
  }
  if (!failure) return id;
  if (waiters_ > 0) changed_.notify_all();
  if (sent == 0) {
    if (id) {
      withdraw(std::span(&id, 1), garbage);
    } else {
      unlink(operation);
      if (receiver) receiver->unreserve(1);
      garbage.operations.emplace_back(operation);
    }
    failure.raise();
  }
  if (sent < total) {
    for (size_t i = sent; i < total; ++i) operation->results[i] = failed(failure);
    operation->remaining -= total - sent;
    if (operation->remaining == 0) finish(operation, garbage);
  }
  return id;
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
  return {ErrorCode::kResourceExhausted,
          "no credit: " + std::to_string(outstanding_) + " tasks are outstanding and the session's window is " +
              std::to_string(window_),
          true, 0.001};
}

std::vector<OperationId> Router::submit(const std::shared_ptr<StreamState>& stream, std::span<Request> requests,
                                        const std::shared_ptr<Receiver>& receiver, Deadline credit, Deadline whole) {
  check_alive();
  std::unique_lock<std::mutex> sequence;
  if (stream->order == qpm::Order::kSequential) sequence = std::unique_lock(stream->sequence);
  if (receiver) receiver->reserve(requests.size());
  std::vector<OperationId> ids;
  ids.reserve(requests.size());
  size_t reserved = requests.size();  // not yet owned by an operation
  Garbage garbage;
  try {
    Lock lock(mutex_);
    while (ids.size() < requests.size()) {
      check_open(stream.get());
      const auto rest = requests.subspan(ids.size());
      const bool group = rest.front().tasks.size() > 1;
      size_t singles = group ? 0 : 1;
      while (singles && singles < rest.size() && rest[singles].tasks.size() == 1) ++singles;
      const size_t tasks = group ? rest.front().tasks.size() : singles;
      if (!await(lock, credit, stream.get(), credit.poll() ? 1 : std::min<size_t>(tasks, std::max(1u, window_ / 4))))
        break;
      check_open(stream.get());
      if (group) {
        --reserved;
        ids.push_back(send_group(lock, stream, rest.front(), receiver, whole, garbage));
      } else {
        reserved -= std::min<size_t>(singles, window_ - outstanding_);
        send_singles(lock, stream, rest.first(singles), receiver, ids, garbage);
      }
    }
  } catch (const Error&) {
    if (receiver && reserved) receiver->unreserve(reserved);
    if (ids.empty()) throw;
    return ids;
  }
  if (receiver && reserved) receiver->unreserve(reserved);
  return ids;
}

// ---- cancelling and closing ----------------------------------------------------------------------------------------

void Router::cancel(StreamState& stream, OperationId id) {
  check_alive();
  std::vector<qpm::TaskId> tasks;
  std::shared_ptr<qpm::Session> live;
  {
    Lock lock(mutex_);
    check_open(nullptr);
    Slot* slot = find(id);
    if (!slot || slot->operation->stream.get() != &stream)
      throw Error(ErrorCode::kNotFound, "operation " + std::to_string(id) + " is not outstanding in this stream");
    tasks = slot->operation->tasks;
    live = session_;
  }
  live->cancel(tasks);
}

void Router::cancel_all(StreamState& stream) {
  check_alive();
  std::vector<qpm::TaskId> tasks;
  std::shared_ptr<qpm::Session> live;
  {
    Lock lock(mutex_);
    if (closed_) return;
    for (Operation* o = stream.first; o; o = o->next)
      if (!o->finished) tasks.insert(tasks.end(), o->tasks.begin(), o->tasks.end());
    live = session_;
  }
  if (!tasks.empty()) live->cancel(tasks);
}

std::vector<size_t> Router::unfinished(OperationId id) {
  Lock lock(mutex_);
  std::vector<size_t> found;
  const Slot* slot = find(id);
  if (!slot) return found;
  const Operation* operation = slot->operation;
  for (size_t i = 0; i < operation->results.size(); ++i) {
    const Slot* part = i < operation->tasks.size() ? find(operation->tasks[i]) : nullptr;
    if (!part || !part->done) found.push_back(i);
  }
  return found;
}

void Router::close() {
  std::shared_ptr<qpm::Session> live;
  if (generation_ != fork_generation.load()) {  // the threads behind this session live in the parent
    if (session_) new std::shared_ptr<qpm::Session>(std::move(session_));
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
  Garbage garbage;
  const auto now = Clock::now();
  Lock lock(mutex_);
  for (size_t i = 0; i < ring_.size(); ++i)  // whatever the transport has left without an end
    if (ring_[i].operation && !ring_[i].done)
      store(ring_[i], failed({ErrorCode::kCancelled, "the context was closed", false, 0.0}), now, garbage);
  changed_.notify_all();
  lock.unlock();
}

}  // namespace qfw::qpi
