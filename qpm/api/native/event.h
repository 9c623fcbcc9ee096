// What devices and the system have to say, apart from tasks.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "qpm/api/native/device_info.h"

namespace qfw::qpm {

enum class EventKind : uint8_t { kStatus = 0, kFault = 1, kDrain = 2, kCalibration = 3, kNoise = 4 };
enum class Severity : uint8_t { kInfo = 0, kWarning = 1, kError = 2 };

constexpr uint32_t event_bit(EventKind kind) { return 1u << static_cast<uint32_t>(kind); }
constexpr uint32_t kAllEvents = (1u << 5) - 1;

struct Event {
  uint64_t sequence = 0;  // of the runtime, rising; a gap: events that were not asked for, or lost
  double time_s = 0.0;    // seconds since the epoch
  EventKind kind = EventKind::kStatus;
  DeviceId device = 0;
  std::string device_name;  // "": of the runtime as a whole
  DeviceStatus status = DeviceStatus::kOnline;
  Severity severity = Severity::kInfo;
  std::string message;
  std::string calibration_set;           // kCalibration: its id
  std::map<std::string, double> values;  // figures in SI units, by the provider's names
  uint64_t lost = 0;                     // events asked for that were dropped before this one, unread
};

// Called from the runtime's threads; must not block.
using EventSink = std::function<void(std::vector<Event>&&)>;

}  // namespace qfw::qpm
