// What cannot be sent at once: operations behind a barrier, the rest of a group that is larger than the credit, and
// what asks the runtime something. Callers' threads hand over what has become possible where they pass by anyway; the
// rest is for one thread of the context, since completions arrive where nothing may be submitted.
#include <algorithm>
#include <utility>

#include "qpi/native/router_inner.h"

namespace qfw::qpi {

void Router::hold(Submission& to, Request& request) {
  Operation* operation = admit(to, request);
  operation->id = slots_.number();
  to.ids.push_back(operation->id);
  queue_up(to.stream, {operation, std::move(request.tasks), 0, std::move(request.devices)});
}

void Router::queue_up(const Stream& stream, Held&& held) {
  held_ += held.weight();
  if (held.operation->kind == Kind::kBarrier) ++stream->gates;
  if (stream->backlog.empty()) backlogs_.push_back(stream);
  stream->backlog.push_back(std::move(held));
}

void Router::take_off(StreamState& stream, std::list<Held>::iterator held) {
  if (held->next < held->tasks.size() || held->tasks.empty()) held_ -= held->weight();
  if (held->operation->kind == Kind::kBarrier) --stream.gates;
  stream.backlog.erase(held);
  if (stream.backlog.empty()) std::erase_if(backlogs_, [&](const auto& s) { return s.get() == &stream; });
  if (waiters_ > 0) changed_.notify_all();  // there is room for another
}

// Whether the head of a stream's backlog may go.
bool Router::can_go(const StreamState& stream) const {
  if (stream.backlog.empty() || stream.sending || closed_) return false;
  const Held& head = stream.backlog.front();
  const Kind kind = head.operation->kind;
  if (kind == Kind::kBarrier || (kind == Kind::kQuery && stream.sequential())) return stream.first == head.operation;
  if (kind == Kind::kQuery) return true;
  const size_t most = waiters_ > 0 ? 1 : std::max(1u, window_ / 8);  // others want credit too: do not wait for much
  return credit() >= std::min(head.weight(), most);
}

// Goes on with a stream's backlog as far as it can; asks the runtime something only where this thread may wait for it.
void Router::advance(Lock& lock, const Stream& stream, bool may_block, Garbage& garbage) {
  garbage.streams.push_back(stream);
  while (can_go(*stream)) {
    Operation* head = stream->backlog.front().operation;
    if (head->kind == Kind::kTask) {
      send_held(lock, stream, garbage);
    } else if (head->kind == Kind::kBarrier) {
      take_off(*stream, stream->backlog.begin());
      finish(head, garbage);
    } else if (may_block) {
      ask_devices(lock, stream, garbage);
    } else {
      return;
    }
  }
}

// One message of the task or group at the head. It was accepted, so whatever stops it now is its result.
void Router::send_held(Lock& lock, const Stream& stream, Garbage& garbage) {
  Held& head = stream->backlog.front();
  Operation* operation = head.operation;
  const size_t count = std::min(credit(), head.weight());
  std::vector<qpm::Task> message;
  message.reserve(count);
  for (size_t i = 0; i < count; ++i) number(operation, head.tasks[head.next++], message);
  held_ -= count;
  if (waiters_ > 0) changed_.notify_all();  // there is room for others
  const std::vector<qpm::TaskId> ids(operation->tasks.end() - static_cast<ptrdiff_t>(count), operation->tasks.end());
  if (head.next == head.tasks.size()) take_off(*stream, stream->backlog.begin());
  stream->sending = true;
  qpm::Failure failure;
  const bool sent = hand_over(lock, std::move(message), failure);
  stream->sending = false;
  if (!sent) {
    const auto now = Clock::now();
    for (qpm::TaskId id : ids)
      if (Slot* slot = slots_.find(id)) store(*slot, failed(failure), now, garbage);
    return;
  }
  // Cancelled while they were on their way: the runtime may not have known them.
  const auto unwanted = [&](qpm::TaskId id) {
    const Slot* slot = slots_.find(id);
    return slot && !slot->done && slot->operation->cancelled;
  };
  std::vector<qpm::TaskId> late;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(late), unwanted);
  if (late.empty()) return;
  lock.unlock();
  cancel_tasks(late);
  lock.lock();
}

void Router::ask_devices(Lock& lock, const Stream& stream, Garbage& garbage) {
  Operation* operation = stream->backlog.front().operation;
  auto wanted = std::move(stream->backlog.front().devices);
  if (wanted.empty()) wanted = stream->devices;
  take_off(*stream, stream->backlog.begin());
  if (stream->sequential()) stream->sending = true;
  auto live = session_;
  lock.unlock();
  std::vector<qpm::DeviceInfo> found;
  qpm::Failure failure;
  try {
    found = live->devices();
  } catch (const Error& e) {
    failure = qpm::Failure::of(e);
  }
  live.reset();
  lock.lock();
  if (stream->sequential()) stream->sending = false;
  for (const qpm::DeviceId id : wanted)
    for (auto& info : found)
      if (info.id == id) operation->devices.push_back(info);
  operation->whole = std::move(failure);
  finish(operation, garbage);
}

// Ends what a stream holds, or one operation of it, with a reason; what was sent of it is not touched.
void Router::drop_held(StreamState& stream, const Operation* only, const qpm::Failure& reason, Garbage& garbage) {
  for (auto held = stream.backlog.begin(); held != stream.backlog.end();) {
    const auto here = held++;
    Operation* operation = here->operation;
    if (only && operation != only) continue;
    if (operation->kind != Kind::kTask) operation->whole = reason;
    for (size_t i = here->next; i < here->tasks.size(); ++i) operation->results[i] = failed(reason);
    operation->remaining -= here->weight();
    if (here->operation->stream.get() == &stream) garbage.streams.push_back(operation->stream);
    take_off(stream, here);
    if (operation->remaining == 0) finish(operation, garbage);
  }
}

void Router::run_backlog() {
  Lock lock(mutex_);
  while (!closed_) {
    Stream ready;
    for (size_t i = 0; i < backlogs_.size() && !ready; ++i) {
      const auto& candidate = backlogs_[(turn_ + i) % backlogs_.size()];
      if (can_go(*candidate)) ready = candidate;
    }
    if (!ready) {
      backlog_wake_.wait(lock);
      continue;
    }
    ++turn_;
    Garbage garbage;
    advance(lock, ready, true, garbage);
    notify();
    ready.reset();
    lock.unlock();
    garbage = {};
    lock.lock();
  }
}

void Router::stop_backlog() {
  std::thread thread;
  {
    Lock lock(mutex_);
    backlog_wake_.notify_all();
    thread.swap(backlog_thread_);
  }
  if (!thread.joinable()) return;
  if (thread.get_id() == std::this_thread::get_id())
    thread.detach();  // a caller's context, destroyed here, held the last reference
  else
    thread.join();
}

}  // namespace qfw::qpi
