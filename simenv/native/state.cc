#include "simenv/native/state.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace qfw::simenv {

using program::Complex;

namespace {
// Below, a state is evolved in scratch memory and copied out; from here on it is evolved where it will stay.
constexpr unsigned kInPlaceQubits = 16;
}  // namespace

State::State(const Kernels& kernels, unsigned qubits, ThreadPool* pool, bool keep)
    : kernels_(kernels), qubits_(qubits), bits_(std::max(qubits, kernels.lane_bits)), pool_(pool) {
  const size_t amplitudes = size_t{1} << bits_;
  if (keep && qubits >= kInPlaceQubits) {
    kept_.reserve(amplitudes);
    advise_huge(kept_.data(), amplitudes * sizeof(Complex));
    kept_.resize(amplitudes);
    data_ = reinterpret_cast<double*>(kept_.data());
  } else {
    buffer_ = Buffer(2 * amplitudes);
    data_ = buffer_.data();
  }
}

void State::start(Complex factor) {
  std::memset(data_, 0, (size_t{1} << bits_) * sizeof(Complex));
  data_[0] = factor.real();
  data_[size_t{1} << kernels_.lane_bits] = factor.imag();
}

void State::copy_from(const State& other) { std::memcpy(data_, other.data_, (size_t{1} << bits_) * sizeof(Complex)); }

void State::apply(const Plan& plan, size_t first, size_t last, const double* row, const Stop& stop) {
  for (size_t i = first; i < last; ++i) {
    const PlanOp& op = plan.ops[i];
    const double* c = (op.dynamic ? row : plan.constants.data()) + op.at;
    switch (op.kind) {
      case Kind::kPhase:
        kernels_.phase(data_, bits_, op.mask, c);
        break;
      case Kind::kFlip:
        kernels_.flip(data_, bits_, op.a, op.mask);
        break;
      case Kind::kSwap:
        kernels_.swap(data_, bits_, op.a, op.b, op.mask);
        break;
      case Kind::kDense1:
        kernels_.dense1(data_, bits_, op.a, op.mask, c, op.shape);
        break;
      case Kind::kDense2:
        kernels_.dense2(data_, bits_, op.a, op.b, op.mask, c);
        break;
    }
    if (bits_ > 12 || (i & 63) == 63) stop.check();
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
  const double scale = 1.0 / std::sqrt(probability),
               keep[8] = {outcome ? 0.0 : scale, 0, 0, 0, 0, 0, outcome ? scale : 0.0, 0};
  kernels_.dense1(data_, bits_, qubit, 0, keep, Shape::kReal);
}

void State::flip(uint32_t qubit) { kernels_.flip(data_, bits_, qubit, 0); }

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
