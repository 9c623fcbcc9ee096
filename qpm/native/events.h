// Who hears of what devices and the system have to say. Nothing is kept: an event that nobody asked for is gone.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "qpm/api/native/event.h"

namespace qfw::qpm {

class EventHub {
 public:
  // What a session wants to hear of from now on; kinds 0: nothing. Once this returns, its earlier sink is not called
  // any more. Not from inside a sink.
  void subscribe(uint64_t session, std::vector<DeviceId> devices, uint32_t kinds, EventSink sink);

  // Numbers the event and hands it to those who want it, in the same order to all. `device_name` "": everybody's.
  void emit(Event&& event);

 private:
  struct Subscription {
    std::vector<DeviceId> devices;  // none: all
    uint32_t kinds = 0;
    EventSink sink;
    bool wants(const Event& event) const;
  };

  std::mutex mutex_;  // held while the sinks run
  uint64_t sequence_ = 0;
  std::unordered_map<uint64_t, Subscription> subscriptions_;
};

// A device's change of status as an event: a fault when it failed or went away, a drain when it takes nothing new.
Event event_of(DeviceStatus status, const std::string& reason);

}  // namespace qfw::qpm
