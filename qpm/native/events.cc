#include "qpm/native/events.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace qfw::qpm {

bool EventHub::Subscription::wants(const Event& event) const {
  if (!(kinds & event_bit(event.kind))) return false;
  if (devices.empty() || event.device_name.empty()) return true;
  return std::find(devices.begin(), devices.end(), event.device) != devices.end();
}

void EventHub::subscribe(uint64_t session, std::vector<DeviceId> devices, uint32_t kinds, EventSink sink) {
  std::lock_guard lock(mutex_);
  if (kinds == 0)
    subscriptions_.erase(session);
  else
    subscriptions_[session] = {std::move(devices), kinds, std::move(sink)};
}

void EventHub::emit(Event&& event) {
  std::lock_guard lock(mutex_);
  event.sequence = ++sequence_;
  if (event.time_s == 0.0)
    event.time_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (const auto& [session, subscription] : subscriptions_)
    if (subscription.wants(event)) subscription.sink({event});
}

Event event_of(DeviceStatus status, const std::string& reason) {
  Event event;
  event.status = status;
  event.message = reason;
  if (status == DeviceStatus::kFault || status == DeviceStatus::kOffline) {
    event.kind = EventKind::kFault;
    event.severity = Severity::kError;
  } else if (status == DeviceStatus::kDraining) {
    event.kind = EventKind::kDrain;
    event.severity = Severity::kWarning;
  }
  return event;
}

}  // namespace qfw::qpm
