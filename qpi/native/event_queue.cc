#include "qpi/native/event_queue.h"

#include <algorithm>
#include <string>
#include <utility>

namespace qfw::qpi {

bool EventFilter::wants(const qpm::Event& event) const {
  if (!(kinds & qpm::event_bit(event.kind))) return false;
  if (devices.empty() || event.device_name.empty()) return true;
  return std::find(devices.begin(), devices.end(), event.device) != devices.end();
}

const char* event_name(qpm::EventKind kind) noexcept {
  static constexpr const char* names[] = {"status", "fault", "drain", "calibration", "noise"};
  const auto i = static_cast<size_t>(kind);
  return i < std::size(names) ? names[i] : "unknown";
}

EventQueue::EventQueue(EventFilter filter, size_t capacity) : filter_(std::move(filter)), capacity_(capacity) {
  if (capacity == 0) throw Error(ErrorCode::kInvalidArgument, "an event queue's capacity is 0; it must be at least 1");
  if (filter_.kinds == 0 || (filter_.kinds & ~qpm::kAllEvents))
    throw Error(ErrorCode::kInvalidArgument, "kinds of events are the bits " + std::to_string(filter_.kinds) +
                                                 "; at least one of those of " + std::to_string(qpm::kAllEvents) +
                                                 " is needed, and no other");
}

void EventQueue::push(const qpm::Event& event) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  events_.push_back(event);
  if (events_.size() > capacity_) {
    const uint64_t lost = events_.front().lost + 1;
    events_.pop_front();
    events_.front().lost += lost;
  }
  level_.set(true);
  arrived_.notify_one();
}

std::vector<qpm::Event> EventQueue::read(size_t max, Deadline deadline) {
  fork_guard_.check("this event queue");
  std::unique_lock lock(mutex_);
  while (events_.empty()) {
    if (closed_) throw Error(ErrorCode::kClosed, "the event queue is closed and empty");
    if (deadline.passed() || !deadline.sleep(arrived_, lock)) break;
  }
  std::vector<qpm::Event> taken;
  for (; !events_.empty() && taken.size() < max; events_.pop_front()) taken.push_back(std::move(events_.front()));
  level_.set(!events_.empty() || closed_);
  return taken;
}

int EventQueue::fd() {
  fork_guard_.check("this event queue");
  std::lock_guard lock(mutex_);
  return level_.fd(!events_.empty() || closed_, "an event queue");
}

size_t EventQueue::size() const {
  std::lock_guard lock(mutex_);
  return events_.size();
}

void EventQueue::close() {
  if (fork_guard_.forked()) return;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
    level_.set(true);
    arrived_.notify_all();
  }
  if (on_close_) on_close_();
}

// ---- the source

std::shared_ptr<EventQueue> EventSource::open(EventFilter filter, size_t capacity) {
  auto queue = std::make_shared<EventQueue>(std::move(filter), capacity);
  queue->on_close([weak = weak_from_this(), raw = queue.get()] {
    const auto self = weak.lock();
    if (!self) return;
    {
      std::lock_guard lock(self->mutex_);
      std::erase_if(self->listeners_, [&](const Listener& l) { return l.queue == raw; });
    }
    try {
      self->subscribe();
    } catch (const Error&) {  // the session has ended: nothing is subscribed any more
    }
  });
  {
    std::lock_guard lock(mutex_);
    listeners_.push_back({queue.get(), queue});
  }
  subscribe();
  return queue;
}

void EventSource::subscribe() {
  std::lock_guard order(subscribing_);
  std::vector<qpm::DeviceId> devices;
  uint32_t kinds = 0;
  {
    std::lock_guard lock(mutex_);
    bool all = false;
    for (const Listener& listener : listeners_) {
      const EventFilter& filter = listener.queue->filter();
      kinds |= filter.kinds;
      all = all || filter.devices.empty();
      devices.insert(devices.end(), filter.devices.begin(), filter.devices.end());
    }
    if (all) devices.clear();
  }
  if (kinds == 0 && !subscribed_) return;
  std::sort(devices.begin(), devices.end());
  devices.erase(std::unique(devices.begin(), devices.end()), devices.end());
  const auto sink = [weak = weak_from_this()](std::vector<qpm::Event>&& events) {
    if (const auto self = weak.lock()) self->tell(events);
  };
  session_()->subscribe(devices, kinds, sink);
  subscribed_ = kinds != 0;
}

void EventSource::tell(const std::vector<qpm::Event>& events) {
  std::lock_guard lock(mutex_);
  for (const auto& event : events)
    for (const Listener& listener : listeners_)
      if (listener.queue->filter().wants(event)) listener.queue->push(event);
}

void EventSource::close() {
  std::vector<Listener> listeners;
  {
    std::lock_guard lock(mutex_);
    listeners.swap(listeners_);
  }
  for (const Listener& listener : listeners)
    if (const auto queue = listener.owner.lock()) queue->close();
}

}  // namespace qfw::qpi
