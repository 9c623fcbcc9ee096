// One operation of a stream: a task, or a group of tasks (what a tool pipeline made of one), with one completion.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "qpi/native/deadline.h"
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

struct Operation {
  OperationId id = 0;  // also the id of its first task
  UserContext context;
  std::vector<qpm::Result> results;  // one per task, in the order submitted

  // The first failure among the results; its code is kOk when all went well.
  const qpm::Failure& failure() const noexcept {
    static const qpm::Failure none;
    for (const auto& r : results)
      if (r.failure) return r.failure;
    return none;
  }

  // The router's own, under its lock.
  std::shared_ptr<StreamState> stream;
  std::shared_ptr<Receiver> receiver;
  std::vector<qpm::TaskId> tasks;
  size_t remaining = 0;
  bool finished = false;
  Clock::time_point start;
  Operation* previous = nullptr;  // outstanding operations of the stream, in submission order
  Operation* next = nullptr;
};

using OperationPtr = std::unique_ptr<Operation>;

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

}  // namespace qfw::qpi
