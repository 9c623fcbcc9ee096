// Completions of one or more streams, for the application to read. Reads never mix success and error.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "qpi/native/fork.h"
#include "qpi/native/level.h"
#include "qpi/native/operation.h"

namespace qfw::qpi {

class Router;

enum class ReadStatus : uint8_t {
  kEntries,   // at least one success was read
  kEmpty,     // polled, and nothing was there
  kError,     // the head is an error: read_error() takes it
  kTimeout,   // the wait ran out; nothing was taken
  kSignalled  // signal() was called; nothing was taken
};

class CompletionQueue : public Receiver {
 public:
  static constexpr size_t kDefaultCapacity = size_t{1} << 20;

  // `capacity` bounds operations outstanding plus entries unread. A waiting reader helps `router`'s runtime.
  explicit CompletionQueue(size_t capacity = kDefaultCapacity, std::weak_ptr<Router> router = {});

  void reserve(size_t count) override;
  void unreserve(size_t count) noexcept override;
  void deliver(OperationPtr operation) noexcept override;

  // Waits until `at_least` successes are at the head, or an error is among the first `at_least`, or all that is
  // outstanding is in; then takes up to `max` successes off the head. Throws kClosed when closed and empty.
  ReadStatus read(std::vector<OperationPtr>& out, size_t max, size_t at_least, Deadline deadline);
  OperationPtr read_error();              // null when the head is no error
  void put_back(OperationPtr operation);  // at the head: an entry whose failure was found after the read, or one behind
  bool wait(Deadline deadline);           // until an entry is there; false at the deadline or when signalled
  void signal();                          // wakes every waiting call once
  uint64_t signals() const;               // how often signal() was called
  int fd();                               // readable exactly while entries are there, or the queue is closed; its own
  size_t size() const;                    // entries there
  size_t outstanding() const;             // operations whose entry is still to come
  bool closed() const;
  void close();  // waiting calls end; entries already there can still be read

 private:
  using Lock = std::unique_lock<std::mutex>;
  bool await(Lock& lock, size_t at_least, Deadline deadline, bool& signalled);
  bool ready(size_t at_least) const noexcept;
  void update_level() noexcept { level_.set(!entries_.empty() || closed_); }
  OperationPtr pop();

  const ForkGuard fork_guard_;
  const size_t capacity_;
  const std::weak_ptr<Router> router_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<OperationPtr> entries_;
  std::deque<uint64_t> errors_;  // positions of the errors among the entries, counted from the first ever
  uint64_t popped_ = 0;
  size_t expected_ = 0;  // reserved and not delivered
  size_t waiters_ = 0;
  size_t wake_at_ = 0;  // the least number of entries a waiter needs
  uint64_t signals_ = 0;
  Level level_;
  bool closed_ = false;
};

}  // namespace qfw::qpi
