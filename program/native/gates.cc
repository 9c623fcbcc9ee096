#include "program/native/gates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <unordered_map>

#include "program/native/error.h"

namespace qfw::program {
namespace {

constexpr Complex kI{0.0, 1.0};
constexpr double kHalfRoot = std::numbers::sqrt2 / 2.0;

Complex cis(double a) { return {std::cos(a), std::sin(a)}; }

void write2(Complex* m, Complex a, Complex b, Complex c, Complex d) {
  m[0] = a;
  m[1] = b;
  m[2] = c;
  m[3] = d;
}

void write4(Complex* m, const std::array<Complex, 16>& values) { std::copy(values.begin(), values.end(), m); }

// Base matrices, row-major; of two qubits the first named is index bit 0.
void m_gphase(const double* p, Complex* m) { m[0] = cis(p[0]); }
void m_id(const double*, Complex* m) { write2(m, 1, 0, 0, 1); }
void m_x(const double*, Complex* m) { write2(m, 0, 1, 1, 0); }
void m_y(const double*, Complex* m) { write2(m, 0, -kI, kI, 0); }
void m_z(const double*, Complex* m) { write2(m, 1, 0, 0, -1); }
void m_h(const double*, Complex* m) { write2(m, kHalfRoot, kHalfRoot, kHalfRoot, -kHalfRoot); }
void m_s(const double*, Complex* m) { write2(m, 1, 0, 0, kI); }
void m_sdg(const double*, Complex* m) { write2(m, 1, 0, 0, -kI); }
void m_t(const double*, Complex* m) { write2(m, 1, 0, 0, Complex{kHalfRoot, kHalfRoot}); }
void m_tdg(const double*, Complex* m) { write2(m, 1, 0, 0, Complex{kHalfRoot, -kHalfRoot}); }

void m_sx(const double*, Complex* m) {
  const Complex a{0.5, 0.5};
  write2(m, a, std::conj(a), std::conj(a), a);
}

void m_sxdg(const double*, Complex* m) {
  const Complex a{0.5, -0.5};
  write2(m, a, std::conj(a), std::conj(a), a);
}

void m_p(const double* p, Complex* m) { write2(m, 1, 0, 0, cis(p[0])); }

void m_rx(const double* p, Complex* m) {
  const double c = std::cos(p[0] / 2);
  const Complex s = -kI * std::sin(p[0] / 2);
  write2(m, c, s, s, c);
}

void m_ry(const double* p, Complex* m) {
  const double c = std::cos(p[0] / 2);
  const double s = std::sin(p[0] / 2);
  write2(m, c, -s, s, c);
}

void m_rz(const double* p, Complex* m) { write2(m, cis(-p[0] / 2), 0, 0, cis(p[0] / 2)); }

void m_u(const double* p, Complex* m) {
  const double c = std::cos(p[0] / 2);
  const double s = std::sin(p[0] / 2);
  write2(m, c, -cis(p[2]) * s, cis(p[1]) * s, cis(p[1] + p[2]) * c);
}

void m_u4(const double* p, Complex* m) {
  m_u(p, m);
  for (int i = 0; i < 4; ++i) m[i] *= cis(p[3]);
}

void m_r(const double* p, Complex* m) {
  const double c = std::cos(p[0] / 2);
  const Complex s = -kI * std::sin(p[0] / 2);
  write2(m, c, s * cis(-p[1]), s * cis(p[1]), c);
}

void m_rot(const double* p, Complex* m) {
  const double c = std::cos(p[1] / 2);
  const double s = std::sin(p[1] / 2);
  const double plus = (p[0] + p[2]) / 2;
  const double minus = (p[0] - p[2]) / 2;
  write2(m, cis(-plus) * c, -cis(minus) * s, cis(-minus) * s, cis(plus) * c);
}

void m_swap(const double*, Complex* m) { write4(m, {1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1}); }
void m_iswap(const double*, Complex* m) { write4(m, {1, 0, 0, 0, 0, 0, kI, 0, 0, kI, 0, 0, 0, 0, 0, 1}); }
void m_iswapdg(const double*, Complex* m) { write4(m, {1, 0, 0, 0, 0, 0, -kI, 0, 0, -kI, 0, 0, 0, 0, 0, 1}); }

void m_siswap(const double*, Complex* m) {
  const Complex a = kHalfRoot, b = kHalfRoot * kI;
  write4(m, {1, 0, 0, 0, 0, a, b, 0, 0, b, a, 0, 0, 0, 0, 1});
}

void m_siswapdg(const double*, Complex* m) {
  const Complex a = kHalfRoot, b = -kHalfRoot * kI;
  write4(m, {1, 0, 0, 0, 0, a, b, 0, 0, b, a, 0, 0, 0, 0, 1});
}

void m_ecr(const double*, Complex* m) {
  const Complex a = kHalfRoot;
  const Complex b = kHalfRoot * kI;
  write4(m, {0, a, 0, b, a, 0, -b, 0, 0, b, 0, a, -b, 0, a, 0});
}

void m_dcx(const double*, Complex* m) { write4(m, {1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0}); }
void m_dcxdg(const double*, Complex* m) { write4(m, {1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0}); }

void m_rxx(const double* p, Complex* m) {
  const double c = std::cos(p[0] / 2);
  const Complex s = -kI * std::sin(p[0] / 2);
  write4(m, {c, 0, 0, s, 0, c, s, 0, 0, s, c, 0, s, 0, 0, c});
}

void m_ryy(const double* p, Complex* m) {
  const double c = std::cos(p[0] / 2);
  const Complex s = -kI * std::sin(p[0] / 2);
  write4(m, {c, 0, 0, -s, 0, c, s, 0, 0, s, c, 0, -s, 0, 0, c});
}

void m_rzz(const double* p, Complex* m) {
  const Complex a = cis(-p[0] / 2);
  const Complex b = cis(p[0] / 2);
  write4(m, {a, 0, 0, 0, 0, b, 0, 0, 0, 0, b, 0, 0, 0, 0, a});
}

void m_rzx(const double* p, Complex* m) {
  const double c = std::cos(p[0] / 2);
  const Complex s = -kI * std::sin(p[0] / 2);
  write4(m, {c, 0, s, 0, 0, c, 0, -s, s, 0, c, 0, 0, -s, 0, c});
}

void m_xx_minus_yy(const double* p, Complex* m) {
  const double c = std::cos(p[0] / 2);
  const Complex s = -kI * std::sin(p[0] / 2);
  write4(m, {c, 0, 0, s * cis(-p[1]), 0, 1, 0, 0, 0, 0, 1, 0, s * cis(p[1]), 0, 0, c});
}

void m_xx_plus_yy(const double* p, Complex* m) {
  const double c = std::cos(p[0] / 2);
  const Complex s = -kI * std::sin(p[0] / 2);
  write4(m, {1, 0, 0, 0, 0, c, s * cis(-p[1]), 0, 0, s * cis(p[1]), c, 0, 0, 0, 0, 1});
}

void m_ising_xy(const double* p, Complex* m) {
  const double c = std::cos(p[0] / 2);
  const Complex s = kI * std::sin(p[0] / 2);
  write4(m, {1, 0, 0, 0, 0, c, s, 0, 0, s, c, 0, 0, 0, 0, 1});
}

constexpr Gate row(GateId id, std::string_view name, uint8_t qubits, uint8_t params, uint8_t controls, GateId base,
                   uint32_t flags, GateId inverse, std::string_view qiskit, std::string_view pennylane,
                   std::string_view qasm2, std::string_view qir, void (*matrix)(const double*, Complex*),
                   std::string_view help) {
  return {id, name, qubits, params, controls, base, flags, inverse, qiskit, pennylane, qasm2, qir, help, matrix};
}

constexpr size_t kNumGates = static_cast<size_t>(GateId::kCount);

// The rows name ids bare; inside this struct they are in scope.
struct Table {
  using enum GateId;
  static constexpr std::array<Gate, kNumGates> rows = {
#define QFW_GATE(id, number, name, qubits, params, controls, base, flags, inverse, qiskit, pennylane, qasm2, qir, \
                 matrix, help)                                                                                    \
  row(id, name, qubits, params, controls, base, flags, inverse, qiskit, pennylane, qasm2, qir, matrix, help),
#include "program/native/gates.def"
#undef QFW_GATE
  };
  static constexpr auto aliases = std::to_array<Alias>({
#define QFW_GATE(...)
#define QFW_ALIAS(name, id) {name, id},
#include "program/native/gates.def"
#undef QFW_GATE
  });
};

constexpr bool ordered() {
  for (size_t i = 0; i < kNumGates; ++i) {
    const Gate& g = Table::rows[i];
    if (static_cast<size_t>(g.id) != i || g.params > kMaxGateParams || g.qubits > kMaxGateQubits) return false;
  }
  return true;
}
static_assert(ordered(), "gates.def: ids must count up from 0 and stay within kMaxGateParams and kMaxGateQubits");

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> line(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) line[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = line[0];
    line[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = line[j];
      line[j] = std::min({replaced, line[j] + 1, line[j - 1] + 1});
    }
  }
  return line[b.size()];
}

[[noreturn]] void throw_unknown_gate(std::string_view name) {
  const std::string shown(name.substr(0, 64));
  std::vector<std::pair<size_t, std::string_view>> near;
  for (const Gate& g : Table::rows) near.emplace_back(edit_distance(shown, g.name), g.name);
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string message = "unknown gate '" + shown + "'; the nearest are ";
  for (size_t i = 0; i < 3; ++i) message += (i ? ", '" : "'") + std::string(near[i].second) + "'";
  throw Error(ErrorCode::kUnknownGate, message);
}

}  // namespace

std::span<const Gate> gates() noexcept { return Table::rows; }

const Gate& gate(GateId id) {
  const auto number = static_cast<size_t>(id);
  if (number >= kNumGates) {
    throw Error(ErrorCode::kUnknownGate,
                "unknown gate number " + std::to_string(number) + "; known are 0.." + std::to_string(kNumGates - 1));
  }
  return Table::rows[number];
}

std::span<const Alias> aliases() noexcept { return Table::aliases; }

const Gate* find_gate(std::string_view name) noexcept {
  static const auto* const index = [] {
    auto* map = new std::unordered_map<std::string_view, const Gate*>;
    for (const Gate& g : Table::rows) map->emplace(g.name, &g);
    for (const Alias& a : Table::aliases) map->emplace(a.name, &Table::rows[static_cast<size_t>(a.gate)]);
    return map;
  }();
  const auto found = index->find(name);
  return found == index->end() ? nullptr : found->second;
}

const Gate& gate(std::string_view name) {
  const Gate* found = find_gate(name);
  if (found == nullptr) throw_unknown_gate(name);
  return *found;
}

std::vector<Complex> full_matrix(const Gate& row, std::span<const double> params, uint32_t extra_controls) {
  if (params.size() != row.params) {
    throw Error(ErrorCode::kInvalidArgument, "gate '" + std::string(row.name) + "' takes " +
                                                 std::to_string(row.params) + " parameter(s), got " +
                                                 std::to_string(params.size()));
  }
  constexpr uint32_t kMost = 10;
  const uint32_t controls = row.controls + extra_controls;
  if (extra_controls > kMost || row.qubits + extra_controls > kMost) {
    throw Error(ErrorCode::kLimitExceeded, "a matrix of " + std::to_string(uint64_t{row.qubits} + extra_controls) +
                                               " qubits is above the limit of " + std::to_string(kMost));
  }
  std::array<Complex, 16> base;
  row.matrix(params.data(), base.data());
  const size_t base_dim = size_t{1} << (row.qubits - row.controls);
  const size_t dim = base_dim << controls;
  const size_t mask = (size_t{1} << controls) - 1;
  std::vector<Complex> full(dim * dim);
  for (size_t i = 0; i < dim; ++i) full[i * dim + i] = 1.0;
  for (size_t i = 0; i < base_dim; ++i) {
    for (size_t j = 0; j < base_dim; ++j) {
      full[((i << controls) | mask) * dim + ((j << controls) | mask)] = base[i * base_dim + j];
    }
  }
  return full;
}

GateId invert(const Gate& row, std::span<Angle> angles) {
  const auto negate = [](Angle& a) {
    a.offset = -a.offset;
    if (!a.constant()) a.scale = -a.scale;
  };
  if (row.flags & kSelfInverse) return row.id;
  if (row.flags & kNegateFirst) {
    negate(angles[0]);
    return row.id;
  }
  if (row.flags & (kNegateParams | kNegateSwap12 | kNegateSwap02)) {
    for (Angle& a : angles) negate(a);
    if (row.flags & kNegateSwap12) std::swap(angles[1], angles[2]);
    if (row.flags & kNegateSwap02) std::swap(angles[0], angles[2]);
    return row.id;
  }
  return row.inverse;
}

}  // namespace qfw::program
