// What a caller's thread sends: numbering, credit, and taking back what could not be handed over.
#include <algorithm>
#include <utility>

#include "qpi/native/router_inner.h"

namespace qfw::qpi {

Operation* Router::admit(Submission& to, Request& request) {
  auto* operation = new Operation;
  operation->kind = request.kind;
  operation->receiver = to.receivers.of(request.kind);
  operation->errors = to.receivers.errors;
  --to.unowned;
  if (operation->receiver || operation->errors) operation->context = std::move(request.context);  // else: nobody asks
  operation->expansions = std::move(request.expansions);
  operation->results.resize(request.tasks.size());
  operation->stream = to.stream;
  operation->tasks.reserve(request.tasks.size());
  operation->remaining = std::max<size_t>(1, request.tasks.size());
  operation->start = Clock::now();
  link(operation);
  return operation;
}

void Router::number(Operation* operation, Task& task, std::vector<qpm::Task>& message) {
  Slot& slot = slots_.allocate();
  slot.operation = operation;
  slot.index = static_cast<uint32_t>(operation->tasks.size());
  slot.convert_ns = task.convert_ns;
  slot.tools_ns = task.tools_ns;
  if (operation->id == 0) operation->id = slot.id;
  operation->tasks.push_back(slot.id);
  ++outstanding_;
  task.task.id = slot.id;
  task.task.stream = operation->stream->ids[std::min<size_t>(task.place, operation->stream->ids.size() - 1)];
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
  live.reset();
  lock.lock();
  return !failure;
}

// Operations that never reached the runtime disappear without a completion (unless close() completed them meanwhile).
void Router::withdraw(std::span<const OperationId> ids, Garbage& garbage) {
  for (OperationId id : ids) {
    Slot* slot = slots_.find(id);
    if (!slot) continue;
    Operation* operation = slot->operation;
    StreamState& stream = *operation->stream;
    for (qpm::TaskId task : operation->tasks)
      if (const Slot* part = slots_.find(task); part && !part->done) --outstanding_;
    free_slots(operation);
    const auto held = std::find_if(stream.backlog.begin(), stream.backlog.end(),
                                   [&](const Held& h) { return h.operation == operation; });
    if (held != stream.backlog.end()) take_off(stream, held);
    unlink(operation);
    OperationPtr owned(operation);
    if (owned->receiver) owned->receiver->unreserve(1);
    if (owned->errors) owned->errors->unreserve(1);
    garbage.operations.push_back(std::move(owned));
  }
  if (waiters_ > 0) changed_.notify_all();
}

// One message of as many requests as there is credit for; what of a group does not fit stays behind in the backlog.
// Throws when the message did not get away.
void Router::send(Lock& lock, Submission& to, std::span<Request> requests) {
  StreamState& stream = *to.stream;
  size_t left = credit();
  const size_t before = to.ids.size();
  std::vector<qpm::Task> message;
  message.reserve(std::min(left, requests.size()));
  bool exclusive = stream.sequential();
  for (Request& request : requests) {
    if (left == 0) break;
    Operation* operation = admit(to, request);
    const size_t count = std::min(left, request.tasks.size());
    for (Task& task : std::span(request.tasks).first(count)) number(operation, task, message);
    to.ids.push_back(operation->id);
    left -= count;
    if (count == request.tasks.size()) continue;
    queue_up(to.stream, {operation, std::move(request.tasks), count, {}});
    exclusive = true;
  }
  if (exclusive) stream.sending = true;  // nothing may overtake what is on its way
  qpm::Failure failure;
  const bool sent = hand_over(lock, std::move(message), failure);
  if (exclusive) stream.sending = false;
  if (!sent) {
    withdraw(std::span(to.ids).subspan(before), to.garbage);
    to.ids.resize(before);
  }
  notify();
  if (!sent) failure.raise();
}

// Waits until the next request can be sent, or can be held behind what waits already.
bool Router::await_room(Lock& lock, const Stream& stream, std::span<const Request> rest, Deadline deadline) {
  size_t tasks = 0;
  for (const Request& request : rest)
    if ((tasks += request.tasks.size()) >= window_) break;
  const size_t wanted = deadline.poll() ? 1 : std::clamp<size_t>(tasks, 1, std::max(1u, window_ / 4));
  return await(lock, deadline, wanted, stream.get(), [&, waits = rest.front().kind != Kind::kTask] {
    return waits || stream->blocked() ? held_ < window_ : credit() >= wanted;
  });
}

void Router::submit(Lock& lock, Submission& to, std::span<Request> requests, Deadline deadline) {
  while (to.ids.size() < requests.size()) {
    const auto rest = requests.subspan(to.ids.size());
    check_open(to.stream.get());
    if (!await_room(lock, to.stream, rest, deadline)) break;
    check_open(to.stream.get());
    if (rest.front().kind == Kind::kTask && !to.stream->blocked()) {
      send(lock, to, rest);
      continue;
    }
    hold(to, rest.front());
    advance(lock, to.stream, false, to.garbage);
    notify();
  }
}

std::vector<OperationId> Router::submit(const Stream& stream, std::span<Request> requests, const Receivers& receivers,
                                        Deadline credit) {
  check_alive();
  const auto& receiver = receivers.of(requests.front().kind);
  const auto unreserve = [](const std::shared_ptr<Receiver>& from, size_t count) {
    if (from && count) from->unreserve(count);
  };
  if (receiver) receiver->reserve(requests.size());
  try {
    if (receivers.errors) receivers.errors->reserve(requests.size());
  } catch (const Error&) {
    unreserve(receiver, requests.size());
    throw;
  }
  Submission submission{stream, receivers, requests.size(), {}, {}};
  submission.ids.reserve(requests.size());
  std::exception_ptr broken;
  {
    Lock lock(mutex_);
    try {
      submit(lock, submission, requests, credit);
    } catch (const Error&) {
      broken = std::current_exception();
    }
  }
  unreserve(receiver, submission.unowned);
  unreserve(receivers.errors, submission.unowned);
  if (broken && submission.ids.empty()) std::rethrow_exception(broken);
  return std::move(submission.ids);
}

}  // namespace qfw::qpi
