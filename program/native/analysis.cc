#include "program/native/analysis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "program/native/gates.h"

namespace qfw::program {
namespace {

constexpr double kTolerance = 1e-12;
constexpr uint32_t kMaxMatrixQubits = 3;

using Matrix = std::vector<Complex>;  // row-major, a power of two wide

bool near(Complex a, Complex b) { return std::abs(a - b) <= kTolerance; }

// Whether a Hermitian unitary matrix is a signed product of Pauli matrices: one entry in each row, all at the same XOR
// of row and column, with signs that multiply as (-1)^(row & z) does.
bool is_pauli(const Matrix& m, size_t dim) {
  size_t x = 0;
  for (size_t c = 1; c < dim; ++c)
    if (std::abs(m[c]) > std::abs(m[x])) x = c;
  const Complex first = m[x];
  if (std::abs(std::abs(first) - 1.0) > kTolerance) return false;
  std::array<double, 1u << kMaxMatrixQubits> sign{};
  for (size_t r = 0; r < dim; ++r) {
    for (size_t c = 0; c < dim; ++c)
      if (c != (r ^ x) && std::abs(m[r * dim + c]) > kTolerance) return false;
    const Complex ratio = m[r * dim + (r ^ x)] / first;
    sign[r] = ratio.real() < 0 ? -1.0 : 1.0;
    if (!near(ratio, sign[r])) return false;
    if (const size_t rest = r & (r - 1); r != 0 && rest != 0 && sign[r] != sign[rest] * sign[r ^ rest]) return false;
  }
  return true;
}

// U P U^dagger for P = X or Z on one qubit: a permutation of U's columns, or signs on them.
Matrix conjugated(const Matrix& u, size_t dim, size_t bit, bool x) {
  Matrix out(dim * dim);
  for (size_t r = 0; r < dim; ++r)
    for (size_t c = 0; c < dim; ++c)
      for (size_t k = 0; k < dim; ++k) {
        const Complex factor = x ? u[r * dim + (k ^ bit)] : ((k & bit) ? -u[r * dim + k] : u[r * dim + k]);
        out[r * dim + c] += factor * std::conj(u[c * dim + k]);
      }
  return out;
}

bool clifford_matrix(const Matrix& u) {
  size_t dim = 1;
  while (dim * dim < u.size()) dim *= 2;
  for (size_t bit = 1; bit < dim; bit *= 2)
    for (const bool x : {true, false})
      if (!is_pauli(conjugated(u, dim, bit, x), dim)) return false;
  return true;
}

// Of gates without parameters, by id.
const std::vector<bool>& plain_clifford() {
  static const std::vector<bool> known = [] {
    std::vector<bool> found;
    for (const Gate& g : gates()) found.push_back(g.params == 0 && clifford_matrix(full_matrix(g, {})));
    return found;
  }();
  return known;
}

bool is_multiple_of_identity(const Matrix& u) {
  for (size_t r = 0, dim = u.size() == 4 ? 2 : 4; r < dim; ++r)
    for (size_t c = 0; c < dim; ++c)
      if (!near(u[r * dim + c], r == c ? u[0] : 0.0)) return false;
  return true;
}

Matrix with_controls(std::span<const Complex> base, uint32_t controls) {
  const size_t inner = base.size() == 4 ? 2 : 4;
  const size_t dim = inner << controls, mask = (size_t{1} << controls) - 1;
  Matrix full(dim * dim);
  for (size_t i = 0; i < dim; ++i) full[i * dim + i] = (i & mask) == mask ? 0.0 : 1.0;
  for (size_t r = 0; r < inner; ++r)
    for (size_t c = 0; c < inner; ++c)
      full[(r << controls | mask) * dim + (c << controls | mask)] = base[r * inner + c];
  return full;
}

bool clifford_gate(const Instruction& i, std::span<const double> row) {
  const Gate& g = gate(i.gate);
  if (g.params == 0 && i.controls == 0) return plain_clifford()[static_cast<size_t>(i.gate)];
  if (g.qubits == 0 && i.controls == 0) return true;  // a global phase
  if (i.qubits.size() > kMaxMatrixQubits) return false;
  std::vector<double> angles;
  for (const Angle& a : i.angles) {
    if (a.of_variable()) return false;
    angles.push_back(a.value(row));
  }
  return clifford_matrix(full_matrix(g, angles, i.controls));
}

bool clifford_unitary(const Instruction& i) {
  const Matrix base(i.matrix.begin(), i.matrix.end());
  if (i.controls == 0) return clifford_matrix(base);
  if (i.qubits.size() > kMaxMatrixQubits) return is_multiple_of_identity(base) && near(base[0], 1.0);
  return clifford_matrix(with_controls(i.matrix, i.controls));
}

std::string words(const Instruction& i) {
  std::string text = i.op == Op::kUnitary ? "a matrix" : "gate '" + std::string(gate(i.gate).name) + "'";
  if (i.controls > 0) text += " with " + std::to_string(i.controls) + " further controls";
  return text + (i.qubits.empty() ? "" : " on qubit " + std::to_string(i.qubits.back()));
}

// log2 of the operator Schmidt rank of a gate on two qubits, between them.
uint32_t rank_log2(const Instruction& i) {
  if (i.op == Op::kUnitary) return i.controls == 1 ? 1 : 2;
  const Gate& g = gate(i.gate);
  if (i.controls + g.controls > 0) return 1;  // 1 + P (U - 1)
  switch (i.gate) {
    case GateId::kRxx:
    case GateId::kRyy:
    case GateId::kRzz:
    case GateId::kRzx:
      return 1;  // cos + i sin P P'
    default:
      return 2;
  }
}

}  // namespace

std::optional<std::string> not_clifford(const Program& program, std::span<const double> row) {
  if (program.dynamic()) return "a dynamic program";
  for (const Instruction& i : program.instructions()) {
    if (i.op == Op::kGate && !clifford_gate(i, row)) return words(i);
    if (i.op == Op::kUnitary && !clifford_unitary(i)) return words(i);
  }
  return std::nullopt;
}

bool is_clifford(const Program& program, std::span<const double> row) { return !not_clifford(program, row); }

std::optional<uint32_t> bond_bound_log2(const Program& program) {
  if (program.dynamic()) return std::nullopt;
  const uint32_t n = program.num_qubits();
  std::vector<uint32_t> cut(n, 0);  // between qubit c and c + 1
  for (const Instruction& i : program.instructions()) {
    if ((i.op != Op::kGate && i.op != Op::kUnitary) || i.qubits.size() < 2) continue;
    const auto [low, high] = std::minmax(i.qubits[0], i.qubits[1]);
    if (i.qubits.size() > 2 || high != low + 1) return std::nullopt;
    cut[low] = std::min(cut[low] + rank_log2(i), n);
  }
  uint32_t bound = 0;
  for (uint32_t c = 0; c + 1 < n; ++c) bound = std::max(bound, std::min({cut[c], c + 1, n - 1 - c}));
  return bound;
}

}  // namespace qfw::program
