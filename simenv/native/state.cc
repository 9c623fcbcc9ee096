#include "simenv/native/state.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "program/native/error.h"
#include "simenv/native/block.h"

namespace qfw::simenv {

using program::Complex;

namespace {
// Below, a state is evolved in scratch memory and copied out; from here on it is evolved where it will stay.
constexpr unsigned kInPlaceQubits = 16;
constexpr size_t kSmallSlice = size_t{1} << 20;  // bytes: ranks do not ask each other whether they have got it
constexpr size_t kFill = size_t{1} << 20;
}  // namespace

State::State(const Kernels& kernels, unsigned qubits, ThreadPool* pool, bool keep, const Stop& stop, Comm* comm)
    : kernels_(kernels), qubits_(qubits), bits_(std::max(qubits, kernels.lane_bits)), pool_(pool), comm_(comm) {
  if (comm == nullptr) {
    allocate(keep, stop);
    return;
  }
  offset_ = static_cast<uint64_t>(comm->rank()) << qubits;
  if (size() * each_ <= kSmallSlice) {
    allocate(false, stop);
    return;
  }
  double refused = 0.0;
  try {
    allocate(false, stop);
  } catch (const Error&) {
    refused = 1.0;
  }
  const double ranks = sum_over(*comm, {&refused, 1})[0];
  if (ranks != 0.0)
    throw Error(ErrorCode::kResourceExhausted, "the systems of " + std::to_string(static_cast<unsigned>(ranks)) +
                                                   " ranks refused a slice of " + std::to_string(each_ << bits_) +
                                                   " bytes");
}

void State::allocate(bool keep, const Stop& stop) {
  const size_t amplitudes = size_t{1} << bits_;
  if (keep && qubits_ >= kInPlaceQubits && each_ == sizeof(Complex)) {
    kept_.reserve(amplitudes);
    advise_huge(kept_.data(), amplitudes * sizeof(Complex));
    for (size_t filled = 0; filled < amplitudes;) {  // the reserved memory is written here for the first time
      stop.check();
      filled = std::min(amplitudes, filled + kFill);
      kept_.resize(filled);
    }
    data_ = reinterpret_cast<std::byte*>(kept_.data());
  } else {
    buffer_ = Buffer(amplitudes * each_ / sizeof(double));
    data_ = reinterpret_cast<std::byte*>(buffer_.data());
    fresh_ = buffer_.zeroed();
  }
}

void State::start(Complex factor, const Layout& layout) {
  const size_t count = blocks(), each = size_t{1} << block_bits();
  if (!fresh_) for_blocks(count, [&](size_t b) { std::memset(at(b * each), 0, each * each_); });
  fresh_ = false;
  touched_ = 0;
  layout_ = layout;
  if (offset_ != 0) return;
  const size_t imaginary = size_t{1} << kernels_.lane_bits;
  if (each_ == sizeof(Complex)) {
    double* first = reinterpret_cast<double*>(data_);
    first[0] = factor.real();
    first[imaginary] = factor.imag();
  } else {
    float* first = reinterpret_cast<float*>(data_);
    first[0] = static_cast<float>(factor.real());
    first[imaginary] = static_cast<float>(factor.imag());
  }
}

void State::copy_from(const State& other) {
  const size_t count = blocks(), each = size_t{1} << block_bits();
  for_blocks(count, [&](size_t b) { std::memcpy(at(b * each), other.at(b * each), each * each_); });
  fresh_ = false;
  touched_ = other.touched_;
  layout_ = other.layout_;
}

void State::apply(const Plan& plan, size_t segment, const double* row, const Stop& stop) {
  const Segment& part = plan.segments[segment];
  if (comm_ != nullptr && layout_ != plan.from)
    throw Error(ErrorCode::kInternal, "the plan begins with another layout");
  for (uint32_t w = part.first_window; w < part.last_window; ++w) {
    const Window& window = plan.windows[w];
    if (comm_ != nullptr && w != part.first_window) comm_->all_gather({});  // throws when the run is to stop
    if (window.exchange != kNowhere) exchange(plan.exchanges[window.exchange]);
    if (!window.locals.empty()) {
      apply_window(plan, window, row, stop);
    } else if ((offset_ & ~touched_) == 0) {
      apply_block(plan, window, row, stop, data_, bits_, offset_);
    }
    touched_ = window.touched(touched_, qubits_);
  }
  if (comm_ != nullptr) layout_ = plan.to;
}

void State::apply_window(const Plan& plan, const Window& window, const double* row, const Stop& stop) {
  const Cut cut(window, qubits_);
  for_blocks(cut.count, [&](size_t b) {
    stop.check();
    const uint64_t begin = cut.base(b), base = offset_ | begin;
    if ((base & ~touched_) != 0) return;  // all zero
    void* from = at(begin);
    if (cut.whole(from)) return apply_block(plan, window, row, stop, from, cut.width, base);
    void* block = scratch(each_ << cut.width);
    cut.gather(from, block, each_);
    apply_block(plan, window, row, stop, block, cut.width, base);
    cut.scatter(block, from, each_);
  });
}

void State::apply_block(const Plan& plan, const Window& window, const double* row, const Stop& stop, void* block,
                        unsigned bits, uint64_t base) const {
  const Coefficients coefficients{plan.constants.data(), row};
  for (uint32_t i = window.first; i < window.last; ++i) {
    const PlanOp& op = plan.ops[i];
    if (op.kind == Kind::kLayer) {
      PhaseTable table;
      fill_table(plan, window, plan.layers[op.at], coefficients, base, table);
      kernels_.layer(block, bits, table);
      continue;
    }
    if ((base & op.outside) != op.outside) continue;
    apply_op(kernels_, op, coefficients.of(op), block, bits);
    if (bits > 12 || (i & 63) == 63) stop.check();
  }
}

double State::norm(uint64_t mask) const {
  const size_t count = blocks(), each = size_t{1} << block_bits();
  mask = layout_.mask(mask);
  const uint64_t inside = mask & (each - 1), outside = mask & ~uint64_t{each - 1};
  if (count == 1 && comm_ == nullptr) return kernels_.norm(data_, 0, each, mask);
  std::vector<double> sums(count, 0.0);
  for_blocks(count, [&](size_t b) {
    if (((offset_ | b * each) & outside) == outside) sums[b] = kernels_.norm(at(b * each), 0, each, inside);
  });
  double total = 0.0;
  for (double s : sums) total += s;
  return comm_ == nullptr ? total : sum_over(*comm_, {&total, 1})[0];
}

void State::project(uint32_t qubit, bool outcome, double probability) {
  qubit = layout_.position(qubit);
  const double scale = 1.0 / std::sqrt(probability);
  const double keep[8] = {outcome ? 0.0 : scale, 0, 0, 0, 0, 0, outcome ? scale : 0.0, 0}, zero[2] = {0, 0};
  const unsigned bits = block_bits();
  const size_t each = size_t{1} << bits;
  for_blocks(blocks(), [&](size_t b) {
    void* block = at(b * each);
    if (qubit < bits) {
      kernels_.dense1(block, bits, qubit, 0, keep, Shape::kReal);
    } else {
      const bool one = (offset_ | b * each) >> qubit & 1;
      kernels_.phase(block, bits, 0, one == outcome ? keep + (outcome ? 6 : 0) : zero);
    }
  });
}

namespace {

template <typename T>
struct Pair {  // two states' amplitudes, in groups of lanes
  const T *a, *b;
  size_t lanes, scalars;

  // The largest amplitude of the first: |.|^2, it, and the other's.
  std::array<double, 5> largest() const {
    size_t at = 0;  // its real part
    double square = 0.0;
    for (size_t group = 0; group < scalars; group += 2 * lanes)
      for (size_t i = group; i < group + lanes; ++i) {
        const double s = double{a[i]} * a[i] + double{a[i + lanes]} * a[i + lanes];
        if (s > square) square = s, at = i;
      }
    return {square, a[at], a[at + lanes], b[at], b[at + lanes]};
  }

  bool agree(Complex phase, double tolerance) const {
    const double c = phase.real(), s = phase.imag(), limit = tolerance * tolerance;
    for (size_t group = 0; group < scalars; group += 2 * lanes) {
      double worst = 0.0;
      for (size_t i = group; i < group + lanes; ++i) {
        const double re = b[i], im = b[i + lanes];
        const double x = a[i] - (c * re - s * im), y = a[i + lanes] - (c * im + s * re);
        worst = std::max(worst, x * x + y * y);
      }
      if (!(worst <= limit)) return false;
    }
    return true;
  }
};

}  // namespace

bool State::same_up_to_phase(const State& other, double tolerance) const {
  const auto same = [&]<typename T>(const T* a, const T* b) {
    const Pair<T> pair{a, b, size_t{1} << kernels_.lane_bits, size_t{2} << bits_};
    std::array<double, 5> most = pair.largest();
    if (comm_ != nullptr) {
      const std::vector<double> all = comm_->all_gather(most);
      for (size_t r = 0; r < all.size(); r += most.size())
        if (r == 0 || all[r] > most[0]) std::copy_n(&all[r], most.size(), most.begin());
    }
    const Complex mine(most[1], most[2]), others(most[3], most[4]);
    if (!(std::abs(std::abs(mine) - std::abs(others)) <= tolerance)) return false;
    const Complex phase = mine * std::conj(others) / (std::abs(mine) * std::abs(others));
    const double differs = pair.agree(phase, tolerance) ? 0.0 : 1.0;
    return (comm_ == nullptr ? differs : sum_over(*comm_, {&differs, 1})[0]) == 0.0;
  };
  const void *mine = data_, *others = other.data_;
  return kernels_.scalar_bytes == sizeof(float)
             ? same(static_cast<const float*>(mine), static_cast<const float*>(others))
             : same(static_cast<const double*>(mine), static_cast<const double*>(others));
}

std::vector<Complex> State::copy() const {
  if (comm_ != nullptr) return gather();
  std::vector<Complex> out;
  out.reserve(size());
  advise_huge(out.data(), size() * sizeof(Complex));  // before it is written for the first time
  out.resize(size());
  const size_t count = blocks(), each = std::min<size_t>(size(), size_t{1} << block_bits());
  for_blocks(count, [&](size_t b) {
    kernels_.interleave(at(b * each), each, reinterpret_cast<double*>(out.data() + b * each));
  });
  return out;
}

std::vector<Complex> State::take() {
  if (kept_.empty()) {
    kept_ = copy();
  } else {
    const size_t count = blocks(), each = size_t{1} << block_bits();
    for_blocks(count,
               [&](size_t b) { kernels_.interleave(at(b * each), each, reinterpret_cast<double*>(at(b * each))); });
  }
  data_ = nullptr;
  return std::move(kept_);
}

}  // namespace qfw::simenv
