// A Job: one task on its way through the runtime.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "qpm/api/native/result.h"
#include "qpm/api/native/task.h"
#include "qpm/native/dispatch.h"
#include "simenv/native/stop.h"

namespace qfw::qpm {

class NamedJob;
struct SessionState;

// Nanoseconds of the process's monotonic clock.
inline uint64_t now_ns() noexcept {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

inline simenv::Stop::Clock::time_point deadline_point(uint64_t deadline) noexcept {
  using Clock = simenv::Stop::Clock;
  return deadline ? Clock::time_point(std::chrono::nanoseconds(deadline)) : Clock::time_point::max();
}

struct Job : Ticket {
  explicit Job(Task&& t, uint64_t arrived_ns)
      : work(std::move(t)),
        arrived(arrived_ns),
        stop(deadline_point(work.deadline_ns ? arrived_ns + work.deadline_ns : 0)) {
    task = work.id;
    Ticket::stream = work.stream;
    priority = work.priority;
    deadline = work.deadline_ns ? arrived_ns + work.deadline_ns : 0;
  }

  Task work;
  std::shared_ptr<SessionState> owner;
  std::shared_ptr<NamedJob> named;      // whose stream it came on; null: a stream without a name
  uint64_t seed = 0;                    // the one used
  uint64_t bytes = 0;                   // what it holds of the runtime's max_queue_bytes
  std::string method, method_reason;    // chosen for it by method="auto"
  const uint64_t arrived;               // in the runtime
  std::atomic<uint64_t> dispatched{0};  // a device was found
  std::atomic<uint64_t> began{0};       // the device began
  std::atomic<uint64_t> ended{0};       // the device had the result
  simenv::Stop stop;
  std::atomic<bool> completed{false};  // its one completion was claimed
  std::atomic<bool> returned{false};   // its device gave it back
};
using JobPtr = std::shared_ptr<Job>;

struct Finished {
  JobPtr job;
  Result result;
};

}  // namespace qfw::qpm
