#include "qpi/native/device.h"

namespace qfw::qpi {

const char* status_name(qpm::DeviceStatus status) noexcept {
  static constexpr const char* names[] = {"online", "starting", "busy", "draining", "fault", "offline"};
  const auto i = static_cast<size_t>(status);
  return i < std::size(names) ? names[i] : "unknown";
}

}  // namespace qfw::qpi
