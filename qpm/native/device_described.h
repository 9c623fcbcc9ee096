// The part that devices have in common which are described from outside (by a plugin).
#pragma once

#include <mutex>
#include <unordered_set>
#include <utility>
#include <vector>

#include "qpm/native/device.h"

namespace qfw::qpm {

class DescribedDevice : public Device {
 public:
  explicit DescribedDevice(DeviceInfo info) : info_(std::move(info)) {}

  const DeviceInfo& info() const noexcept override { return info_; }

  void check(const Task& task) const override {
    check_task(info_, task);
    const program::Hash& hash = task.program->hash();
    {
      std::lock_guard lock(checked_mutex_);
      if (checked_.count(hash)) return;
    }
    check_gates(info_, *task.program);
    std::lock_guard lock(checked_mutex_);
    if (checked_.size() >= kRemembered) checked_.clear();
    checked_.insert(hash);
  }

 protected:
  static Finished failed(JobPtr job, Failure failure) {
    Finished f;
    f.job = std::move(job);
    f.result.failure = std::move(failure);
    return f;
  }
  static Failure cancelled() { return {ErrorCode::kCancelled, "the task was cancelled"}; }

 private:
  static constexpr size_t kRemembered = 4096;
  const DeviceInfo info_;
  mutable std::mutex checked_mutex_;
  mutable std::unordered_set<program::Hash, program::HashKey> checked_;  // programs whose gates are all offered
};

}  // namespace qfw::qpm
