// How a running simulation is told to end: by cancel, or by its deadline. Kernels look at it between passes.
#pragma once

#include <atomic>
#include <chrono>

#include "program/native/error.h"

namespace qfw::simenv {

class Stop {
 public:
  using Clock = std::chrono::steady_clock;

  Stop() = default;
  explicit Stop(Clock::time_point deadline) : deadline_(deadline) {}

  void request() noexcept { requested_.store(true, std::memory_order_relaxed); }
  bool requested() const noexcept { return requested_.load(std::memory_order_relaxed); }
  void check() const {  // throws kCancelled or kDeadlineExceeded
    if (requested()) throw Error(ErrorCode::kCancelled, "the task was cancelled while it ran");
    if (deadline_ != Clock::time_point::max() && Clock::now() > deadline_)
      throw Error(ErrorCode::kDeadlineExceeded, "the task's deadline passed while it ran");
  }

 private:
  std::atomic<bool> requested_{false};
  Clock::time_point deadline_ = Clock::time_point::max();
};

}  // namespace qfw::simenv
