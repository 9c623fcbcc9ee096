// One operation of a stream, with one completion: a task, a group of tasks (what a tool pipeline made of one, or the
// same task on several devices), a query of devices, or a barrier.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "qpi/native/deadline.h"
#include "qpi/native/tool.h"
#include "qpm/api/native/device_info.h"
#include "qpm/api/native/result.h"

namespace qfw::qpi {

using OperationId = uint64_t;  // unique in its context, ascending

// The caller's own pointer. `release`, when set, is called for a pointer that nobody took back.
class UserContext {
 public:
  UserContext() = default;
  explicit UserContext(void* pointer, void (*release)(void*) = nullptr) noexcept
      : pointer_(pointer), release_(release) {}
  UserContext(UserContext&& other) noexcept
      : pointer_(std::exchange(other.pointer_, nullptr)), release_(std::exchange(other.release_, nullptr)) {}
  UserContext& operator=(UserContext&& other) noexcept {
    std::swap(pointer_, other.pointer_);
    std::swap(release_, other.release_);
    return *this;
  }
  ~UserContext() {
    if (release_ && pointer_) release_(pointer_);
  }

  void* get() const noexcept { return pointer_; }
  void* take() noexcept {  // the caller owns it now
    release_ = nullptr;
    return std::exchange(pointer_, nullptr);
  }

 private:
  void* pointer_ = nullptr;
  void (*release_)(void*) = nullptr;
};

class Receiver;
struct StreamState;

enum class Kind : uint8_t { kTask, kQuery, kBarrier };

struct Operation {
  OperationId id = 0;
  Kind kind = Kind::kTask;
  UserContext context;
  std::vector<qpm::Result> results;      // one per task, in the order submitted
  std::vector<qpm::DeviceInfo> devices;  // of a query
  std::vector<Expansion> expansions;     // of a native pipeline: one, or one per device; reduce() undoes them
  qpm::Failure whole;  // of a query or barrier; of a task on several devices, naming those that failed

  // Why it failed: the first failure among the results; its code is kOk when all went well.
  const qpm::Failure& failure() const noexcept {
    static const qpm::Failure none;
    if (whole) return whole;
    for (const auto& r : results)
      if (r.failure) return r.failure;
    return none;
  }

  // The router's own, under its lock.
  std::shared_ptr<StreamState> stream;
  std::shared_ptr<Receiver> receiver;
  std::shared_ptr<Receiver> errors;  // takes it when it failed, if there is one
  std::vector<qpm::TaskId> tasks;    // those that were sent
  size_t remaining = 0;
  bool finished = false;
  bool cancelled = false;
  Clock::time_point start;
  Operation* previous = nullptr;  // outstanding operations of the stream, in submission order
  Operation* next = nullptr;
};

using OperationPtr = std::unique_ptr<Operation>;

// One failure for several devices, that names those that failed: failures[i] is the i-th device's. None failed: none.
qpm::Failure failure_of(const std::vector<std::string>& devices, const std::vector<const qpm::Failure*>& failures);

// Where finished operations go.
class Receiver {
 public:
  virtual ~Receiver() = default;
  // Room for `count` operations to come, or kResourceExhausted / kClosed.
  virtual void reserve(size_t count) = 0;
  virtual void unreserve(size_t count) noexcept = 0;
  // From any thread, under the router's lock: only stores and wakes.
  virtual void deliver(OperationPtr operation) noexcept = 0;
};

// A stream's queues by kind. A kind without a queue of its own uses that of the tasks; errors without one stay in the
// queue of their kind; what has no queue at all is dropped as it comes.
struct Receivers {
  std::shared_ptr<Receiver> tasks, queries, barriers, errors;

  const std::shared_ptr<Receiver>& of(Kind kind) const noexcept {
    if (kind == Kind::kQuery && queries) return queries;
    if (kind == Kind::kBarrier && barriers) return barriers;
    return tasks;
  }
};

}  // namespace qfw::qpi
