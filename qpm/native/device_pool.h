// Several alike devices as one: the worker processes of a provider. A task goes to the member with the least to do; a
// member that has not been used yet is woken only when those in use have several tasks each.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "qpm/native/device_described.h"

namespace qfw::qpm {

class PoolDevice : public DescribedDevice, private Device::Host {
 public:
  PoolDevice(DeviceInfo info, std::vector<std::unique_ptr<Device>> members);  // at least one
  ~PoolDevice() override { stop(); }

  void start(std::vector<JobPtr>&& jobs) override;
  void cancel(const JobPtr& job) override;
  void stop() override;

 private:
  struct Member {
    std::unique_ptr<Device> device;
    size_t load = 0;
    bool used = false;
    bool fault = false;
  };

  void finished(std::vector<Finished>&& jobs) override;
  void set_status(DeviceId member, DeviceStatus status, const std::string& reason) override;
  void emit(DeviceId member, Event&& event) override;
  size_t choose() const;  // under mutex_

  std::mutex mutex_;
  std::vector<Member> members_;
  std::unordered_map<const Job*, size_t> places_;  // of the jobs that run: their member
  bool fault_ = false;
};

}  // namespace qfw::qpm
