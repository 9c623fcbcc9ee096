// Variables, classical instructions and blocks: what makes a program dynamic.
#include "program/native/decoder.h"

namespace qfw::program {

using format::BlockRecord;
using format::InstructionRecord;
using format::VariableRecord;

void Decoder::read_variables() {
  const auto records = section<VariableRecord>(layout_.variables, p_.header.num_variables);
  p_.variables.reserve(records.size());
  for (const VariableRecord& v : records) {
    const std::string shown = "variable " + std::to_string(p_.variables.size());
    if (v.type > static_cast<uint32_t>(VariableType::kBoolean) || v.reserved != 0) {
      invalid(shown + " is of type " + std::to_string(v.type) + ", must be 0..2, and its reserved word 0");
    }
    const auto type = static_cast<VariableType>(v.type);
    if (!valid_value(type, v.initial)) {
      invalid(shown + " of type " + std::string(type_name(type)) + " cannot start as " + std::to_string(v.initial));
    }
    p_.variables.push_back({type, v.initial});
  }
}

// A slot of an affine angle: a parameter, or a float variable.
void Decoder::check_slot(uint64_t slot) const {
  const auto of = [](uint64_t index, size_t count) { return std::to_string(index) + " of " + std::to_string(count); };
  if (slot < kFirstVariable) {
    if (slot >= p_.header.num_parameters) bad("parameter " + of(slot, p_.header.num_parameters));
    return;
  }
  const uint64_t variable = slot - kFirstVariable;
  if (variable >= p_.variables.size()) bad("an angle of variable " + of(variable, p_.variables.size()));
  if (p_.variables[variable].type != VariableType::kFloat) {
    bad("an angle of variable " + std::to_string(variable) + ", which is no float");
  }
}

// Value words of a classical instruction; its operands lie in the pool from `operand_` on.
size_t Decoder::count_literals(const InstructionRecord& record) {
  const auto wants = [&](size_t count, std::string_view what) {
    if (record.num_operands != count) {
      bad(std::string(what) + " cannot have " + std::to_string(record.num_operands) + " operands");
    }
    if (count > operands_.size() - operand_) bad("operands beyond the program's " + std::to_string(operands_.size()));
  };
  ++classical_;
  size_t first = 1, count = 0;
  switch (static_cast<Op>(record.op)) {
    case Op::kCompute: {
      if (record.gate >= static_cast<uint16_t>(Compute::kCount)) {
        bad("computation " + std::to_string(record.gate) + " is not one of the table");
      }
      const ComputeRow& row = compute_row(static_cast<Compute>(record.gate));
      count = row.operands;
      wants(1 + count, row.name);
      break;
    }
    case Op::kReadBits:
      wants(3, "read_bits");
      break;
    case Op::kWriteBit:
      count = 1;
      wants(2, "write_bit");
      break;
    default:
      throw Error(ErrorCode::kUnsupported,
                  "instruction " + std::to_string(index_) + ": classical op " + std::to_string(record.op));
  }
  size_t literals = 0;
  for (const uint32_t word : operands_.subspan(operand_ + first, count)) {
    literals += word >> format::kOperandShift == static_cast<uint32_t>(Operand::Kind::kLiteral);
  }
  return literals;
}

uint32_t Decoder::read_destination() {
  const uint32_t variable = operands_[operand_++];
  if (variable >= p_.variables.size()) {
    bad("variable " + std::to_string(variable) + " of " + std::to_string(p_.variables.size()));
  }
  return variable;
}

Operand Decoder::read_operand() {
  const uint32_t word = operands_[operand_++];
  Operand o;
  o.index = word & format::kOperandMask;
  switch (word >> format::kOperandShift) {
    case static_cast<uint32_t>(Operand::Kind::kVariable):
      if (o.index >= p_.variables.size()) {
        bad("variable " + std::to_string(o.index) + " of " + std::to_string(p_.variables.size()));
      }
      o.kind = Operand::Kind::kVariable;
      o.type = p_.variables[o.index].type;
      return o;
    case static_cast<uint32_t>(Operand::Kind::kBit):
      if (o.index >= p_.header.num_bits) {
        bad("bit " + std::to_string(o.index) + " is outside the program's " + std::to_string(p_.header.num_bits));
      }
      o.kind = Operand::Kind::kBit;
      return o;
    case static_cast<uint32_t>(Operand::Kind::kLiteral):
      if (o.index > static_cast<uint32_t>(VariableType::kBoolean)) bad("a literal of type " + std::to_string(o.index));
      o.type = static_cast<VariableType>(o.index);
      o.index = 0;
      o.value = std::bit_cast<uint64_t>(values_[value_++]);
      if (!valid_value(o.type, o.value)) {
        bad("a literal of type " + std::string(type_name(o.type)) + " cannot be " + std::to_string(o.value));
      }
      return o;
    default:
      bad("operand " + std::to_string(word) + " is no variable, bit or literal");
  }
}

void Decoder::read_classical(const InstructionRecord& record, Instruction& out) {
  Classical& c = p_.classical.emplace_back();
  out.classical = &c;
  if (out.op == Op::kWriteBit) {
    out.bits = operands_.subspan(operand_++, 1);
    if (out.bits[0] >= p_.header.num_bits) {
      bad("bit " + std::to_string(out.bits[0]) + " is outside the program's " + std::to_string(p_.header.num_bits));
    }
    c.count = 1;
    c.operands[0] = read_operand();
    if (c.operands[0].type != VariableType::kBoolean) {
      bad("a bit takes a boolean, got type " + std::string(type_name(c.operands[0].type)));
    }
    return;
  }
  c.variable = read_destination();
  if (out.op == Op::kReadBits) {
    c.first = operands_[operand_++];
    c.bits = operands_[operand_++];
    const uint64_t end = uint64_t{c.first} + c.bits;
    if (c.bits == 0 || c.bits > kMaxReadBits) bad("reads " + std::to_string(c.bits) + " bits, must be 1..63");
    if (end > p_.header.num_bits) {
      bad("reads up to bit " + std::to_string(end) + ", the program has " + std::to_string(p_.header.num_bits));
    }
    if (p_.variables[c.variable].type != VariableType::kInteger) bad("bits are read into an integer variable");
    return;
  }
  c.op = static_cast<Compute>(record.gate);
  c.count = compute_row(c.op).operands;
  for (size_t i = 0; i < c.count; ++i) c.operands[i] = read_operand();
  const std::string wrong = type_error(c.op, p_.variables[c.variable].type, {c.operands.data(), c.count});
  if (!wrong.empty()) bad(wrong);
}

Block Decoder::read_block(const BlockRecord& b, size_t index) const {
  const std::string shown = "block " + std::to_string(index);
  if (b.terminator > static_cast<uint32_t>(Terminator::kBranch)) {
    invalid(shown + "'s terminator is " + std::to_string(b.terminator) + ", must be 0..2");
  }
  const Block out{{}, static_cast<Terminator>(b.terminator), b.condition, b.target, b.target_else};
  const bool branches = out.terminator == Terminator::kBranch, goes = out.terminator != Terminator::kEnd;
  if (b.reserved[0] | b.reserved[1] | b.reserved[2]) invalid(shown + "'s reserved words are not zero");
  if (goes ? b.target >= p_.header.num_blocks : b.target != 0) {
    invalid(shown + "'s target " + std::to_string(b.target) + " is not a block");
  }
  if (branches ? b.target_else >= p_.header.num_blocks : b.target_else != 0) {
    invalid(shown + "'s other target " + std::to_string(b.target_else) + " is not a block");
  }
  if (branches ? b.condition >= p_.variables.size() || p_.variables[b.condition].type != VariableType::kBoolean
               : b.condition != 0) {
    invalid(shown + "'s condition " + std::to_string(b.condition) + " is not a boolean variable");
  }
  return out;
}

void Decoder::read_blocks() {
  const format::Header& h = p_.header;
  const auto records = section<BlockRecord>(layout_.blocks, h.num_blocks);
  uint64_t instructions = 0;
  for (const BlockRecord& b : records) instructions += b.num_instructions;
  if (h.num_blocks == 0 || instructions != h.num_instructions) {
    invalid("blocks hold " + std::to_string(instructions) + " instructions, the program " +
            std::to_string(h.num_instructions));
  }
  p_.only_block = read_block(records[0], 0);
  p_.only_block.instructions = p_.instructions;
  p_.dynamic = h.num_blocks > 1 || !p_.variables.empty() || !p_.classical.empty() ||
               p_.only_block.terminator != Terminator::kEnd;
  if (!p_.dynamic) return;
  p_.terminal_measurements = false;
  p_.blocks.reserve(records.size());
  std::span<const Instruction> rest(p_.instructions);
  for (size_t i = 0; i < records.size(); ++i) {
    Block& block = p_.blocks.emplace_back(read_block(records[i], i));
    block.instructions = rest.first(records[i].num_instructions);
    rest = rest.subspan(records[i].num_instructions);
  }
}

}  // namespace qfw::program
