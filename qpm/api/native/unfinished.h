// What a client has submitted and has no result of, so that a runtime's death loses nothing: which tasks go out
// (again), in which order, and which end otherwise. Pure: events and the clock (nanoseconds) go in, tasks and endings
// come out.
//
// Every task ends exactly once: whoever take()s it delivers its completion. After a death all that was in flight waits
// in the order of submission. Deaths that follow one another without a single completion raise suspicion: then what was
// in flight goes out one task at a time, and the one that runtimes keep dying with is given up, not its neighbours.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "qpm/api/native/result.h"
#include "qpm/api/native/task.h"

namespace qfw::qpm {

using TaskPtr = std::shared_ptr<const Task>;

class Unfinished {
 public:
  struct Policy {
    uint32_t suspicion = 3;  // deaths in a row without a completion, before tasks go one at a time
    uint32_t blame = 3;      // deaths with one task alone in flight, before it is given up
  };
  struct Entry {
    TaskPtr task;
    uint64_t submitted = 0;  // when, first
    uint64_t sent = 0;       // when, last
  };
  struct Ended {
    Entry entry;
    Failure failure;
  };

  Unfinished() : Unfinished(Policy{}) {}
  explicit Unfinished(Policy policy) : policy_(policy) {}

  size_t size() const noexcept { return all_.size(); }
  bool contains(TaskId id) const { return all_.count(id) > 0; }

  // True: it goes out now. Else it waits for its turn.
  bool add(TaskPtr task, uint64_t now);
  // Its result is here. Nothing: it has ended already.
  std::optional<Entry> take(TaskId id);
  // Ends it when it waits; a task in flight is the runtime's to end, and ends with it should that die.
  std::optional<Ended> cancel(TaskId id);
  std::vector<Ended> cancel_stream(StreamId stream, std::vector<TaskId>* in_flight = nullptr);

  void connected() noexcept { connected_ = true; }
  std::vector<Ended> lost();                // the runtime is gone
  std::vector<TaskPtr> next(uint64_t now);  // what may go out now, in order
  bool has_next() const noexcept;
  std::vector<Ended> expire(uint64_t now);  // what waits beyond its deadline
  uint64_t next_deadline() const noexcept;  // of what waits; UINT64_MAX: none
  std::vector<Ended> end_all(const Failure& failure);

 private:
  struct Record : Entry {
    uint64_t order = 0;
    uint32_t blamed = 0;
    bool in_flight = false;
    bool cancelled = false;
    bool suspect = false;
  };
  using Records = std::unordered_map<TaskId, Record>;

  Entry remove(Records::iterator at);
  Ended end(Records::iterator at, Failure failure);
  static uint64_t deadline(const Record& r) noexcept;
  bool careful() const noexcept { return suspects_ > 0; }

  const Policy policy_;
  Records all_;
  std::deque<TaskId> waiting_;  // in the order of submission; may name tasks that have ended
  uint64_t orders_ = 0;
  size_t in_flight_ = 0;
  size_t suspects_ = 0;
  uint32_t deaths_ = 0;  // in a row without a completion
  bool connected_ = true;
};

}  // namespace qfw::qpm
