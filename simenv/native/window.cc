#include "simenv/native/window.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "simenv/native/fuse.h"

namespace qfw::simenv {

namespace {

constexpr size_t kLookAhead = 4096;  // operations that one window is chosen from

// Operations may change places when no qubit that one of them transforms is used by the other; controls and phases
// only read.
class Picker {
 public:
  Picker(const std::vector<PlanOp>& ops, unsigned qubits, unsigned block_bits)
      : ops_(ops), qubits_(qubits), block_bits_(block_bits) {
    refill();
  }

  bool done() const noexcept { return left_.empty(); }

  // Takes the next window's operations out; returns its qubits as a mask.
  uint64_t next(std::vector<uint32_t>& taken) {
    if (block_bits_ >= qubits_) {
      taken = std::exchange(left_, {});
      refill();
      return (uint64_t{1} << qubits_) - 1;
    }
    uint64_t best = greedy(low(), nullptr).locals;
    double most = -1.0;
    const unsigned free = block_bits_ - kRunBits;
    for (unsigned first = kRunBits; first + free <= qubits_; ++first)
      try_locals(low() | ((uint64_t{1} << free) - 1) << first, best, most);
    for (unsigned width = 0; width < free;
         ++width)  // begin at the oldest operation, with some of the lowest or highest
      for (bool high : {false, true}) {
        const uint64_t some = (uint64_t{1} << width) - 1;
        try_locals(low() | (high ? some << (qubits_ - width) : some << kRunBits), best, most);
      }
    const Choice choice = greedy(best, &taken);
    std::vector<uint32_t> rest;
    size_t k = 0;
    for (uint32_t i : left_) {
      if (k < taken.size() && taken[k] == i) {
        ++k;
      } else {
        rest.push_back(i);
      }
    }
    left_ = std::move(rest);
    refill();
    return choice.locals;
  }

 private:
  struct Choice {
    uint64_t locals = 0;
    double cost = 0.0;  // of the operations that it runs
  };

  void refill() {
    while (left_.size() < kLookAhead && next_ < ops_.size()) left_.push_back(next_++);
  }

  uint64_t low() const noexcept { return (uint64_t{1} << kRunBits) - 1; }

  void try_locals(uint64_t locals, uint64_t& best, double& most) const {
    const Choice choice = greedy(locals, nullptr);
    if (choice.cost <= most) return;
    most = choice.cost;
    best = choice.locals;
  }

  // Takes every operation that fits, in order, adding qubits while there is room.
  Choice greedy(uint64_t locals, std::vector<uint32_t>* taken) const {
    const uint64_t all = (uint64_t{1} << qubits_) - 1;
    uint64_t transformed = 0, read = 0;  // by operations that were left behind
    Choice choice{locals};
    for (uint32_t i : left_) {
      if (transformed == all) break;
      const PlanOp& op = ops_[i];
      const uint64_t targets = op.targets(), missing = targets & ~choice.locals;
      const bool free = (targets & (transformed | read)) == 0 && (op.mask & transformed) == 0;
      if (!free || std::popcount(choice.locals | missing) > static_cast<int>(block_bits_)) {
        transformed |= targets;
        read |= op.mask;
        continue;
      }
      choice.locals |= missing;
      choice.cost += cost_of(op);
      if (taken != nullptr) taken->push_back(i);
    }
    for (uint64_t bit = 1; std::popcount(choice.locals) < static_cast<int>(block_bits_); bit <<= 1)
      choice.locals |= bit;
    return choice;
  }

  const std::vector<PlanOp>& ops_;
  unsigned qubits_, block_bits_;
  std::vector<uint32_t> left_;  // the oldest operations not yet taken
  uint32_t next_ = 0;           // the first one that was not looked at
};

uint8_t local_of(uint8_t qubit, uint64_t locals) {
  return static_cast<uint8_t>(std::popcount(locals & ((uint64_t{1} << qubit) - 1)));
}

uint64_t local_mask(uint64_t mask, uint64_t locals) {
  uint64_t out = 0;
  for (uint64_t m = mask & locals; m != 0; m &= m - 1)
    out |= uint64_t{1} << local_of(static_cast<uint8_t>(std::countr_zero(m)), locals);
  return out;
}

PlanOp localised(PlanOp op, uint64_t locals) {
  const uint64_t targets = op.targets();
  op.outside = op.mask & ~locals;
  op.mask = local_mask(op.mask, locals);
  if (targets != 0) op.a = local_of(op.a, locals);
  if (op.kind == Kind::kSwap || op.kind == Kind::kDense2) op.b = local_of(op.b, locals);
  return op;
}

// Puts one window's operations, in this order, into the plan; phases of one and two bits are held back as long as they
// can be, and become a layer when there are enough of them.
class Emitter {
 public:
  Emitter(Plan& plan, uint64_t locals) : plan_(plan), locals_(locals) {}

  void add(const PlanOp& op) {
    if (op.kind == Kind::kPhase && std::popcount(op.mask) <= 2) {
      phases_.push_back(op);
      support_ |= op.mask;
      return;
    }
    if ((op.targets() & support_) != 0) flush();
    plan_.ops.push_back(localised(op, locals_));
  }

  void flush() {
    if (phases_.size() >= kLayerTerms) {
      PlanOp op{Kind::kLayer};
      op.at = static_cast<uint32_t>(plan_.layers.size());
      const uint32_t first = static_cast<uint32_t>(plan_.terms.size());
      plan_.terms.insert(plan_.terms.end(), phases_.begin(), phases_.end());
      plan_.layers.push_back({first, static_cast<uint32_t>(plan_.terms.size())});
      plan_.ops.push_back(op);
    } else {
      for (const PlanOp& op : phases_) plan_.ops.push_back(localised(op, locals_));
    }
    phases_.clear();
    support_ = 0;
  }

 private:
  static constexpr size_t kLayerTerms = 5;

  Plan& plan_;
  uint64_t locals_;
  std::vector<PlanOp> phases_;
  uint64_t support_ = 0;
};

void add_window(Plan& plan, const std::vector<PlanOp>& ops, const std::vector<uint32_t>& taken, uint64_t locals) {
  Window window;
  window.first = static_cast<uint32_t>(plan.ops.size());
  Emitter emitter(plan, locals);
  for (uint32_t i : taken) {
    window.targets |= ops[i].targets();
    emitter.add(ops[i]);
  }
  emitter.flush();
  window.last = static_cast<uint32_t>(plan.ops.size());
  if (std::popcount(locals) < static_cast<int>(plan.qubits))
    for (uint64_t m = locals; m != 0; m &= m - 1) window.locals.push_back(static_cast<uint8_t>(std::countr_zero(m)));
  plan.windows.push_back(std::move(window));
}

}  // namespace

unsigned default_block_bits(unsigned qubits) noexcept { return std::min(qubits, 15u); }

void make_windows(Plan& plan, unsigned block_bits) {
  if (plan.qubits < kFuseQubits && plan.rank_bits == 0) {  // one window for each segment, as it is
    for (Segment& segment : plan.segments) {
      segment.first_window = static_cast<uint32_t>(plan.windows.size());
      plan.windows.push_back({segment.first_op, segment.last_op});
      segment.last_window = segment.first_window + 1;
    }
    return;
  }
  block_bits = std::max(block_bits, kRunBits + 2);  // room for any operation's two targets
  const std::vector<PlanOp> all = std::exchange(plan.ops, {});
  plan.ops.reserve(all.size());
  for (Segment& segment : plan.segments) {
    const std::vector<PlanOp> ops(all.begin() + segment.first_op, all.begin() + segment.last_op);
    segment.first_window = static_cast<uint32_t>(plan.windows.size());
    segment.first_op = static_cast<uint32_t>(plan.ops.size());
    Picker picker(ops, plan.qubits, block_bits);
    while (!picker.done()) {
      std::vector<uint32_t> taken;
      const uint64_t locals = picker.next(taken);
      if (taken.empty()) throw Error(ErrorCode::kInternal, "no operation fits a window");
      add_window(plan, ops, taken, locals);
    }
    segment.last_window = static_cast<uint32_t>(plan.windows.size());
    segment.last_op = static_cast<uint32_t>(plan.ops.size());
  }
}

}  // namespace qfw::simenv
