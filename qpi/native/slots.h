// Which operation a task id belongs to, in O(1): a ring that grows, indexed by the id.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "qpm/api/native/task.h"

namespace qfw::qpi {

struct Operation;

struct Slot {
  qpm::TaskId id = 0;
  Operation* operation = nullptr;
  uint32_t index = 0;  // of its result in the operation
  bool done = false;
  uint64_t convert_ns = 0;
  uint64_t tools_ns = 0;
};

class Slots {
 public:
  Slot* find(qpm::TaskId id) noexcept {
    Slot& slot = ring_[id & (ring_.size() - 1)];
    return slot.operation && slot.id == id ? &slot : nullptr;
  }

  // A fresh slot; its operation is to be set at once.
  Slot& allocate() {
    if (used_ * 2 >= ring_.size()) grow();
    for (;;) {
      Slot& slot = ring_[++next_ & (ring_.size() - 1)];
      if (slot.operation) continue;  // a task that has been running for a whole turn of the ring
      slot = Slot{};
      slot.id = next_;
      ++used_;
      return slot;
    }
  }

  void free(Slot& slot) noexcept {
    slot.operation = nullptr;
    --used_;
  }

  uint64_t number() noexcept { return ++next_; }  // an id of the same sequence, without a slot
  std::vector<Slot>& all() noexcept { return ring_; }

 private:
  void grow() {
    std::vector<Slot> larger(ring_.size() * 2);  // distinct modulo the old size means distinct modulo the new one
    for (Slot& slot : ring_)
      if (slot.operation) larger[slot.id & (larger.size() - 1)] = slot;
    ring_.swap(larger);
  }

  std::vector<Slot> ring_ = std::vector<Slot>(64);
  size_t used_ = 0;
  qpm::TaskId next_ = 0;
};

}  // namespace qfw::qpi
