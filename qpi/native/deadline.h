// How long a call may wait.
#pragma once

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>

namespace qfw::qpi {

using Clock = std::chrono::steady_clock;

// A point on the monotonic clock; never() waits without end, now() polls.
class Deadline {
 public:
  static Deadline never() noexcept { return Deadline(Clock::time_point::max()); }
  static Deadline now() noexcept { return Deadline(Clock::time_point::min()); }
  // Negative or beyond a century: never. Zero: a poll.
  static Deadline after_s(double seconds) {
    if (!(seconds >= 0.0) || seconds > 3e9) return never();
    if (seconds == 0.0) return now();
    return Deadline(Clock::now() + std::chrono::nanoseconds(std::llround(seconds * 1e9)));
  }
  static Deadline after_ms(int milliseconds) { return milliseconds < 0 ? never() : after_s(milliseconds * 1e-3); }

  bool poll() const noexcept { return at_ == Clock::time_point::min(); }
  bool passed() const noexcept {
    if (at_ == Clock::time_point::max()) return false;
    return poll() || Clock::now() >= at_;
  }

  // Sleeps until notified or the deadline; false when the deadline has passed.
  bool sleep(std::condition_variable& cv, std::unique_lock<std::mutex>& lock) const {
    if (poll()) return false;
    if (at_ == Clock::time_point::max()) {
      cv.wait(lock);
      return true;
    }
    return cv.wait_until(lock, at_) == std::cv_status::no_timeout;
  }

 private:
  explicit Deadline(Clock::time_point at) noexcept : at_(at) {}
  Clock::time_point at_;
};

}  // namespace qfw::qpi
