#include "qpi/native/queue.h"

#include <algorithm>
#include <string>

#include "qpi/native/router.h"

namespace qfw::qpi {

CompletionQueue::CompletionQueue(size_t capacity, std::weak_ptr<Router> router)
    : capacity_(capacity), router_(std::move(router)) {
  if (capacity == 0)
    throw Error(ErrorCode::kInvalidArgument, "a completion queue's capacity is 0; it must be at least 1");
}

void CompletionQueue::reserve(size_t count) {
  fork_guard_.check("this completion queue");
  Lock lock(mutex_);
  if (closed_) throw Error(ErrorCode::kClosed, "the completion queue is closed");
  const size_t held = entries_.size() + expected_;
  if (count > capacity_ || held > capacity_ - count)
    throw Error(ErrorCode::kResourceExhausted,
                "the completion queue holds " + std::to_string(entries_.size()) + " unread entries and awaits " +
                    std::to_string(expected_) + "; with " + std::to_string(count) +
                    " more it would pass its capacity of " + std::to_string(capacity_) + ": read it first",
                true, 0.001);
  expected_ += count;
}

void CompletionQueue::unreserve(size_t count) noexcept {
  Lock lock(mutex_);
  expected_ -= std::min(count, expected_);
  if (expected_ == 0 && waiters_ > 0) arrived_.notify_all();
}

void CompletionQueue::deliver(OperationPtr operation) noexcept {
  Lock lock(mutex_);
  if (expected_ > 0) --expected_;
  const bool failed = static_cast<bool>(operation->failure());
  if (failed) errors_.push_back(popped_ + entries_.size());
  entries_.push_back(std::move(operation));
  update_level();
  if (waiters_ > 0 && (failed || expected_ == 0 || entries_.size() >= wake_at_)) arrived_.notify_all();
}

bool CompletionQueue::ready(size_t at_least) const noexcept {
  if (entries_.size() >= at_least) return true;
  return !entries_.empty() && (expected_ == 0 || !errors_.empty() || closed_);
}

bool CompletionQueue::await(Lock& lock, size_t at_least, Deadline deadline, bool& signalled) {
  const uint64_t signals = signals_;
  while (!ready(at_least)) {
    if (closed_) throw Error(ErrorCode::kClosed, "the completion queue is closed and empty");
    if (deadline.passed()) return false;
    if (auto router = router_.lock()) {
      lock.unlock();
      const bool helped = router->help();
      router.reset();
      lock.lock();
      if (helped) continue;
    }
    if (signals_ != signals) {
      signalled = true;
      return false;
    }
    if (ready(at_least) || closed_) continue;
    if (waiters_++ == 0) wake_at_ = at_least;
    wake_at_ = std::min(wake_at_, at_least);
    const bool more = deadline.sleep(arrived_, lock);
    --waiters_;
    if (signals_ != signals) signalled = true;
    if ((!more || signalled) && !ready(at_least)) {
      if (closed_) continue;
      return false;
    }
  }
  return true;
}

OperationPtr CompletionQueue::pop() {
  OperationPtr head = std::move(entries_.front());
  entries_.pop_front();
  ++popped_;
  return head;
}

ReadStatus CompletionQueue::read(std::vector<OperationPtr>& out, size_t max, size_t at_least, Deadline deadline) {
  fork_guard_.check("this completion queue");
  Lock lock(mutex_);
  bool signalled = false;
  if (!await(lock, deadline.poll() ? 1 : std::max<size_t>(at_least, 1), deadline, signalled))
    return signalled ? ReadStatus::kSignalled : deadline.poll() ? ReadStatus::kEmpty : ReadStatus::kTimeout;
  size_t count = std::min(max, entries_.size());
  if (!errors_.empty()) {
    if (errors_.front() == popped_) return ReadStatus::kError;
    count = std::min<size_t>(count, errors_.front() - popped_);
  }
  out.reserve(out.size() + count);
  for (size_t i = 0; i < count; ++i) out.push_back(pop());
  update_level();
  return ReadStatus::kEntries;
}

OperationPtr CompletionQueue::read_error() {
  fork_guard_.check("this completion queue");
  Lock lock(mutex_);
  if (errors_.empty() || errors_.front() != popped_) return nullptr;
  errors_.pop_front();
  auto head = pop();
  update_level();
  return head;
}

void CompletionQueue::put_back(OperationPtr operation) {
  Lock lock(mutex_);
  --popped_;  // may wrap: positions are only compared with one another
  if (operation->failure()) errors_.push_front(popped_);
  entries_.push_front(std::move(operation));
  update_level();
  arrived_.notify_all();
}

bool CompletionQueue::wait(Deadline deadline) {
  fork_guard_.check("this completion queue");
  Lock lock(mutex_);
  bool signalled = false;
  return await(lock, 1, deadline, signalled);
}

void CompletionQueue::signal() {
  Lock lock(mutex_);
  ++signals_;
  arrived_.notify_all();
}

uint64_t CompletionQueue::signals() const {
  Lock lock(mutex_);
  return signals_;
}

int CompletionQueue::fd() {
  fork_guard_.check("this completion queue");
  Lock lock(mutex_);
  return level_.fd(!entries_.empty() || closed_, "a completion queue");
}

bool CompletionQueue::closed() const {
  Lock lock(mutex_);
  return closed_;
}

size_t CompletionQueue::size() const {
  Lock lock(mutex_);
  return entries_.size();
}

size_t CompletionQueue::outstanding() const {
  Lock lock(mutex_);
  return expected_;
}

void CompletionQueue::close() {
  if (fork_guard_.forked()) return;
  Lock lock(mutex_);
  closed_ = true;
  update_level();
  arrived_.notify_all();
}

}  // namespace qfw::qpi
