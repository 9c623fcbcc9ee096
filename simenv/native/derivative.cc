#include "simenv/native/derivative.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

namespace qfw::simenv {

using program::Complex;
using program::Gate;

namespace {

constexpr double kPi = std::numbers::pi;

unsigned entries_of(const Gate& gate) {
  const unsigned dim = 1u << (gate.qubits - gate.controls);
  return dim * dim;
}

void shifted(const Gate& gate, std::span<const double> angles, unsigned which, double by, Complex* out) {
  double moved[program::kMaxGateParams] = {};
  std::copy(angles.begin(), angles.end(), moved);
  moved[which] += by;
  gate.matrix(moved, out);
}

// f'(x) = sum of c (f(x + s) - f(x - s)): c solves the equations for the frequencies 1/2 and 1.
void four_terms(const Gate& gate, std::span<const double> angles, unsigned which, Complex* out) {
  constexpr double kShift[2] = {kPi / 2, 3 * kPi / 2};
  constexpr double kWeight[2] = {(std::numbers::sqrt2 / 2 + 1) / 4, (std::numbers::sqrt2 / 2 - 1) / 4};
  const unsigned entries = entries_of(gate);
  std::fill(out, out + entries, Complex{});
  for (int k = 0; k < 2; ++k) {
    Complex plus[16], minus[16];
    shifted(gate, angles, which, kShift[k], plus);
    shifted(gate, angles, which, -kShift[k], minus);
    for (unsigned i = 0; i < entries; ++i) out[i] += kWeight[k] * (plus[i] - minus[i]);
  }
}

// With the frequency 1/2 alone, f'(x) = f(x + pi) / 2.
void half_turn(const Gate& gate, std::span<const double> angles, unsigned which, Complex* out) {
  shifted(gate, angles, which, kPi, out);
  for (unsigned i = 0; i < entries_of(gate); ++i) out[i] *= 0.5;
}

bool turns_by_halves(const Gate& gate, unsigned which) {
  const double angles[program::kMaxGateParams] = {0.7310585, 1.9235711, -0.4172029, 2.6457513};
  Complex exact[16], simple[16];
  four_terms(gate, {angles, gate.params}, which, exact);
  half_turn(gate, {angles, gate.params}, which, simple);
  for (unsigned i = 0; i < entries_of(gate); ++i)
    if (std::abs(exact[i] - simple[i]) > 1e-12) return false;
  return true;
}

}  // namespace

void derivative(const Gate& gate, std::span<const double> angles, unsigned which, Complex* out) {
  using Halves = std::array<bool, program::kMaxGateParams>;
  static const std::vector<Halves> table = [] {
    std::vector<Halves> rows;
    for (const Gate& row : program::gates()) {
      Halves halves{};
      for (unsigned i = 0; i < row.params; ++i) halves[i] = turns_by_halves(row, i);
      rows.push_back(halves);
    }
    return rows;
  }();
  if (table[static_cast<size_t>(gate.id)][which]) return half_turn(gate, angles, which, out);
  four_terms(gate, angles, which, out);
}

}  // namespace qfw::simenv
