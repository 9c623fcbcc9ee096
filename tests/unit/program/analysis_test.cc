#include "program/native/analysis.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <set>

#include "program/native/builder.h"

namespace qfw::program {
namespace {

constexpr double kPi = std::numbers::pi;

ProgramPtr one_gate(const char* name, std::vector<double> params, uint16_t controls = 0) {
  ProgramBuilder b(5, 0);
  const Gate& row = gate(name);
  std::vector<uint32_t> qubits;
  for (uint32_t q = 0; q < uint32_t{row.qubits} + controls; ++q) qubits.push_back(q);
  std::vector<Angle> angles;
  for (double p : params) angles.push_back({p, 0.0, kNoParameter});
  b.gate(row.id, qubits, angles, controls);
  return b.finish();
}

TEST(Analysis, GatesWithoutAngles) {
  const std::set<std::string_view> others = {"t",     "tdg", "ch",  "cs",    "csdg",   "csx",
                                             "csxdg", "ccx", "ccz", "cswap", "siswap", "siswapdg"};
  for (const Gate& g : gates()) {
    if (g.params > 0) continue;
    EXPECT_EQ(is_clifford(*one_gate(g.name.data(), {}), {}), !others.count(g.name)) << g.name;
  }
}

TEST(Analysis, AnglesDecide) {
  for (const char* name : {"rx", "ry", "rz", "p", "rxx", "ryy", "rzz", "rzx"})
    for (int k = -4; k <= 4; ++k) {
      EXPECT_TRUE(is_clifford(*one_gate(name, {k * kPi / 2}), {})) << name << k;
      EXPECT_FALSE(is_clifford(*one_gate(name, {k * kPi / 2 + 1e-9}), {})) << name << k;
      EXPECT_FALSE(is_clifford(*one_gate(name, {k * kPi / 2 + kPi / 4}), {})) << name << k;
    }
  EXPECT_TRUE(is_clifford(*one_gate("cp", {kPi}), {}));
  EXPECT_FALSE(is_clifford(*one_gate("cp", {kPi / 2}), {}));
  EXPECT_TRUE(is_clifford(*one_gate("U", {kPi / 2, kPi, -kPi / 2}), {}));
  EXPECT_TRUE(is_clifford(*one_gate("gphase", {0.3}), {}));
  EXPECT_FALSE(is_clifford(*one_gate("gphase", {0.3}, 1), {}));
  EXPECT_TRUE(is_clifford(*one_gate("gphase", {kPi / 2}, 1), {}));
}

TEST(Analysis, FurtherControls) {
  EXPECT_TRUE(is_clifford(*one_gate("x", {}, 1), {}));
  EXPECT_FALSE(is_clifford(*one_gate("x", {}, 2), {}));
  EXPECT_FALSE(is_clifford(*one_gate("z", {}, 4), {}));
  EXPECT_FALSE(is_clifford(*one_gate("h", {}, 1), {}));
}

TEST(Analysis, TheValuesOfARow) {
  ProgramBuilder b(1, 1);
  const uint32_t theta = b.parameter("theta");
  const uint32_t zero[] = {0};
  const Angle angle[] = {{0.0, 2.0, theta}};
  b.gate(GateId::kRz, zero, angle);
  b.measure(0, 0);
  const auto p = b.finish();
  const double good[] = {kPi / 4}, bad[] = {kPi / 8};
  EXPECT_TRUE(is_clifford(*p, good));
  EXPECT_EQ(not_clifford(*p, bad), "gate 'rz' on qubit 0");
}

TEST(Analysis, Matrices) {
  const double s = 1 / std::sqrt(2.0);
  const Complex h[] = {s, s, s, -s}, t[] = {1, 0, 0, {s, s}}, x[] = {0, 1, 1, 0};
  auto made = [](std::span<const Complex> matrix, uint16_t controls) {
    ProgramBuilder b(4, 0);
    const uint32_t qubits[] = {0, 1, 2, 3};
    b.unitary(matrix, std::span(qubits).first(1u + controls), controls);
    return b.finish();
  };
  EXPECT_TRUE(is_clifford(*made(h, 0), {}));
  EXPECT_FALSE(is_clifford(*made(t, 0), {}));
  EXPECT_TRUE(is_clifford(*made(x, 1), {}));
  EXPECT_FALSE(is_clifford(*made(x, 2), {}));
  EXPECT_FALSE(is_clifford(*made(x, 3), {}));
}

ProgramPtr ladder(uint32_t n, int layers, GateId id, uint32_t step = 1) {
  ProgramBuilder b(n, 0);
  std::vector<Angle> angles(gate(id).params, Angle{0.3, 0.0, kNoParameter});
  for (int l = 0; l < layers; ++l)
    for (uint32_t q = 0; q + step < n; ++q) {
      const uint32_t on[] = {q, q + step};
      b.gate(id, on, angles);
    }
  return b.finish();
}

TEST(Analysis, BondBound) {
  EXPECT_EQ(bond_bound_log2(*ladder(10, 0, GateId::kCx)), 0u);
  EXPECT_EQ(bond_bound_log2(*ladder(10, 1, GateId::kCx)), 1u);
  EXPECT_EQ(bond_bound_log2(*ladder(10, 3, GateId::kRzz)), 3u);
  EXPECT_EQ(bond_bound_log2(*ladder(10, 1, GateId::kSwap)), 2u);
  EXPECT_EQ(bond_bound_log2(*ladder(10, 2, GateId::kIswap)), 4u);
  EXPECT_EQ(bond_bound_log2(*ladder(10, 50, GateId::kCx)), 5u) << "no more than the smaller side has";
  EXPECT_EQ(bond_bound_log2(*ladder(10, 1, GateId::kCx, 2)), std::nullopt) << "not neighbours";
  EXPECT_EQ(bond_bound_log2(*one_gate("ccx", {})), std::nullopt);
  EXPECT_EQ(bond_bound_log2(*one_gate("x", {}, 2)), std::nullopt);
  EXPECT_EQ(bond_bound_log2(*one_gate("h", {})), 0u);
}

}  // namespace
}  // namespace qfw::program
