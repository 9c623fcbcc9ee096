// Matrices of one or two qubits, made from the operations of a Plan.
#pragma once

#include <algorithm>
#include <utility>

#include "simenv/native/plan.h"

namespace qfw::simenv {

using program::Complex;

// One 4x4 (or 2x2) matrix, multiplied from the left by small operations.
class SmallMatrix {
 public:
  SmallMatrix(unsigned dim, uint8_t a) : dim_(dim), a_(a) {
    for (unsigned i = 0; i < dim * dim; ++i) m_[i] = i % (dim + 1) == 0 ? 1.0 : 0.0;
  }

  void apply(const PlanOp& op, const Complex* c) {
    const unsigned on = local(op.mask);
    switch (op.kind) {
      case Kind::kPhase:
        for (unsigned r = 0; r < dim_; ++r)
          if ((r & on) == on)
            for (unsigned k = 0; k < dim_; ++k) m_[r * dim_ + k] *= c[0];
        break;
      case Kind::kFlip:
        pairs(bit(op.a), on, [](Complex& x, Complex& y) { std::swap(x, y); });
        break;
      case Kind::kDense1:
        pairs(bit(op.a), on, [c](Complex& x, Complex& y) {
          const Complex t = c[0] * x + c[1] * y;
          y = c[2] * x + c[3] * y;
          x = t;
        });
        break;
      case Kind::kSwap:
        for (unsigned k = 0; k < 4; ++k) std::swap(m_[4 + k], m_[8 + k]);
        break;
      case Kind::kDense2:
        dense(op, c);
        break;
      case Kind::kLayer:
        break;  // never a member
    }
  }

  // `apply` where the operation's controls are met, zero elsewhere: a derivative acts nowhere else.
  void apply_part(const PlanOp& op, const Complex* c) {
    apply(op, c);
    const unsigned on = local(op.mask);
    for (unsigned r = 0; r < dim_; ++r)
      if ((r & on) != on) std::fill(m_ + r * dim_, m_ + (r + 1) * dim_, Complex{});
  }

  void set(const Complex* values) { std::copy(values, values + dim_ * dim_, m_); }
  const Complex* data() const noexcept { return m_; }

 private:
  unsigned bit(uint8_t qubit) const { return qubit == a_ ? 1 : 2; }
  unsigned local(uint64_t mask) const {
    return (mask >> a_ & 1 ? 1u : 0u) | ((mask & ~(uint64_t{1} << a_)) != 0 ? 2u : 0u);
  }

  template <class F>
  void pairs(unsigned target, unsigned on, F f) {
    for (unsigned r = 0; r < dim_; ++r)
      if ((r & target) == 0 && (r & on) == on)
        for (unsigned k = 0; k < dim_; ++k) f(m_[r * dim_ + k], m_[(r | target) * dim_ + k]);
  }

  void dense(const PlanOp& op, const Complex* c) {
    Complex out[16];
    for (unsigned r = 0; r < 4; ++r)
      for (unsigned k = 0; k < 4; ++k) {
        Complex sum = 0.0;
        for (unsigned s = 0; s < 4; ++s) sum += c[r * 4 + s] * m_[row_of(op, s) * 4 + k];
        out[row_of(op, r) * 4 + k] = sum;
      }
    std::copy(out, out + 16, m_);
  }
  unsigned row_of(const PlanOp& op, unsigned r) const { return (r & 1 ? bit(op.a) : 0) | (r & 2 ? bit(op.b) : 0); }

  unsigned dim_;
  uint8_t a_;
  Complex m_[16];
};

}  // namespace qfw::simenv
