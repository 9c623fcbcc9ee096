#include "simenv/native/block.h"

#include <bit>
#include <cstring>

#include "simenv/native/buffer.h"

namespace qfw::simenv {

namespace {

void scale(double* by, const double* c) {
  const double re = by[0] * c[0] - by[1] * c[1];
  by[1] = by[0] * c[1] + by[1] * c[0];
  by[0] = re;
}

}  // namespace

uint64_t deposit(uint64_t bits, uint64_t mask) noexcept {
  uint64_t out = 0;
  for (; mask != 0; mask &= mask - 1, bits >>= 1)
    if (bits & 1) out |= mask & (0 - mask);
  return out;
}

Cut::Cut(const Window& window, unsigned qubits) : width(static_cast<unsigned>(window.locals.size())) {
  uint64_t locals = 0;
  for (uint8_t q : window.locals) locals |= uint64_t{1} << q;
  unsigned run_bits = 0;
  while (locals >> run_bits & 1) ++run_bits;
  high_ = locals >> run_bits << run_bits;
  outside_ = ((uint64_t{1} << qubits) - 1) & ~locals;
  run = uint64_t{1} << run_bits;
  runs = uint64_t{1} << (width - run_bits);
  count = uint64_t{1} << (qubits - width);
}

uint64_t Cut::base(uint64_t block) const noexcept { return deposit(block, outside_); }

void Cut::gather(const void* from, void* block, size_t each) const noexcept {
  uint64_t at = 0;
  for (uint64_t r = 0; r < runs; ++r, at = ((at | ~high_) + 1) & high_)
    std::memcpy(static_cast<std::byte*>(block) + r * run * each, static_cast<const std::byte*>(from) + at * each,
                run * each);
}

void Cut::scatter(const void* block, void* to, size_t each) const noexcept {
  uint64_t at = 0;
  for (uint64_t r = 0; r < runs; ++r, at = ((at | ~high_) + 1) & high_)
    std::memcpy(static_cast<std::byte*>(to) + at * each, static_cast<const std::byte*>(block) + r * run * each,
                run * each);
}

std::byte* scratch(size_t bytes) {
  thread_local Buffer buffer;
  const size_t doubles = (bytes + sizeof(double) - 1) / sizeof(double);
  if (buffer.size() < doubles) buffer = Buffer(doubles);
  return reinterpret_cast<std::byte*>(buffer.data());
}

void fill_table(const Plan& plan, const Window& window, const Layer& layer, const Coefficients& coefficients,
                uint64_t base, PhaseTable& table) {
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
    double* to = table.one;
    if (in != 0) {
      const unsigned p = local[std::countr_zero(in)], q = local[63 - std::countl_zero(in)];
      uint64_t& there = p == q ? table.singles : table.partners[p];
      to = p == q ? table.single[p] : table.pair[p][q];
      if ((there >> q & 1) == 0) to[0] = 1.0, to[1] = 0.0;
      there |= uint64_t{1} << q;
    }
    scale(to, coefficients.of(term));
  }
}

void apply_op(const Kernels& kernels, const PlanOp& op, const double* c, void* block, unsigned bits) {
  switch (op.kind) {
    case Kind::kPhase:
      return kernels.phase(block, bits, op.mask, c);
    case Kind::kFlip:
      return kernels.flip(block, bits, op.a, op.mask);
    case Kind::kSwap:
      return kernels.swap(block, bits, op.a, op.b, op.mask);
    case Kind::kDense1:
      return kernels.dense1(block, bits, op.a, op.mask, c, op.shape);
    case Kind::kDense2:
      return kernels.dense2(block, bits, op.a, op.b, op.mask, c);
    case Kind::kLayer:
      return;
  }
}

}  // namespace qfw::simenv
