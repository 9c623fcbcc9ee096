#include "simenv/native/gradient.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "simenv/native/block.h"
#include "simenv/native/derivative.h"
#include "simenv/native/expect.h"
#include "simenv/native/pauli.h"
#include "simenv/native/small_matrix.h"

namespace qfw::simenv {

namespace {

unsigned dim_of(Kind kind) { return kind == Kind::kDense2 ? 4 : kind == Kind::kDense1 ? 2 : 1; }

void transpose(double* matrix, unsigned dim, double sign) {  // `sign` -1: of the complex conjugate
  Complex* m = reinterpret_cast<Complex*>(matrix);
  for (unsigned r = 0; r < dim; ++r)
    for (unsigned c = r; c < dim; ++c) {
      std::swap(m[r * dim + c], m[c * dim + r]);
      if (sign > 0) continue;
      m[r * dim + c] = std::conj(m[r * dim + c]);
      if (r != c) m[c * dim + r] = std::conj(m[c * dim + r]);
    }
}

bool has_matrix(Kind kind) { return kind == Kind::kPhase || kind == Kind::kDense1 || kind == Kind::kDense2; }

// The adjoints of the plan's coefficients, at the same places: those of the row, or those of the constants.
void make_adjoint(const Plan& plan, bool dynamic, double* pool) {
  for (const auto* ops : {&plan.ops, &plan.terms})
    for (const PlanOp& op : *ops)
      if (op.dynamic == dynamic && has_matrix(op.kind)) transpose(pool + op.at, dim_of(op.kind), -1);
}

}  // namespace

GradientPlan::GradientPlan(const Plan& plan) : plan_(plan), adjoint_constants_(plan.constants) {
  make_adjoint(plan, false, adjoint_constants_.data());
  std::vector<uint32_t> recipe_at(plan.row_doubles, kNowhere), product_at(plan.row_doubles, kNowhere);
  for (uint32_t i = 0; i < plan.recipes.size(); ++i)
    for (uint32_t at : plan.recipes[i].at)
      if (at != kNowhere && at != 0) recipe_at[at] = i;  // 0 is the global phase, which no mean depends on
  for (uint32_t i = 0; i < plan.products.size(); ++i) product_at[plan.products[i].at] = i;
  for (const PlanOp& op : plan.ops) op_sites_.push_back(site_of(op, recipe_at, product_at));
  for (const PlanOp& op : plan.terms) term_sites_.push_back(site_of(op, recipe_at, product_at));
  uint64_t touched = 0;
  for (const Window& window : plan.windows) {
    if (window.exchange != kNowhere) touched = plan.exchanges[window.exchange].moved(touched);
    touched_.push_back(touched);
    touched = window.touched(touched, plan.qubits);
  }
}

uint32_t GradientPlan::site_of(const PlanOp& op, const std::vector<uint32_t>& recipe_at,
                               const std::vector<uint32_t>& product_at) {
  if (!op.dynamic || !has_matrix(op.kind)) return kNowhere;
  Site site{op.kind, 0, static_cast<uint32_t>(members_.size()), 0};
  const size_t leaves = leaves_.size();
  if (product_at[op.at] == kNowhere) {
    add_member(op, recipe_at);
  } else {
    const Product& product = plan_.products[product_at[op.at]];
    site.a = product.a;
    for (uint32_t i = product.first; i < product.last; ++i) add_member(plan_.members[i], recipe_at);
  }
  if (leaves_.size() == leaves) {
    members_.resize(site.first);
    return kNowhere;
  }
  site.last = static_cast<uint32_t>(members_.size());
  sites_.push_back(site);
  return static_cast<uint32_t>(sites_.size()) - 1;
}

void GradientPlan::add_member(const PlanOp& op, const std::vector<uint32_t>& recipe_at) {
  Member member{op, static_cast<uint32_t>(leaves_.size()), 0};
  if (op.dynamic && recipe_at[op.at] != kNowhere) {
    const Recipe& recipe = plan_.recipes[recipe_at[op.at]];
    const auto angles = recipe.source->angles;
    const auto subset = std::find(recipe.at.begin(), recipe.at.end(), op.at) - recipe.at.begin();
    for (size_t i = 0; i < angles.size(); ++i)
      if (!angles[i].constant())
        leaves_.push_back({recipe_at[op.at], angles[i].parameter, angles[i].scale, static_cast<uint8_t>(i),
                           static_cast<uint8_t>(subset)});
  }
  member.last = static_cast<uint32_t>(leaves_.size());
  members_.push_back(member);
}

// One program, row and set of parameters; several batches of observables.
class BackwardSweep {
 public:
  BackwardSweep(const GradientPlan& plan, std::span<const double> row, const double* values,
                std::span<const uint32_t> parameters, uint32_t num_parameters)
      : g_(plan), plan_(plan.plan_), row_(row), values_(values), adjoint_(values, values + plan_.row_doubles) {
    make_adjoint(plan_, true, adjoint_.data());
    choose_columns(parameters, num_parameters);
    give_slots();
    differentiate();
  }

  // The state goes back to the start of the circuit; adds to `out`: one line of columns() for each lambda.
  void run(State& state, std::span<State* const> lambdas, double* out, const Stop& stop) {
    for (size_t w = plan_.windows.size(); w-- > 0;) {
      const std::vector<double> sums = undo(w, state, lambdas, stop);
      const size_t width = sums.size() / lambdas.size();
      for (size_t k = 0; k < lambdas.size(); ++k)
        collect(plan_.windows[w], sums.data() + k * width, out + k * columns_);
      if (plan_.windows[w].exchange == kNowhere) continue;  // else back, which is the same exchange
      state.exchange(plan_.exchanges[plan_.windows[w].exchange]);
      for (State* lambda : lambdas) lambda->exchange(plan_.exchanges[plan_.windows[w].exchange]);
    }
  }

  size_t columns() const noexcept { return columns_; }

 private:
  using Leaf = GradientPlan::Leaf;
  using Site = GradientPlan::Site;
  static constexpr size_t kMaxChunks = 256;  // partial sums, whatever the number of blocks

  struct Slot {
    uint32_t at = kNowhere;  // in the sums of its window
    uint32_t slopes = 0;     // where its leaves' derivatives begin
  };

  void choose_columns(std::span<const uint32_t> parameters, uint32_t num_parameters) {
    columns_ = parameters.empty() ? num_parameters : parameters.size();
    column_of_.assign(num_parameters, kNowhere);
    for (uint32_t i = 0; i < columns_; ++i) column_of_[parameters.empty() ? i : parameters[i]] = i;
  }

  bool wanted(const Leaf& leaf) const { return column_of_[leaf.parameter] != kNowhere; }

  bool wanted(const Site& site) const {
    for (uint32_t i = g_.members_[site.first].first, end = g_.members_[site.last - 1].last; i < end; ++i)
      if (wanted(g_.leaves_[i])) return true;
    return false;
  }

  template <class Body>
  void for_sites(const Window& window, const Body& body) const {  // body(site's index)
    for (uint32_t i = window.first; i < window.last; ++i) {
      if (g_.op_sites_[i] != kNowhere) body(g_.op_sites_[i]);
      if (plan_.ops[i].kind != Kind::kLayer) continue;
      const Layer& layer = plan_.layers[plan_.ops[i].at];
      for (uint32_t t = layer.first; t < layer.last; ++t)
        if (g_.term_sites_[t] != kNowhere) body(g_.term_sites_[t]);
    }
  }

  void give_slots() {
    slots_.resize(g_.sites_.size());
    for (const Window& window : plan_.windows) {
      uint32_t width = 0;
      for_sites(window, [&](uint32_t s) {
        if (!wanted(g_.sites_[s])) return;
        const unsigned dim = dim_of(g_.sites_[s].kind);
        slots_[s].at = width;
        width += dim == 1 ? 1 : 2 * dim * dim;
      });
      widths_.push_back(width);
    }
  }

  // Where a leaf's parameter acts: d(log factor) / i of phases (one double); else the derivative of the site's matrix.
  void differentiate() {
    for (size_t s = 0; s < slots_.size(); ++s) {
      if (slots_[s].at == kNowhere) continue;
      slots_[s].slopes = static_cast<uint32_t>(slopes_.size());
      const Site& site = g_.sites_[s];
      SmallMatrix before(dim_of(site.kind), site.a);
      for (uint32_t m = site.first; m < site.last; ++m) {
        const GradientPlan::Member& member = g_.members_[m];
        for (uint32_t i = member.first; i < member.last; ++i)
          if (wanted(g_.leaves_[i])) add_slope(site, member.op, g_.leaves_[i], before);
        if (site.last - site.first > 1 && site.kind != Kind::kPhase) before.apply(member.op, coefficient(member.op));
      }
    }
  }

  const Complex* coefficient(const PlanOp& op) const {
    return reinterpret_cast<const Complex*>((op.dynamic ? values_ : plan_.constants.data()) + op.at);
  }

  void add_slope(const Site& site, const PlanOp& op, const Leaf& leaf, const SmallMatrix& before) {
    const Recipe& recipe = plan_.recipes[leaf.recipe];
    const program::Gate& gate = program::gate(recipe.source->gate);
    double angles[program::kMaxGateParams] = {};
    for (size_t i = 0; i < recipe.source->angles.size(); ++i) angles[i] = recipe.source->angles[i].value(row_);
    Complex d[16];
    derivative(gate, {angles, gate.params}, leaf.angle, d);
    if (op.kind == Kind::kPhase) {
      const double slope = phase_slope(gate, angles, leaf.subset, d);
      if (site.kind == Kind::kPhase) {
        slopes_.push_back(slope);
        return;
      }
      d[0] = Complex{0, slope} * *coefficient(op);
    }
    const unsigned entries = dim_of(site.kind) * dim_of(site.kind);
    const double* from = reinterpret_cast<const double*>(d);
    SmallMatrix product = before;
    if (site.last - site.first > 1) {
      product.apply_part(op, d);
      from = reinterpret_cast<const double*>(product.data());
    }
    slopes_.insert(slopes_.end(), from, from + 2 * entries);
  }

  // Of the factor of `subset` in a diagonal gate (see factors_of in plan.cc), given d, the derivative of its matrix.
  static double phase_slope(const program::Gate& gate, const double* angles, unsigned subset, const Complex* d) {
    Complex matrix[16];
    gate.matrix(angles, matrix);
    const unsigned dim = 1u << (gate.qubits - gate.controls);
    const auto log_slope = [&](unsigned i) { return (d[i * dim + i] / matrix[i * dim + i]).imag(); };
    if (subset == 0) return log_slope(0);
    if (subset == 3) return log_slope(3) + log_slope(0) - log_slope(1) - log_slope(2);
    return log_slope(subset) - log_slope(0);
  }

  struct Blocks {  // one block of the state and of each lambda
    void* state;
    void* const* lambdas;
    size_t count;
    unsigned bits;
    uint64_t base;
    double* sums;
    size_t width;  // of one lambda's sums
  };

  // Undoes a window; returns its sums, one line for each lambda.
  std::vector<double> undo(size_t w, State& state, std::span<State* const> lambdas, const Stop& stop) const {
    const Window& window = plan_.windows[w];
    if (state.comm() != nullptr) state.comm()->all_gather({});  // throws when the run is to stop
    const size_t width = widths_[w], line = width * lambdas.size();
    if (window.locals.empty()) {
      std::vector<double> sums(line, 0.0);
      std::vector<void*> at;
      for (State* lambda : lambdas) at.push_back(lambda->at(0));
      undo_block(state.kernels(), window,
                 {state.at(0), at.data(), at.size(), state.bits(), state.offset(), sums.data(), width}, stop);
      return sums;
    }
    const Cut cut(window, state.qubits());
    const size_t chunks = std::min<size_t>(cut.count, kMaxChunks), each = cut.count / chunks;
    std::vector<double> parts(chunks * line, 0.0);
    state.for_blocks(chunks, [&](size_t c) {
      for (size_t b = c * each; b < (c + 1) * each; ++b) {
        stop.check();
        const uint64_t base = state.offset() | cut.base(b);
        // Where the state was zero before the window it is so at all earlier times, and lambda is not needed there.
        if ((base & ~g_.touched_[w]) == 0)
          undo_cut(cut, window, base, state, lambdas, parts.data() + c * line, width, stop);
      }
    });
    for (size_t c = 1; c < chunks; ++c)
      for (size_t i = 0; i < line; ++i) parts[i] += parts[c * line + i];
    parts.resize(line);
    return parts;
  }

  void undo_cut(const Cut& cut, const Window& window, uint64_t base, State& state, std::span<State* const> lambdas,
                double* sums, size_t width, const Stop& stop) const {
    const size_t each = state.bytes_each(), block = each << cut.width;
    const uint64_t begin = base & (state.size() - 1);
    std::byte* memory = scratch((1 + lambdas.size()) * block);
    std::vector<void*> at(1 + lambdas.size());
    for (size_t k = 0; k <= lambdas.size(); ++k) {
      void* from = (k == 0 ? state : *lambdas[k - 1]).at(begin);
      at[k] = cut.whole(from) ? from : memory + k * block;
      if (at[k] != from) cut.gather(from, at[k], each);
    }
    undo_block(state.kernels(), window, {at[0], &at[1], lambdas.size(), cut.width, base, sums, width}, stop);
    for (size_t k = 0; k <= lambdas.size(); ++k) {
      void* to = (k == 0 ? state : *lambdas[k - 1]).at(begin);
      if (at[k] != to) cut.scatter(at[k], to, each);
    }
  }

  void undo_block(const Kernels& k, const Window& window, const Blocks& blocks, const Stop& stop) const {
    const Coefficients coefficients{g_.adjoint_constants_.data(), adjoint_.data()};
    for (uint32_t i = window.last; i-- > window.first;) {
      const PlanOp& op = plan_.ops[i];
      if (blocks.bits > 12 || (i & 63) == 63) stop.check();
      if (op.kind == Kind::kLayer) {
        undo_layer(k, window, plan_.layers[op.at], coefficients, blocks);
        continue;
      }
      if ((blocks.base & op.outside) != op.outside) continue;
      const double* c = coefficients.of(op);
      apply_op(k, op, c, blocks.state, blocks.bits);
      const uint32_t slot = g_.op_sites_[i] == kNowhere ? kNowhere : slots_[g_.op_sites_[i]].at;
      for (size_t o = 0; o < blocks.count; ++o) {
        void* lambda = blocks.lambdas[o];
        // A phase is summed with both undone, a matrix with lambda still as it is after the operation.
        if (op.kind == Kind::kPhase) apply_op(k, op, c, lambda, blocks.bits);
        if (slot != kNowhere) add_sums(k, op, lambda, blocks, blocks.sums + o * blocks.width + slot);
        if (op.kind != Kind::kPhase) apply_op(k, op, c, lambda, blocks.bits);
      }
    }
  }

  static void add_sums(const Kernels& k, const PlanOp& op, const void* lambda, const Blocks& blocks, double* to) {
    if (op.kind == Kind::kPhase) *to += k.cross_sum(lambda, blocks.state, blocks.bits, op.mask);
    if (op.kind == Kind::kDense1) k.transfer1(lambda, blocks.state, blocks.bits, op.a, op.mask, to);
    if (op.kind == Kind::kDense2) k.transfer2(lambda, blocks.state, blocks.bits, op.a, op.b, op.mask, to);
  }

  struct LayerTerm {
    uint64_t high, low;  // the mask within the block: of tiles, of amplitudes in a tile
    uint32_t slot;
  };

  void undo_layer(const Kernels& k, const Window& window, const Layer& layer, const Coefficients& coefficients,
                  const Blocks& blocks) const {
    PhaseTable table;
    fill_table(plan_, window, layer, coefficients, blocks.base, table);
    k.layer(blocks.state, blocks.bits, table);
    for (size_t o = 0; o < blocks.count; ++o) k.layer(blocks.lambdas[o], blocks.bits, table);
    const std::vector<LayerTerm> terms = terms_of(window, layer, blocks);
    if (terms.empty()) return;
    alignas(64) double tile[size_t{1} << kTileBits];
    const size_t n = size_t{1} << std::min(blocks.bits, kTileBits);
    for (size_t o = 0; o < blocks.count; ++o)
      for (size_t t = 0; t < (size_t{1} << blocks.bits) / n; ++t) {
        k.crosses(blocks.lambdas[o], blocks.state, t * n, n, tile);
        k.superset_sums(tile, n);
        for (const LayerTerm& term : terms)
          if ((t & term.high) == term.high) blocks.sums[o * blocks.width + term.slot] += tile[term.low];
      }
  }

  std::vector<LayerTerm> terms_of(const Window& window, const Layer& layer, const Blocks& blocks) const {
    std::vector<LayerTerm> terms;
    const unsigned tile_bits = std::min(blocks.bits, kTileBits);
    for (uint32_t t = layer.first; t < layer.last; ++t) {
      const uint32_t site = g_.term_sites_[t];
      if (site == kNowhere || slots_[site].at == kNowhere) continue;
      uint64_t in = plan_.terms[t].mask, outside = 0;
      if (!window.locals.empty()) {
        const uint64_t mask = std::exchange(in, 0);
        outside = mask;
        for (size_t q = 0; q < window.locals.size(); ++q) {
          if ((mask >> window.locals[q] & 1) == 0) continue;
          in |= uint64_t{1} << q;
          outside &= ~(uint64_t{1} << window.locals[q]);
        }
      }
      if ((blocks.base & outside) != outside) continue;
      terms.push_back({in >> tile_bits, in & ((uint64_t{1} << tile_bits) - 1), slots_[site].at});
    }
    return terms;
  }

  // From a window's sums for one lambda to its share of the derivatives.
  void collect(const Window& window, const double* sums, double* out) const {
    for_sites(window, [&](uint32_t s) {
      if (slots_[s].at == kNowhere) return;
      const Site& site = g_.sites_[s];
      const double* slope = &slopes_[slots_[s].slopes];
      if (site.kind == Kind::kPhase) {
        for_leaves(site, [&](const Leaf& leaf) { add(leaf, -2.0 * *slope++ * sums[slots_[s].at], out); });
      } else {
        collect_matrix(site, reinterpret_cast<const Complex*>(sums + slots_[s].at), slope, out);
      }
    });
  }

  template <class Body>
  void for_leaves(const Site& site, const Body& body) const {
    for (uint32_t i = g_.members_[site.first].first, end = g_.members_[site.last - 1].last; i < end; ++i)
      if (wanted(g_.leaves_[i])) body(g_.leaves_[i]);
  }

  void add(const Leaf& leaf, double value, double* out) const { out[column_of_[leaf.parameter]] += leaf.scale * value; }

  // U = G_m ... G_1; for an angle of G_k, dU = S D with S = G_m ... G_(k+1), D = dG_k G_(k-1) ... G_1 (the slope), and
  // the derivative is 2 Re of the sum of (transposed S times the matrix of sums) times D, entry by entry.
  void collect_matrix(const Site& site, const Complex* sums, const double* slopes, double* out) const {
    const unsigned dim = dim_of(site.kind), entries = dim * dim;
    SmallMatrix after(dim, site.a);
    after.set(sums);
    uint32_t left = 0;  // leaves that come before
    for_leaves(site, [&](const Leaf&) { ++left; });
    for (uint32_t m = site.last; m-- > site.first;) {
      const GradientPlan::Member& member = g_.members_[m];
      for (uint32_t i = member.last; i-- > member.first;) {
        if (!wanted(g_.leaves_[i])) continue;
        const Complex* d = reinterpret_cast<const Complex*>(slopes + size_t{2} * entries * --left);
        Complex total = 0.0;
        for (unsigned e = 0; e < entries; ++e) total += after.data()[e] * d[e];
        add(g_.leaves_[i], 2.0 * total.real(), out);
      }
      if (m == site.first) break;
      Complex c[16];
      const unsigned own = has_matrix(member.op.kind) ? dim_of(member.op.kind) : 0;
      std::copy(coefficient(member.op), coefficient(member.op) + own * own, c);
      transpose(reinterpret_cast<double*>(c), own, 1);
      after.apply(member.op, c);
    }
  }

  const GradientPlan& g_;
  const Plan& plan_;
  std::span<const double> row_;
  const double* values_;
  std::vector<double> adjoint_;      // of the row's coefficients
  std::vector<uint32_t> column_of_;  // of each parameter; kNowhere: not wanted
  size_t columns_ = 0;
  std::vector<Slot> slots_;       // of each site
  std::vector<uint32_t> widths_;  // of each window's sums
  std::vector<double> slopes_;
};

std::vector<double> gradients(const GradientPlan& plan, std::span<const double> row, const double* values,
                              std::span<const program::PauliSum> observables, std::span<const uint32_t> parameters,
                              uint32_t num_parameters, size_t batch, State& state, const Stop& stop) {
  BackwardSweep sweep(plan, row, values, parameters, num_parameters);
  std::vector<double> out(observables.size() * sweep.columns(), 0.0);
  std::vector<std::unique_ptr<State>> states;
  std::vector<State*> lambdas;
  for (size_t first = 0; first < observables.size(); first += batch) {
    if (first != 0) {  // the last batch took the state back to its start
      state.start({values[0], values[1]}, plan.plan().from);
      state.apply(plan.plan(), 0, values, stop);
    }
    const size_t count = std::min(batch, observables.size() - first);
    while (states.size() < count) {
      states.push_back(
          std::make_unique<State>(state.kernels(), state.qubits(), state.pool(), false, stop, state.comm()));
      lambdas.push_back(states.back().get());
    }
    for (size_t k = 0; k < count; ++k) apply_sum(observables[first + k], state, *lambdas[k], stop);
    sweep.run(state, {lambdas.data(), count}, out.data() + first * sweep.columns(), stop);
  }
  if (state.comm() != nullptr && !out.empty()) return sum_over(*state.comm(), out);
  return out;
}

}  // namespace qfw::simenv
