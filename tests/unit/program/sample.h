// Sample programs, and bytes that tests damage field by field.
#pragma once

#include <bit>
#include <cstring>
#include <numbers>
#include <vector>

#include "program/native/builder.h"
#include "program/native/format.h"

namespace qfw::program::testing {

inline Angle constant(double value) { return {value, 0.0, kNoParameter}; }

// One of everything: names, an affine angle, matrices, controls, measurement, barrier.
inline ProgramPtr sample() {
  ProgramBuilder b(4, 4);
  const uint32_t theta = b.parameter("theta");
  b.parameter("");
  b.add_register("c", 0, 2);
  b.add_register("größe", 2, 1);
  b.global_phase(0.25);
  const uint32_t q[] = {0, 1, 2, 3};
  b.reset(3);
  b.gate(GateId::kH, {q, 1}, {});
  b.gate(GateId::kX, {q, 4}, {}, 3);
  const Angle affine[] = {{0.5, 2.0, theta}};
  b.gate(GateId::kRx, {q + 1, 1}, affine);
  const Angle mixed[] = {constant(0.1), {0.0, -1.0, 1}, constant(0.3)};
  b.gate(GateId::kU, {q + 2, 1}, mixed);
  const Angle plain[] = {constant(-0.0)};
  b.gate(GateId::kCrz, {q, 2}, plain);
  const double r = std::numbers::sqrt2 / 2;
  const Complex one[] = {r, r, r, -r};
  b.unitary(one, {q, 1});
  const Complex two[] = {1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, Complex{0, 1}};
  b.unitary(two, {q, 3}, 1);
  b.barrier({q, 4});
  b.measure(0, 1);
  b.measure(1, 0);
  return b.finish();
}

// Every terminator, every kind of classical instruction, operand and variable.
inline ProgramPtr dynamic_sample() {
  using Kind = Operand::Kind;
  const auto var = [](uint32_t i) { return Operand{Kind::kVariable, {}, i, 0}; };
  const auto number = [](int64_t v) {
    return Operand{Kind::kLiteral, VariableType::kInteger, 0, std::bit_cast<uint64_t>(v)};
  };
  ProgramBuilder b(2, 3);
  b.parameter("a");
  const uint32_t flag = b.variable(VariableType::kBoolean, 1);
  const uint32_t count = b.variable(VariableType::kInteger, std::bit_cast<uint64_t>(int64_t{-2}));
  const uint32_t angle = b.variable(VariableType::kFloat, std::bit_cast<uint64_t>(0.5));
  const uint32_t loop = b.block(), done = b.block();
  const uint32_t q[] = {0, 1};
  b.gate(GateId::kH, {q, 1}, {});
  b.measure(0, 0);
  b.jump(loop);
  b.enter(loop);
  const Angle angles[] = {{0.25, 2.0, kFirstVariable + angle}};
  b.gate(GateId::kRx, {q + 1, 1}, angles);
  const Operand sum[] = {var(angle), number(1)};
  b.compute(Compute::kAdd, angle, sum);
  const Operand pick[] = {{Kind::kBit, {}, 0, 0}, var(count), number(7)};
  b.compute(Compute::kSelect, count, pick);
  b.read_bits(count, 1, 2);
  const Operand less[] = {var(count), number(3)};
  b.compute(Compute::kLt, flag, less);
  b.write_bit(2, var(flag));
  b.write_bit(1, {Kind::kLiteral, VariableType::kBoolean, 0, 1});
  b.branch(flag, loop, done);
  b.enter(done);
  b.reset(1);
  b.end();
  return b.finish();
}

using Bytes = std::vector<std::byte>;

inline Bytes bytes_of(const Program& program) { return {program.bytes().begin(), program.bytes().end()}; }

// A program's bytes with typed access to their sections.
struct Damaged {
  Bytes bytes;

  explicit Damaged(const ProgramPtr& program = sample()) : bytes(bytes_of(*program)) {}

  format::Header& header() { return at<format::Header>(0); }
  format::Layout layout() { return format::Layout(header()); }
  format::InstructionRecord& instruction(size_t i) {
    return at<format::InstructionRecord>(layout().instructions + i * sizeof(format::InstructionRecord));
  }
  format::BlockRecord& block(size_t i = 0) {
    return at<format::BlockRecord>(layout().blocks + i * sizeof(format::BlockRecord));
  }
  format::VariableRecord& variable(size_t i) {
    return at<format::VariableRecord>(layout().variables + i * sizeof(format::VariableRecord));
  }
  format::RegisterRecord& reg(size_t i) {
    return at<format::RegisterRecord>(layout().registers + i * sizeof(format::RegisterRecord));
  }
  uint32_t& operand(size_t i) { return at<uint32_t>(layout().operands + i * 4); }
  double& value(size_t i) { return at<double>(layout().values + i * 8); }
  uint64_t& word(size_t i) { return at<uint64_t>(layout().values + i * 8); }
  char& name(size_t i) { return at<char>(layout().names + i); }
  ProgramPtr decode() const { return Program::decode(bytes); }

  // Puts `count` zero bytes at `offset`, keeping the header's total right.
  void insert(uint64_t offset, size_t count) {
    bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(offset), count, std::byte{0});
    header().total_bytes = bytes.size();
  }

 private:
  template <typename T>
  T& at(uint64_t offset) {
    return *reinterpret_cast<T*>(bytes.data() + offset);
  }
};

}  // namespace qfw::program::testing
