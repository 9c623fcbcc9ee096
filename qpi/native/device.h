// A QPU or simulator as an application sees it, as it was when it was listed.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "qpm/api/native/device_info.h"

namespace qfw::qpi {

class Device {
 public:
  explicit Device(qpm::DeviceInfo info) : info_(std::make_shared<const qpm::DeviceInfo>(std::move(info))) {}
  const qpm::DeviceInfo& info() const noexcept { return *info_; }
  const std::string& name() const noexcept { return info_->name; }
  qpm::DeviceId id() const noexcept { return info_->id; }

 private:
  std::shared_ptr<const qpm::DeviceInfo> info_;
};

// "online", "starting", ...
const char* status_name(qpm::DeviceStatus status) noexcept;

}  // namespace qfw::qpi
