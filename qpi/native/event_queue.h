// What devices and the system have to say, apart from tasks, for the application to read.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "qpi/native/deadline.h"
#include "qpi/native/fork.h"
#include "qpi/native/level.h"
#include "qpm/api/native/event.h"
#include "qpm/api/native/session.h"

namespace qfw::qpi {

struct EventFilter {
  std::vector<qpm::DeviceId> devices;  // none: all, those of other queues and of the runtime as a whole too
  uint32_t kinds = qpm::kAllEvents;    // bits
  bool wants(const qpm::Event& event) const;
};

// Bounded: of events that are not read in time the oldest go, and how many went is said where they were (`lost` of the
// event after them).
class EventQueue {
 public:
  static constexpr size_t kDefaultCapacity = 4096;

  EventQueue(EventFilter filter, size_t capacity);
  ~EventQueue() { close(); }
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  // Waits for the first, then takes up to `max`; an empty list at the deadline. Throws kClosed when closed and empty.
  std::vector<qpm::Event> read(size_t max, Deadline deadline);
  int fd();  // readable exactly while events are there, or the queue is closed; the queue's own
  size_t size() const;
  void close();  // the runtime is told that nobody listens any more; what is there can still be read

  const EventFilter& filter() const noexcept { return filter_; }
  void push(const qpm::Event& event);
  void on_close(std::function<void()> then) { on_close_ = std::move(then); }

 private:
  const ForkGuard fork_guard_;
  const EventFilter filter_;
  const size_t capacity_;
  std::function<void()> on_close_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<qpm::Event> events_;
  Level level_;
  bool closed_ = false;
};

// The queues of one context and the subscription that they need together: none while there is no queue.
class EventSource : public std::enable_shared_from_this<EventSource> {
 public:
  explicit EventSource(std::function<std::shared_ptr<qpm::Session>()> session) : session_(std::move(session)) {}

  std::shared_ptr<EventQueue> open(EventFilter filter, size_t capacity);
  void close();  // closes the queues

 private:
  void subscribe();  // to what the queues want now
  void tell(const std::vector<qpm::Event>& events);

  const std::function<std::shared_ptr<qpm::Session>()> session_;
  std::mutex subscribing_;
  std::mutex mutex_;
  // A queue is here from open() until its close(), which its end calls. Events are pushed through `queue`, under
  // mutex_: a reference held while they are could be the last one, and its end would subscribe anew in the middle of
  // the telling.
  struct Listener {
    EventQueue* queue;
    std::weak_ptr<EventQueue> owner;
  };
  std::vector<Listener> listeners_;
  bool subscribed_ = false;
};

// "status", "fault", "drain", "calibration", "noise"
const char* event_name(qpm::EventKind kind) noexcept;

}  // namespace qfw::qpi
