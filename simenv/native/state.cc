#include "simenv/native/state.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace qfw::simenv {

using program::Complex;

namespace {
// Below, a state is evolved in scratch memory and copied out; from here on it is evolved where it will stay.
constexpr unsigned kInPlaceQubits = 16;
constexpr size_t kFill = size_t{1} << 20;

uint64_t deposit(uint64_t bits, uint64_t mask) {  // the low bits of `bits` at the set positions of `mask`, in order
  uint64_t out = 0;
  for (; mask != 0; mask &= mask - 1, bits >>= 1)
    if (bits & 1) out |= mask & (0 - mask);
  return out;
}

double* scratch(size_t doubles) {  // of this thread, kept for the next block
  thread_local Buffer buffer;
  if (buffer.size() < doubles) buffer = Buffer(doubles);
  return buffer.data();
}

void scale(double* by, const double* c) {
  const double re = by[0] * c[0] - by[1] * c[1];
  by[1] = by[0] * c[1] + by[1] * c[0];
  by[0] = re;
}

// What a layer does to the block at `base`: its terms with the bits outside of the window filled in.
void fill_table(const Plan& plan, const Window& window, const Layer& layer, const double* row, uint64_t base,
                PhaseTable& table) {
  table.one[0] = 1.0;
  table.one[1] = table.singles = 0;
  uint8_t local[64] = {};
  uint64_t locals = 0;
  const size_t width = window.locals.empty() ? plan.qubits : window.locals.size();
  for (size_t i = 0; i < width; ++i) {
    const uint8_t q = window.locals.empty() ? static_cast<uint8_t>(i) : window.locals[i];
    local[q] = static_cast<uint8_t>(i);
    locals |= uint64_t{1} << q;
    table.partners[i] = 0;
  }
  for (uint32_t i = layer.first; i < layer.last; ++i) {
    const PlanOp& term = plan.terms[i];
    const uint64_t in = term.mask & locals, out = term.mask & ~locals;
    if ((base & out) != out) continue;
    const double* c = (term.dynamic ? row : plan.constants.data()) + term.at;
    double* to = table.one;
    if (in != 0) {
      const unsigned p = local[std::countr_zero(in)], q = local[63 - std::countl_zero(in)];
      uint64_t& there = p == q ? table.singles : table.partners[p];
      to = p == q ? table.single[p] : table.pair[p][q];
      if ((there >> q & 1) == 0) to[0] = 1.0, to[1] = 0.0;
      there |= uint64_t{1} << q;
    }
    scale(to, c);
  }
}
}  // namespace

State::State(const Kernels& kernels, unsigned qubits, ThreadPool* pool, bool keep, const Stop& stop)
    : kernels_(kernels), qubits_(qubits), bits_(std::max(qubits, kernels.lane_bits)), pool_(pool) {
  const size_t amplitudes = size_t{1} << bits_;
  if (keep && qubits >= kInPlaceQubits) {
    kept_.reserve(amplitudes);
    advise_huge(kept_.data(), amplitudes * sizeof(Complex));
    for (size_t filled = 0; filled < amplitudes;) {  // the reserved memory is written here for the first time
      stop.check();
      filled = std::min(amplitudes, filled + kFill);
      kept_.resize(filled);
    }
    data_ = reinterpret_cast<double*>(kept_.data());
  } else {
    buffer_ = Buffer(2 * amplitudes);
    data_ = buffer_.data();
    fresh_ = buffer_.zeroed();
  }
}

void State::start(Complex factor) {
  const size_t count = blocks(), each = size_t{1} << block_bits();
  if (!fresh_) for_blocks(count, [&](size_t b) { std::memset(data_ + 2 * b * each, 0, each * sizeof(Complex)); });
  fresh_ = false;
  touched_ = 0;
  data_[0] = factor.real();
  data_[size_t{1} << kernels_.lane_bits] = factor.imag();
}

void State::copy_from(const State& other) {
  const size_t count = blocks(), each = size_t{1} << block_bits();
  for_blocks(count,
             [&](size_t b) { std::memcpy(data_ + 2 * b * each, other.data_ + 2 * b * each, each * sizeof(Complex)); });
  fresh_ = false;
  touched_ = other.touched_;
}

void State::apply(const Plan& plan, size_t segment, const double* row, const Stop& stop) {
  const Segment& part = plan.segments[segment];
  for (uint32_t w = part.first_window; w < part.last_window; ++w) {
    const Window& window = plan.windows[w];
    if (window.locals.empty()) {
      apply_block(plan, window, row, stop, data_, bits_, 0);
      touched_ = ~uint64_t{0};
    } else {
      apply_window(plan, window, row, stop);
      touched_ |= window.targets;
    }
  }
}

void State::apply_window(const Plan& plan, const Window& window, const double* row, const Stop& stop) {
  const unsigned width = static_cast<unsigned>(window.locals.size());
  uint64_t locals = 0;
  for (uint8_t q : window.locals) locals |= uint64_t{1} << q;
  unsigned run_bits = 0;
  while (locals >> run_bits & 1) ++run_bits;
  const uint64_t high = locals >> run_bits << run_bits, outside = (size() - 1) & ~locals;
  const uint64_t run = uint64_t{1} << run_bits, runs = uint64_t{1} << (width - run_bits);
  for_blocks(size_t{1} << (qubits_ - width), [&](size_t b) {
    stop.check();
    const uint64_t base = deposit(b, outside);
    if ((base & ~touched_) != 0) return;  // all zero
    double* from = data_ + 2 * base;
    if (runs == 1 && reinterpret_cast<uintptr_t>(from) % 64 == 0)
      return apply_block(plan, window, row, stop, from, width, base);
    double* block = scratch(uint64_t{2} << width);
    uint64_t at = 0;
    for (uint64_t r = 0; r < runs; ++r, at = ((at | ~high) + 1) & high)
      std::memcpy(block + 2 * r * run, from + 2 * at, run * sizeof(Complex));
    apply_block(plan, window, row, stop, block, width, base);
    at = 0;
    for (uint64_t r = 0; r < runs; ++r, at = ((at | ~high) + 1) & high)
      std::memcpy(from + 2 * at, block + 2 * r * run, run * sizeof(Complex));
  });
}

void State::apply_block(const Plan& plan, const Window& window, const double* row, const Stop& stop, double* block,
                        unsigned bits, uint64_t base) const {
  for (uint32_t i = window.first; i < window.last; ++i) {
    const PlanOp& op = plan.ops[i];
    if (op.kind == Kind::kLayer) {
      PhaseTable table;
      fill_table(plan, window, plan.layers[op.at], row, base, table);
      kernels_.layer(block, bits, table);
      continue;
    }
    if ((base & op.outside) != op.outside) continue;
    const double* c = (op.dynamic ? row : plan.constants.data()) + op.at;
    switch (op.kind) {
      case Kind::kPhase:
        kernels_.phase(block, bits, op.mask, c);
        break;
      case Kind::kFlip:
        kernels_.flip(block, bits, op.a, op.mask);
        break;
      case Kind::kSwap:
        kernels_.swap(block, bits, op.a, op.b, op.mask);
        break;
      case Kind::kDense1:
        kernels_.dense1(block, bits, op.a, op.mask, c, op.shape);
        break;
      case Kind::kDense2:
        kernels_.dense2(block, bits, op.a, op.b, op.mask, c);
        break;
      case Kind::kLayer:
        break;
    }
    if (bits > 12 || (i & 63) == 63) stop.check();
  }
}

double State::norm(uint64_t mask) const {
  const size_t count = blocks(), each = size_t{1} << block_bits();
  const uint64_t inside = mask & (each - 1), outside = mask & ~uint64_t{each - 1};
  if (count == 1) return kernels_.norm(data_, 0, each, mask);
  std::vector<double> sums(count, 0.0);
  for_blocks(count, [&](size_t b) {
    if (((b * each) & outside) == outside) sums[b] = kernels_.norm(data_ + 2 * b * each, 0, each, inside);
  });
  double total = 0.0;
  for (double s : sums) total += s;
  return total;
}

void State::project(uint32_t qubit, bool outcome, double probability) {
  const double scale = 1.0 / std::sqrt(probability);
  const double keep[8] = {outcome ? 0.0 : scale, 0, 0, 0, 0, 0, outcome ? scale : 0.0, 0}, zero[2] = {0, 0};
  const unsigned bits = block_bits();
  const size_t each = size_t{1} << bits;
  for_blocks(blocks(), [&](size_t b) {
    double* block = data_ + 2 * b * each;
    if (qubit < bits) {
      kernels_.dense1(block, bits, qubit, 0, keep, Shape::kReal);
    } else {
      const bool one = (b * each) >> qubit & 1;
      kernels_.phase(block, bits, 0, one == outcome ? keep + (outcome ? 6 : 0) : zero);
    }
  });
}

void State::flip(uint32_t qubit) {
  kernels_.flip(data_, bits_, qubit, 0);
  touched_ |= uint64_t{1} << qubit;
}

std::vector<Complex> State::take() {
  if (kept_.empty()) {
    kept_.resize(size());
    kernels_.interleave(data_, size(), reinterpret_cast<double*>(kept_.data()));
  } else {
    const size_t count = blocks(), each = size_t{1} << block_bits();
    for_blocks(count, [&](size_t b) { kernels_.interleave(data_ + 2 * b * each, each, data_ + 2 * b * each); });
  }
  data_ = nullptr;
  return std::move(kept_);
}

}  // namespace qfw::simenv
