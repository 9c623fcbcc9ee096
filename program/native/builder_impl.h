// The builder's inside, shared by builder.cc and builder_dynamic.cc.
#pragma once

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "program/native/builder.h"
#include "program/native/decode.h"

namespace qfw::program {

[[noreturn]] inline void refuse(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

[[noreturn]] inline void over_limit(const char* what, uint64_t value, uint64_t limit) {
  throw Error(ErrorCode::kLimitExceeded,
              std::to_string(value) + " " + what + " is above the limit of " + std::to_string(limit));
}

inline std::string plural(uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// The records of one block, in order.
struct Body {
  std::vector<format::InstructionRecord> instructions;
  std::vector<uint32_t> operands;
  std::vector<uint64_t> values;  // bit patterns of f64 and literals, or slots
  bool ended = false;
  format::BlockRecord end{};
};

struct ProgramBuilder::Impl {
  uint32_t num_qubits;
  uint32_t num_bits;
  double phase = 0.0;
  std::vector<Body> blocks;
  uint32_t current = 0;         // the block entered
  size_t num_instructions = 0;  // of all blocks
  std::vector<format::VariableRecord> variables;
  std::vector<uint32_t> parameter_sizes;
  std::string parameter_names;
  std::vector<Register> registers;
  std::vector<uint32_t> stamp;  // per qubit, the last wide instruction that named it
  uint32_t stamps = 0;

  void check_bit(uint32_t bit) const {
    if (bit >= num_bits) {
      refuse("bit " + std::to_string(bit) + " does not exist, the program has " + plural(num_bits, "bit"));
    }
  }

  VariableType type_of(uint32_t variable) const {
    if (variable >= variables.size()) {
      refuse("variable " + std::to_string(variable) + " does not exist, the program has " +
             plural(variables.size(), "variable"));
    }
    return static_cast<VariableType>(variables[variable].type);
  }

  void check_block(uint32_t block) const {
    if (block >= blocks.size()) {
      refuse("block " + std::to_string(block) + " does not exist, the program has " + plural(blocks.size(), "block"));
    }
  }

  void finish_block(Terminator terminator, uint32_t condition, uint32_t target, uint32_t target_else) {
    check_open();
    body().ended = true;
    body().end = {0, static_cast<uint32_t>(terminator), condition, target, target_else, {}};
  }

  // The operand with its type found, if it exists.
  Operand checked(Operand o) const {
    if (o.kind == Operand::Kind::kVariable) o.type = type_of(o.index);
    if (o.kind == Operand::Kind::kBit) check_bit(o.index), o.type = VariableType::kBoolean;
    if (o.kind == Operand::Kind::kLiteral && !valid_value(o.type, o.value)) {
      refuse("a literal of type " + std::string(type_name(o.type)) + " is not finite, or no boolean");
    }
    return o;
  }

  void check_qubit(uint32_t q) const {
    if (q >= num_qubits) {
      refuse("qubit " + std::to_string(q) + " is outside 0.." + std::to_string(num_qubits - 1));
    }
  }

  void check_qubits(std::span<const uint32_t> qubits) {
    for (const uint32_t q : qubits) check_qubit(q);
    const bool wide = qubits.size() > 8;
    if (wide && stamp.empty()) stamp.resize(num_qubits);
    ++stamps;
    for (size_t i = 0; i < qubits.size(); ++i) {
      const uint32_t q = qubits[i];
      const bool twice =
          wide ? stamp[q] == stamps : std::find(qubits.begin(), qubits.begin() + i, q) != qubits.begin() + i;
      if (twice) refuse("qubit " + std::to_string(q) + " is named twice");
      if (wide) stamp[q] = stamps;
    }
  }

  Body& body() noexcept { return blocks[current]; }

  void check_open() {
    if (body().ended) refuse("block " + std::to_string(current) + " has ended: enter() another one first");
  }

  void add(Op op, uint8_t flags, uint16_t gate, std::span<const uint32_t> operands) {
    check_open();
    if (num_instructions >= kMaxInstructions) over_limit("instructions", num_instructions + 1, kMaxInstructions);
    ++num_instructions;
    Body& b = body();
    b.instructions.push_back({static_cast<uint8_t>(op), flags, gate, static_cast<uint32_t>(operands.size())});
    b.operands.insert(b.operands.end(), operands.begin(), operands.end());
  }

  void add_value(double value) { body().values.push_back(std::bit_cast<uint64_t>(value)); }
};

}  // namespace qfw::program
