// The dispatcher's inner records: queues of tickets, and the lanes that hold them. Used by dispatch.cc only.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <utility>
#include <vector>

#include "qpm/native/dispatch.h"

namespace qfw::qpm {

// An intrusive list of tickets: removal from the middle costs nothing and allocates nothing.
class TicketQueue {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  Ticket* front() const noexcept { return head_; }

  void push_back(Ticket& t) noexcept {
    t.previous = tail_;
    t.next = nullptr;
    (tail_ ? tail_->next : head_) = &t;
    tail_ = &t;
  }

  void remove(Ticket& t) noexcept {
    (t.previous ? t.previous->next : head_) = t.next;
    (t.next ? t.next->previous : tail_) = t.previous;
    t.previous = t.next = nullptr;
  }

 private:
  Ticket* head_ = nullptr;
  Ticket* tail_ = nullptr;
};

// The queued tasks of one stream that may run on the same devices. A sequential stream has one lane, whose devices are
// those of its head; a parallel stream has one for each distinct set.
struct Lane {
  SessionId session = 0;
  Order order = Order::kParallel;
  bool paused = false;
  std::vector<DeviceId> devices;
  std::map<int32_t, TicketQueue, std::greater<>> queues;  // by priority; sequential: 0 alone
  size_t queued = 0;
  size_t running = 0;
  // Where it waits for a slot: its place in the share of each candidate device.
  std::vector<std::pair<DeviceId, std::list<Lane*>::iterator>> places;

  bool sequential() const noexcept { return order == Order::kSequential; }
  bool parked() const noexcept { return !places.empty(); }
  bool ready() const noexcept { return queued > 0 && !paused && !(sequential() && running > 0); }
  Ticket* head() const noexcept { return queues.empty() ? nullptr : queues.begin()->second.front(); }

  void push(Ticket& t) {
    queues[sequential() ? 0 : t.priority].push_back(t);
    ++queued;
  }
  void remove(Ticket& t) {
    auto q = queues.find(sequential() ? 0 : t.priority);
    q->second.remove(t);
    if (q->second.empty()) queues.erase(q);
    --queued;
  }
};

}  // namespace qfw::qpm
