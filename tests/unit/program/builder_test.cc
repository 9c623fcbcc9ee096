#include "program/native/builder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "program/native/observable.h"
#include "tests/unit/program/sample.h"

namespace qfw::program::testing {
namespace {

void expect_error(ErrorCode code, const std::string& message, const std::function<void()>& call) {
  try {
    call();
    ADD_FAILURE() << "no error, expected: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_EQ(std::string(error.what()), message);
  }
}

constexpr auto kArgument = ErrorCode::kInvalidArgument;
constexpr auto kLimit = ErrorCode::kLimitExceeded;
const uint32_t kQubits[] = {0, 1, 2, 3, 4, 5};
const Angle kAngles[] = {constant(0.1), constant(0.2), constant(0.3), constant(0.4)};

std::span<const uint32_t> qubits(size_t n, size_t first = 0) { return std::span(kQubits).subspan(first, n); }

TEST(Builder, SameCallsGiveTheSameBytes) { EXPECT_EQ(bytes_of(*sample()), bytes_of(*sample())); }

TEST(Builder, EmptyProgramIsAProgram) {
  const ProgramPtr p = ProgramBuilder(1, 0).finish();
  EXPECT_EQ(p->instructions().size(), 0u);
  EXPECT_TRUE(p->terminal_measurements());
}

TEST(Builder, StaysUsableAfterFinishAndAfterAnError) {
  ProgramBuilder b(2, 0);
  b.gate(GateId::kH, qubits(1), {});
  const ProgramPtr one = b.finish();
  EXPECT_THROW(b.gate(GateId::kCx, qubits(1), {}), Error);
  b.gate(GateId::kCx, qubits(2), {});
  const ProgramPtr two = b.finish();
  EXPECT_EQ(one->instructions().size(), 1u);
  EXPECT_EQ(two->instructions().size(), 2u);
}

TEST(Builder, RewindForgetsInstructions) {
  ProgramBuilder b(2, 0);
  b.gate(GateId::kRx, qubits(1), {kAngles, 1});
  const auto mark = b.mark();
  const ProgramPtr before = b.finish();
  b.gate(GateId::kRzz, qubits(2), {kAngles, 1});
  b.global_phase(1.0);
  b.rewind(mark);
  EXPECT_EQ(b.finish()->hash(), before->hash());
}

TEST(Builder, RefusesBadCounts) {
  expect_error(kArgument, "a program has at least 1 qubit, got 0", [] { ProgramBuilder(0, 0); });
  expect_error(kLimit, "65537 qubits is above the limit of 65536", [] { ProgramBuilder(65537, 0); });
  expect_error(kLimit, "1048577 bits is above the limit of 1048576", [] { ProgramBuilder(1, 1048577); });
}

TEST(Builder, RefusesBadGates) {
  ProgramBuilder b(3, 1);
  const auto gate = [&](GateId id, size_t n, size_t params, uint16_t controls = 0) {
    b.gate(id, qubits(n), {kAngles, params}, controls);
  };
  expect_error(ErrorCode::kUnknownGate, "unknown gate number 60000; known are 0.." + std::to_string(gates().size() - 1),
               [&] { gate(GateId{60000}, 1, 0); });
  expect_error(kArgument, "gate 'rx' takes 1 parameter, got 2", [&] { gate(GateId::kRx, 1, 2); });
  expect_error(kArgument, "gate 'U' takes 3 parameters, got 0", [&] { gate(GateId::kU, 1, 0); });
  expect_error(kArgument, "gate 'cx' acts on 2 qubits, got 1 qubit", [&] { gate(GateId::kCx, 1, 0); });
  expect_error(kArgument, "gate 'cx' acts on 2 qubits and 1 further control, got 2 qubits",
               [&] { gate(GateId::kCx, 2, 0, 1); });
  expect_error(kArgument, "qubit 3 is outside 0..2", [&] { b.gate(GateId::kX, qubits(1, 3), {}); });
  const uint32_t same[] = {1, 1};
  expect_error(kArgument, "qubit 1 is named twice", [&] { b.gate(GateId::kCx, same, {}); });
  EXPECT_EQ(b.finish()->instructions().size(), 0u);
}

TEST(Builder, RefusesBadAngles) {
  ProgramBuilder b(1, 0);
  const auto rx = [&](Angle a) { b.gate(GateId::kRx, qubits(1), {&a, 1}); };
  expect_error(kArgument, "angle nan is not finite", [&] { rx(constant(std::nan(""))); });
  expect_error(kArgument, "angle inf is not finite", [&] { rx(constant(HUGE_VAL)); });
  expect_error(kArgument, "parameter 0 does not exist, the program has 0 parameters", [&] { rx({0, 1, 0}); });
  b.parameter("a");
  expect_error(kArgument, "an angle's scale inf is not finite", [&] { rx({0, HUGE_VAL, 0}); });
  expect_error(kArgument, "global phase nan is not finite", [&] { b.global_phase(std::nan("")); });
}

TEST(Builder, RefusesBadMatrices) {
  ProgramBuilder b(3, 0);
  const Complex zero[16] = {};
  expect_error(kArgument, "the matrix is not finite and unitary to 1e-8", [&] { b.unitary({zero, 4}, qubits(1)); });
  expect_error(kArgument, "the matrix of a unitary on 2 qubits has 16 entries, got 4", [&] {
    b.unitary({zero, 4}, qubits(2));
  });
  expect_error(kArgument, "a unitary acts on 1 or 2 qubits, got 3 qubits", [&] { b.unitary(zero, qubits(3)); });
  expect_error(kArgument, "a unitary acts on 1 or 2 qubits and 2 controls, got 1 qubit",
               [&] { b.unitary(zero, qubits(1), 2); });
}

TEST(Builder, RefusesBadRegistersNamesAndBits) {
  ProgramBuilder b(1, 3);
  b.add_register("c", 0, 2);
  expect_error(kArgument, "register 'c' exists already", [&] { b.add_register("c", 2, 1); });
  expect_error(kArgument, "register 'd' overlaps register 'c'", [&] { b.add_register("d", 1, 2); });
  expect_error(kArgument, "register 'd' ends at bit 4, the program has 3 bits", [&] { b.add_register("d", 2, 2); });
  expect_error(kArgument, "register 'd' has 0 bits, must have at least 1", [&] { b.add_register("d", 2, 0); });
  expect_error(kArgument, "a register needs a name", [&] { b.add_register("", 2, 1); });
  expect_error(kArgument, "a register's name is not UTF-8 without NUL", [&] { b.add_register("\xc0\x80", 2, 1); });
  expect_error(kLimit, "1025 bytes in a name is above the limit of 1024", [&] { b.parameter(std::string(1025, 'a')); });
  expect_error(kArgument, "bit 3 does not exist, the program has 3 bits", [&] { b.measure(0, 3); });
}

TEST(Builder, TerminalMeasurements) {
  const auto terminal = [](const std::function<void(ProgramBuilder&)>& fill) {
    ProgramBuilder b(2, 2);
    fill(b);
    return b.finish()->terminal_measurements();
  };
  const auto h = [](ProgramBuilder& b, size_t q) { b.gate(GateId::kH, qubits(1, q), {}); };
  EXPECT_TRUE(terminal([&](auto& b) { h(b, 0), b.measure(0, 0), b.barrier(qubits(2)), h(b, 1), b.measure(1, 1); }));
  EXPECT_TRUE(terminal([&](auto& b) { b.reset(0), h(b, 0), b.measure(0, 0), b.measure(0, 1); }));
  EXPECT_FALSE(terminal([&](auto& b) { b.measure(0, 0), h(b, 0); }));
  EXPECT_FALSE(terminal([&](auto& b) { b.measure(0, 0), b.gate(GateId::kCx, qubits(2), {}); }));
  EXPECT_FALSE(terminal([&](auto& b) { b.measure(0, 0), b.measure(1, 0); }));
  EXPECT_FALSE(terminal([&](auto& b) { h(b, 0), b.reset(0); }));
  EXPECT_FALSE(terminal([&](auto& b) { b.measure(0, 0), b.reset(0); }));
}

TEST(PauliSum, Validates) {
  PauliSum sum{{{1.0, {{0, Pauli::kX}, {2, Pauli::kZ}}}, {0.5, {}}}};
  sum.validate(3);
  expect_error(kArgument, "term 0: qubit 2 is outside 0..1", [&] { sum.validate(2); });
  sum.terms.push_back({1.0, {{1, Pauli::kX}, {0, Pauli::kY}, {1, Pauli::kZ}}});
  expect_error(kArgument, "term 2: qubit 1 is named twice", [&] { sum.validate(3); });
  sum.terms[2] = {HUGE_VAL, {}};
  expect_error(kArgument, "term 2: coefficient inf is not finite", [&] { sum.validate(3); });
  sum.terms[2] = {1.0, {{0, Pauli{4}}}};
  expect_error(kArgument, "term 2: Pauli 4 is not 1 (X), 2 (Y) or 3 (Z)", [&] { sum.validate(3); });
}

}  // namespace
}  // namespace qfw::program::testing
