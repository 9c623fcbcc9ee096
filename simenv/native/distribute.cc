#include "simenv/native/distribute.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "simenv/native/fuse.h"
#include "simenv/native/window.h"

namespace qfw::simenv {

namespace {

constexpr size_t kLookAhead = 4096;    // operations that one stage is chosen from
constexpr int kRounds = 4;             // of improving a choice
constexpr unsigned kMinLocalBits = 4;  // the widest group of lanes; an operation has at most two targets

uint64_t bit(unsigned q) { return uint64_t{1} << q; }

PlanOp renamed(PlanOp op, const std::vector<uint8_t>& names) {
  uint64_t mask = 0;
  for (uint64_t m = op.mask; m != 0; m &= m - 1) mask |= bit(names[static_cast<size_t>(std::countr_zero(m))]);
  op.mask = mask;
  if (op.diagonal()) return op;
  op.a = names[op.a];
  if (op.kind == Kind::kSwap || op.kind == Kind::kDense2) op.b = names[op.b];
  return op;
}

// Chooses, stage by stage, the qubits that lie in the slice.
class Stages {
 public:
  Stages(std::vector<PlanOp> ops, unsigned qubits, unsigned local_bits)
      : ops_(std::move(ops)), qubits_(qubits), local_bits_(local_bits) {
    refill();
  }

  bool done() const noexcept { return left_.empty(); }

  // The qubits of the next stage and, taken out, its operations. `now`: those in the slice; 0: none yet.
  uint64_t next(uint64_t now, std::vector<PlanOp>& taken) {
    uint64_t best = grow(now);
    double most = score(best, now);
    for (int round = 0; round < kRounds; ++round) {
      uint64_t better = best;
      for (uint64_t out = best; out != 0; out &= out - 1)
        for (uint64_t in = all() & ~best; in != 0; in &= in - 1) {
          const uint64_t candidate = (best ^ (out & (0 - out))) | (in & (0 - in));
          const double s = score(candidate, now);
          if (s > most) most = s, better = candidate;
        }
      if (better == best) break;
      best = better;
    }
    take(best, taken);
    return best;
  }

 private:
  uint64_t all() const noexcept { return bit(qubits_) - 1; }

  // Calls use(place in left_, operation) for each operation that can run in a slice of `locals`, in order; `locals`
  // grows by what is missing as long as there is room.
  template <class Use>
  uint64_t scan(uint64_t locals, bool growing, const Use& use) const {
    uint64_t transformed = 0, read = 0;  // by operations that were left behind
    for (size_t i = 0; i < left_.size() && transformed != all(); ++i) {
      const PlanOp& op = ops_[left_[i]];
      const uint64_t targets = op.targets(), with = locals | targets;
      const bool fits = growing ? std::popcount(with) <= static_cast<int>(local_bits_) : with == locals;
      if (!fits || (targets & (transformed | read)) != 0 || (op.mask & transformed) != 0) {
        transformed |= targets;
        read |= op.mask;
        continue;
      }
      locals = with;
      use(i, op);
    }
    return locals;
  }

  // As many of the oldest operations as fit; then what lies there already, then the lowest.
  uint64_t grow(uint64_t now) const {
    uint64_t locals = scan(0, true, [](size_t, const PlanOp&) {});
    for (const uint64_t from : {now, all()})
      for (uint64_t m = from & ~locals; m != 0 && std::popcount(locals) < static_cast<int>(local_bits_); m &= m - 1)
        locals |= m & (0 - m);
    return locals;
  }

  // What a stage does for each amplitude that it has to move: of m qubits that come in, all but 2^-m of them.
  double score(uint64_t locals, uint64_t now) const {
    double cost = 0.0;
    scan(locals, false, [&](size_t, const PlanOp& op) { cost += cost_of(op); });
    const int moved = now == 0 ? 0 : std::popcount(locals & ~now);
    if (moved == 0) return now == 0 ? cost : 1e6 * cost;
    return cost / (1.0 - 1.0 / static_cast<double>(bit(static_cast<unsigned>(moved))));
  }

  void take(uint64_t locals, std::vector<PlanOp>& taken) {
    std::vector<bool> gone(left_.size(), false);
    scan(locals, false, [&](size_t i, const PlanOp& op) {
      gone[i] = true;
      taken.push_back(op);
    });
    size_t to = 0;
    for (size_t i = 0; i < left_.size(); ++i)
      if (!gone[i]) left_[to++] = left_[i];
    left_.resize(to);
    refill();
  }

  void refill() {
    while (left_.size() < kLookAhead && next_ < ops_.size()) left_.push_back(next_++);
  }

  const std::vector<PlanOp> ops_;
  const unsigned qubits_, local_bits_;
  std::vector<uint32_t> left_;  // the oldest operations not yet taken
  uint32_t next_ = 0;           // the first one that was not looked at
};

// Drops swaps without controls. names[q]: the qubit that is called q after all of them.
std::vector<PlanOp> without_swaps(const std::vector<PlanOp>& ops, std::vector<uint8_t>& names) {
  std::vector<PlanOp> out;
  for (const PlanOp& op : ops) {
    if (op.kind == Kind::kSwap && op.mask == 0) {
      std::swap(names[op.a], names[op.b]);
    } else {
      out.push_back(renamed(op, names));
    }
  }
  return out;
}

uint64_t qubits_below(const Layout& layout, unsigned local_bits) {
  uint64_t out = 0;
  for (unsigned q = 0; q < layout.at.size(); ++q)
    if (layout.at[q] < local_bits) out |= bit(q);
  return out;
}

// The layout with `locals` in the slice, and the changes that lead there. A qubit that leaves goes to its own rank bit
// where that is to be had.
Exchange exchange_for(Layout& layout, uint64_t locals, unsigned local_bits) {
  const uint64_t now = qubits_below(layout, local_bits);
  uint64_t leaving = now & ~locals, places = layout.mask(locals & ~now);
  Exchange out;
  const auto pair = [&](unsigned qubit, unsigned place) {
    out.pairs.emplace_back(layout.at[qubit], static_cast<uint8_t>(place));
    leaving &= ~bit(qubit);
    places &= ~bit(place);
  };
  for (uint64_t m = leaving & places; m != 0; m &= m - 1)
    pair(static_cast<unsigned>(std::countr_zero(m)), static_cast<unsigned>(std::countr_zero(m)));
  while (leaving != 0)
    pair(static_cast<unsigned>(std::countr_zero(leaving)), static_cast<unsigned>(std::countr_zero(places)));
  for (const auto& [p, q] : out.pairs) layout.exchange(p, q);
  return out;
}

Layout first_layout(uint64_t locals, unsigned qubits) {
  Layout layout;
  layout.at.resize(qubits);
  uint8_t next = 0;
  for (const bool local : {true, false})
    for (unsigned q = 0; q < qubits; ++q)
      if ((locals >> q & 1) == local) layout.at[q] = next++;
  return layout;
}

// Windows of each segment, all in one segment.
void finish(Plan& plan, unsigned block_bits, const std::vector<uint32_t>& exchanges) {
  make_windows(plan, block_bits != 0 ? block_bits : default_block_bits(plan.qubits));
  for (size_t s = 0; s < plan.segments.size(); ++s)
    if (plan.segments[s].first_window != plan.segments[s].last_window)
      plan.windows[plan.segments[s].first_window].exchange = exchanges[s];
  plan.segments = {{0, static_cast<uint32_t>(plan.ops.size()), 0, static_cast<uint32_t>(plan.windows.size())}};
}

}  // namespace

Plan distribute(const Plan& fused, unsigned rank_bits, const Layout* from, unsigned block_bits) {
  const unsigned local_bits = fused.qubits - rank_bits;
  std::vector<uint8_t> names(fused.qubits);
  std::iota(names.begin(), names.end(), uint8_t{0});
  Stages stages(without_swaps(fused.ops, names), fused.qubits, local_bits);
  Plan plan = fused;
  plan.qubits = local_bits;
  plan.rank_bits = rank_bits;
  plan.ops.clear();
  plan.segments.clear();
  Layout layout = from != nullptr ? *from : Layout();
  plan.from = from != nullptr ? *from : Layout::straight(fused.qubits);
  std::vector<uint32_t> exchanges;
  while (!stages.done()) {
    std::vector<PlanOp> taken;
    const uint64_t now = layout.at.empty() ? 0 : qubits_below(layout, local_bits);
    const uint64_t locals = stages.next(now, taken);
    exchanges.push_back(kNowhere);
    if (now == 0) {
      plan.from = layout = first_layout(locals, fused.qubits);
    } else if (locals != now) {
      exchanges.back() = static_cast<uint32_t>(plan.exchanges.size());
      plan.exchanges.push_back(exchange_for(layout, locals, local_bits));
    }
    const auto first = static_cast<uint32_t>(plan.ops.size());
    for (const PlanOp& op : taken) plan.ops.push_back(renamed(op, layout.at));
    plan.segments.push_back({first, static_cast<uint32_t>(plan.ops.size())});
  }
  finish(plan, block_bits, exchanges);
  if (layout.at.empty()) layout = plan.from;
  for (const uint8_t q : names) plan.to.at.push_back(layout.at[q]);
  return plan;
}

Plan permute(const Layout& now, const Layout& wanted, unsigned local_bits) {
  Plan plan;
  plan.qubits = local_bits;
  plan.rank_bits = static_cast<unsigned>(now.at.size()) - local_bits;
  plan.from = now;
  plan.to = wanted;
  Layout layout = now;
  for (unsigned q = 0; q < now.at.size(); ++q) {
    const uint8_t p = layout.at[q], to = wanted.at[q];
    if (p == to) continue;
    PlanOp op{Kind::kSwap};
    op.a = p;
    op.b = to;
    plan.ops.push_back(op);
    layout.exchange(p, to);
  }
  plan.segments = {{0, static_cast<uint32_t>(plan.ops.size())}};
  finish(plan, 0, {kNowhere});
  return plan;
}

unsigned most_rank_bits(unsigned qubits) noexcept { return qubits > kMinLocalBits ? qubits - kMinLocalBits : 0; }

}  // namespace qfw::simenv
