#include "simenv/native/fuse.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "simenv/native/small_matrix.h"

namespace qfw::simenv {

using program::Complex;

namespace {

constexpr double kDense2Cost = 32, kDense1Cost = 16, kShapedCost = 10, kPhaseCost = 6, kLayerCost = 20;

uint64_t used_by(const PlanOp& op) { return op.mask | op.targets(); }

class Fuser {
 public:
  explicit Fuser(Plan& plan) : plan_(plan), cluster_of_(plan.qubits, -1) {}

  void run() {
    const std::vector<PlanOp> ops = std::exchange(plan_.ops, {});
    plan_.ops.reserve(ops.size());
    for (Segment& segment : plan_.segments) {
      const uint32_t first = static_cast<uint32_t>(plan_.ops.size());
      for (uint32_t i = segment.first_op; i < segment.last_op; ++i) add(ops[i]);
      for (unsigned q = 0; q < plan_.qubits; ++q) close(q, false);
      flush_phases();
      clusters_.clear();
      segment.first_op = first;
      segment.last_op = static_cast<uint32_t>(plan_.ops.size());
    }
  }

 private:
  // Members on one or two qubits (b == a: one). A qubit is in at most one open cluster. What is in phases_ acts after
  // everything emitted and before no cluster: a qubit with an open cluster has no phase there.
  struct Cluster {
    uint8_t a = 0, b = 0;
    std::vector<PlanOp> members;
  };

  void add(const PlanOp& op) {
    const uint64_t used = used_by(op);
    const int width = std::popcount(used);
    if (op.kind == Kind::kPhase && width <= 2 && add_phase(op, used, width)) return;
    if (op.kind != Kind::kPhase && (used & phases_support_) != 0) flush_phases();
    if (width == 1) {
      open(static_cast<uint8_t>(std::countr_zero(used)))->members.push_back(op);
    } else if (width == 2) {
      add_pair(op, used);
    } else {
      for (uint64_t m = used; m != 0; m &= m - 1) close(static_cast<unsigned>(std::countr_zero(m)), false);
      plan_.ops.push_back(op);
    }
  }

  // True when the phase has found its place.
  bool add_phase(const PlanOp& op, uint64_t used, int width) {
    const int c = cluster_of_[static_cast<size_t>(std::countr_zero(used))];
    const int d = cluster_of_[static_cast<size_t>(63 - std::countl_zero(used))];
    if (c >= 0 && c == d && (width == 2 || !op.joint)) {
      clusters_[static_cast<size_t>(c)].members.push_back(op);
      return true;
    }
    if (width == 1 && !op.joint && (used & phases_support_) == 0) return false;  // begins a run of its qubit
    for (uint64_t m = used; m != 0; m &= m - 1) close_into_phases(static_cast<unsigned>(std::countr_zero(m)));
    phases_.push_back(op);
    phases_support_ |= used;
    return true;
  }

  // A run of phases alone joins the phases of its qubit.
  void close_into_phases(unsigned q) {
    if (cluster_of_[q] < 0) return;
    std::vector<PlanOp>& members = clusters_[static_cast<size_t>(cluster_of_[q])].members;
    if (is_pair(q) || !all_phases(members)) return close(q, false);
    phases_.insert(phases_.end(), members.begin(), members.end());
    phases_support_ |= uint64_t{1} << q;
    members.clear();
    cluster_of_[q] = -1;
  }

  static bool all_phases(const std::vector<PlanOp>& run) {
    return std::all_of(run.begin(), run.end(), [](const PlanOp& op) { return op.kind == Kind::kPhase; });
  }

  void add_pair(const PlanOp& op, uint64_t used) {
    const uint8_t a = static_cast<uint8_t>(std::countr_zero(used)),
                  b = static_cast<uint8_t>(63 - std::countl_zero(used));
    if (cluster_of_[a] < 0 || cluster_of_[a] != cluster_of_[b]) {
      Cluster pair{a, b, {}};
      for (uint8_t q : {a, b}) {
        if (cluster_of_[q] >= 0 && is_pair(q)) close(q, true);
        if (cluster_of_[q] < 0) continue;
        auto& run = clusters_[static_cast<size_t>(cluster_of_[q])].members;
        pair.members.insert(pair.members.end(), run.begin(), run.end());
        run.clear();
      }
      clusters_.push_back(std::move(pair));
      cluster_of_[a] = cluster_of_[b] = static_cast<int>(clusters_.size()) - 1;
    }
    clusters_[static_cast<size_t>(cluster_of_[a])].members.push_back(op);
  }

  bool is_pair(unsigned q) const {
    const Cluster& c = clusters_[static_cast<size_t>(cluster_of_[q])];
    return c.a != c.b;
  }

  Cluster* open(uint8_t q) {
    if (cluster_of_[q] < 0) {
      clusters_.push_back({q, q, {}});
      cluster_of_[q] = static_cast<int>(clusters_.size()) - 1;
    }
    return &clusters_[static_cast<size_t>(cluster_of_[q])];
  }

  // Emits the cluster of a qubit. `reopen`: runs at the end of a pair that is not fused stay open, for what comes next.
  void close(unsigned q, bool reopen) {
    if (cluster_of_[q] < 0) return;
    const Cluster cluster = std::move(clusters_[static_cast<size_t>(cluster_of_[q])]);
    cluster_of_[cluster.a] = cluster_of_[cluster.b] = -1;
    if (cluster.a == cluster.b) {
      emit_run(cluster.a, cluster.members);
    } else if (separate_cost(cluster) > kDense2Cost) {
      emit_product({Kind::kDense2, cluster.a, cluster.b}, cluster.members);
    } else {
      emit_separately(cluster, reopen);
    }
  }

  static double run_cost(const std::vector<PlanOp>& run) {
    if (run.empty()) return 0;
    if (run.size() == 1) return cost_of(run[0]);
    bool phases = true, real = true, cross = true;
    for (const PlanOp& op : run) {
      phases &= op.kind == Kind::kPhase;
      real &= op.kind == Kind::kFlip || (op.kind == Kind::kDense1 && op.shape == Shape::kReal);
      cross &= op.kind == Kind::kDense1 && op.shape == Shape::kCross;
    }
    return phases ? kPhaseCost : real || cross ? kShapedCost : kDense1Cost;
  }

  // Calls run(qubit, members) for each maximal run on one qubit and pair(op) for what is between.
  template <class Run, class Pair>
  static void walk(const Cluster& cluster, Run run, Pair pair) {
    std::vector<PlanOp> runs[2];
    for (const PlanOp& op : cluster.members) {
      const uint64_t used = used_by(op);
      if (std::popcount(used) == 1) {
        runs[used >> cluster.a & 1 ? 0 : 1].push_back(op);
        continue;
      }
      for (int i : {0, 1}) run(i == 0 ? cluster.a : cluster.b, std::exchange(runs[i], {}), false);
      pair(op);
    }
    for (int i : {0, 1}) run(i == 0 ? cluster.a : cluster.b, std::move(runs[i]), true);
  }

  static double separate_cost(const Cluster& cluster) {
    double cost = 0;
    walk(
        cluster, [&](uint8_t, const std::vector<PlanOp>& run, bool) { cost += run_cost(run); },
        [&](const PlanOp& op) { cost += cost_of(op); });
    return cost;
  }

  void emit_separately(const Cluster& cluster, bool reopen) {
    walk(
        cluster,
        [&](uint8_t q, std::vector<PlanOp>&& run, bool last) {
          if (run.empty()) return;
          if (last && reopen) {
            open(q)->members = std::move(run);
          } else {
            emit_run(q, run);
          }
        },
        [&](const PlanOp& op) { plan_.ops.push_back(op); });
  }

  void emit_run(uint8_t q, const std::vector<PlanOp>& run) {
    if (run.empty()) return;
    if (run.size() == 1) {
      plan_.ops.push_back(run[0]);
      return;
    }
    emit_product({all_phases(run) ? Kind::kPhase : Kind::kDense1, q, q}, run);
  }

  void emit_product(Product product, const std::vector<PlanOp>& run) {
    PlanOp op{product.kind, Shape::kGeneral, false, false, product.a, product.b};
    if (op.kind == Kind::kPhase) op.mask = run[0].mask;
    product.first = static_cast<uint32_t>(plan_.members.size());
    plan_.members.insert(plan_.members.end(), run.begin(), run.end());
    product.last = static_cast<uint32_t>(plan_.members.size());
    bool real = true, cross = true;
    for (const PlanOp& member : run) {
      op.dynamic |= member.dynamic;
      real &= member.kind == Kind::kFlip || (member.kind == Kind::kDense1 && member.shape == Shape::kReal);
      cross &= member.kind == Kind::kDense1 && member.shape == Shape::kCross;
    }
    const uint32_t values = op.kind == Kind::kPhase ? 1 : op.kind == Kind::kDense1 ? 4 : 16;
    if (op.dynamic) {
      op.at = product.at = plan_.room(2 * values);
      if (op.kind == Kind::kDense1) op.shape = real ? Shape::kReal : cross ? Shape::kCross : Shape::kGeneral;
      plan_.products.push_back(product);
      plan_.ops.push_back(op);
      return;
    }
    Complex matrix[16];
    multiply(plan_, product, nullptr, reinterpret_cast<double*>(matrix));
    plan_.members.resize(product.first);
    if (op.kind == Kind::kDense1) {
      const Form form = form_of(matrix, 2);
      if (form.kind == Kind::kDense1) op.shape = form.shape;
    }
    op.at = plan_.constant(matrix, values);
    plan_.ops.push_back(op);
  }

  void flush_phases() {
    std::vector<PlanOp> phases = std::exchange(phases_, {});
    phases_support_ = 0;
    std::stable_sort(phases.begin(), phases.end(), [](const PlanOp& x, const PlanOp& y) { return x.mask < y.mask; });
    for (size_t i = 0; i < phases.size();) {
      size_t j = i + 1;
      while (j < phases.size() && phases[j].mask == phases[i].mask) ++j;
      const std::vector<PlanOp> same(phases.begin() + static_cast<ptrdiff_t>(i),
                                     phases.begin() + static_cast<ptrdiff_t>(j));
      if (same.size() == 1) {
        plan_.ops.push_back(same[0]);
      } else {
        emit_product({Kind::kPhase}, same);
      }
      i = j;
    }
  }

  Plan& plan_;
  std::vector<int> cluster_of_;    // of each qubit; -1: none
  std::vector<Cluster> clusters_;  // closed ones are empty
  std::vector<PlanOp> phases_;
  uint64_t phases_support_ = 0;
};

}  // namespace

void multiply(const Plan& plan, const Product& product, const double* row, double* out) {
  Complex* result = reinterpret_cast<Complex*>(out);
  if (product.kind == Kind::kPhase) {
    Complex factor = 1.0;
    for (uint32_t i = product.first; i < product.last; ++i) {
      const PlanOp& op = plan.members[i];
      factor *= *reinterpret_cast<const Complex*>((op.dynamic ? row : plan.constants.data()) + op.at);
    }
    *result = factor;
    return;
  }
  const unsigned dim = product.kind == Kind::kDense1 ? 2 : 4;
  SmallMatrix matrix(dim, product.a);
  for (uint32_t i = product.first; i < product.last; ++i) {
    const PlanOp& op = plan.members[i];
    const double* c = (op.dynamic ? row : plan.constants.data()) + op.at;
    matrix.apply(op, reinterpret_cast<const Complex*>(c));
  }
  std::copy(matrix.data(), matrix.data() + dim * dim, result);
}

double cost_of(const PlanOp& op) noexcept {
  const double part = 1.0 / static_cast<double>(uint64_t{1} << std::popcount(op.mask));
  switch (op.kind) {
    case Kind::kPhase:
      return 2 + 2 * kPhaseCost * part;
    case Kind::kFlip:
      return 2 + 8 * part;
    case Kind::kSwap:
      return 2 + 4 * part;
    case Kind::kDense1:
      return (op.shape == Shape::kGeneral ? kDense1Cost : kShapedCost) * part;
    case Kind::kDense2:
      return kDense2Cost * part;
    case Kind::kLayer:
      break;
  }
  return kLayerCost;
}

void fuse(Plan& plan) { Fuser(plan).run(); }

}  // namespace qfw::simenv
