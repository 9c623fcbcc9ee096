// A slow, plain simulation to compare with, and random programs over the whole gate table.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "program/native/builder.h"
#include "program/native/gates.h"
#include "program/native/program.h"
#include "simenv/native/kernels.h"
#include "simenv/native/simulator.h"

namespace qfw::simenv::testing {

using program::Complex;

inline std::vector<SimdLevel> all_levels() {
  std::vector<SimdLevel> levels;
  for (SimdLevel level : {SimdLevel::kScalar, SimdLevel::kAvx2, SimdLevel::kAvx512})
    if (kernels(level).level == level) levels.push_back(level);
  return levels;
}

// Applies the matrix (row-major, first target least significant) where all controls are 1.
inline void apply_dense(std::vector<Complex>& state, const std::vector<uint32_t>& controls,
                        const std::vector<uint32_t>& targets, const std::vector<Complex>& matrix) {
  const size_t dim = size_t{1} << targets.size();
  for (size_t base = 0; base < state.size(); ++base) {
    bool here = true;
    for (uint32_t c : controls) here &= (base >> c & 1) == 1;
    for (uint32_t t : targets) here &= (base >> t & 1) == 0;
    if (!here) continue;
    std::vector<size_t> at(dim, base);
    for (size_t i = 0; i < dim; ++i)
      for (size_t k = 0; k < targets.size(); ++k)
        if (i >> k & 1) at[i] |= size_t{1} << targets[k];
    std::vector<Complex> in(dim);
    for (size_t i = 0; i < dim; ++i) in[i] = state[at[i]];
    for (size_t r = 0; r < dim; ++r) {
      state[at[r]] = 0;
      for (size_t c = 0; c < dim; ++c) state[at[r]] += matrix[r * dim + c] * in[c];
    }
  }
}

// A random unitary of the shape: two rotations about the axes that keep it.
inline std::vector<Complex> one_qubit_matrix(std::mt19937& engine, Shape shape) {
  std::uniform_real_distribution<double> angles(-4, 4);
  const double c = angles(engine), cs = std::cos(c), sn = std::sin(c);
  if (shape == Shape::kReal) return {cs, -sn, sn, cs};
  if (shape == Shape::kCross) return {cs, Complex(0, -sn), Complex(0, -sn), cs};
  const Complex p = std::polar(1.0, angles(engine)), q = std::polar(1.0, angles(engine));
  return {cs, -q * sn, p * sn, p * q * cs};
}

// (A x B) exp(i theta X X) with random A and B.
inline std::vector<Complex> two_qubit_matrix(std::mt19937& engine) {
  const auto a = one_qubit_matrix(engine, Shape::kGeneral), b = one_qubit_matrix(engine, Shape::kGeneral);
  std::vector<Complex> both(16), out(16);
  for (int r = 0; r < 4; ++r)
    for (int c = 0; c < 4; ++c) both[r * 4 + c] = a[(r & 1) * 2 + (c & 1)] * b[(r >> 1) * 2 + (c >> 1)];
  const double theta = std::uniform_real_distribution<double>(-4, 4)(engine);
  for (int r = 0; r < 4; ++r)
    for (int c = 0; c < 4; ++c)
      out[r * 4 + c] = both[r * 4 + c] * std::cos(theta) + both[r * 4 + (c ^ 3)] * Complex(0, std::sin(theta));
  return out;
}

inline std::vector<Complex> reference_state(const program::Program& p, std::span<const double> row) {
  std::vector<Complex> state(size_t{1} << p.num_qubits());
  state[0] = std::polar(1.0, p.global_phase());
  for (const auto& in : p.instructions()) {
    if (in.op != program::Op::kGate && in.op != program::Op::kUnitary) continue;
    std::vector<Complex> matrix(in.matrix.begin(), in.matrix.end());
    size_t controls = in.controls;
    if (in.op == program::Op::kGate) {
      const program::Gate& gate = program::gate(in.gate);
      double angles[4] = {};
      for (size_t i = 0; i < in.angles.size(); ++i) angles[i] = in.angles[i].value(row);
      matrix.resize(16);
      gate.matrix(angles, matrix.data());
      controls += gate.controls;
    }
    const auto split = in.qubits.begin() + static_cast<ptrdiff_t>(controls);
    apply_dense(state, {in.qubits.begin(), split}, {split, in.qubits.end()}, matrix);
  }
  return state;
}

inline double distance(const std::vector<Complex>& x, const std::vector<Complex>& y) {
  double most = x.size() == y.size() ? 0.0 : 1e9;
  for (size_t i = 0; i < x.size() && i < y.size(); ++i) most = std::max(most, std::abs(x[i] - y[i]));
  return most;
}

enum class Mix { kAll, kNeighbours, kDiagonal };

class RandomPrograms {
 public:
  explicit RandomPrograms(uint32_t seed) : engine_(seed) {}

  double angle() { return std::uniform_real_distribution<double>(-4, 4)(engine_); }
  uint32_t below(uint32_t n) { return std::uniform_int_distribution<uint32_t>(0, n - 1)(engine_); }

  // `parametric`: every second angle is a parameter; row() has their values afterwards.
  program::ProgramPtr make(uint32_t qubits, int length, Mix mix, bool parametric) {
    program::ProgramBuilder builder(qubits, 0);
    builder.global_phase(angle());
    row_.clear();
    for (int i = 0; i < length; ++i) add(builder, qubits, mix, parametric);
    return builder.finish();
  }
  const std::vector<double>& row() const { return row_; }

 private:
  const program::Gate& choose(uint32_t qubits, Mix mix) {
    for (;;) {
      const auto table = program::gates();
      const program::Gate& gate = table[below(static_cast<uint32_t>(table.size()))];
      if (gate.qubits > qubits) continue;
      if (mix == Mix::kDiagonal && (gate.flags & program::kDiagonal) == 0 && below(6) != 0) continue;
      if (mix != Mix::kAll && gate.qubits > 2) continue;
      return gate;
    }
  }

  std::vector<uint32_t> places(uint32_t qubits, uint32_t count, Mix mix) {
    std::vector<uint32_t> all(qubits);
    for (uint32_t q = 0; q < qubits; ++q) all[q] = q;
    if (mix == Mix::kNeighbours) {
      std::rotate(all.begin(), all.begin() + below(qubits), all.end());
    } else {
      std::shuffle(all.begin(), all.end(), engine_);
    }
    all.resize(count);
    return all;
  }

  void add(program::ProgramBuilder& builder, uint32_t qubits, Mix mix, bool parametric) {
    const program::Gate& gate = choose(qubits, mix);
    const uint32_t most = mix == Mix::kAll ? std::min<uint32_t>(2, qubits - gate.qubits) : 0;
    const uint32_t controls = below(3) == 0 ? below(most + 1) : 0;
    std::vector<program::Angle> angles;
    for (int i = 0; i < gate.params; ++i) {
      if (parametric && below(2) == 0) {
        angles.push_back({0.5, -2.0, builder.parameter("")});
        row_.push_back(angle());
      } else {
        angles.push_back({angle()});
      }
    }
    builder.gate(gate.id, places(qubits, gate.qubits + controls, mix), angles, static_cast<uint16_t>(controls));
  }

  std::mt19937 engine_;
  std::vector<double> row_;
};

}  // namespace qfw::simenv::testing
