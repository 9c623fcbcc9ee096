// Blocks, variables and classical instructions of the builder.
#include "program/native/builder_impl.h"

namespace qfw::program {
namespace {

uint32_t word_of(const Operand& o) {
  const uint32_t low = o.kind == Operand::Kind::kLiteral ? static_cast<uint32_t>(o.type) : o.index;
  return static_cast<uint32_t>(o.kind) << format::kOperandShift | low;
}

// An integer literal becomes a float where the destination or another operand is one.
void widen_literals(ComputeRule rule, VariableType destination, std::span<Operand> operands) {
  const auto is_float = [](const Operand& o) { return o.type == VariableType::kFloat; };
  const bool compares = rule == ComputeRule::kEquality || rule == ComputeRule::kOrder;
  const bool floats = compares ? std::any_of(operands.begin(), operands.end(), is_float)
                               : destination == VariableType::kFloat && rule != ComputeRule::kToFloat;
  if (!floats) return;
  for (Operand& o : operands) {
    if (o.kind != Operand::Kind::kLiteral || o.type != VariableType::kInteger) continue;
    o.type = VariableType::kFloat;
    o.value = std::bit_cast<uint64_t>(static_cast<double>(std::bit_cast<int64_t>(o.value)));
  }
}

}  // namespace

uint32_t ProgramBuilder::variable(VariableType type, uint64_t initial) {
  const size_t index = impl_->variables.size();
  if (index >= kMaxVariables) over_limit("variables", index + 1, kMaxVariables);
  if (!valid_value(type, initial)) {
    refuse("a variable of type " + std::string(type_name(type)) + " cannot start as " +
           (type == VariableType::kFloat ? std::to_string(std::bit_cast<double>(initial)) : std::to_string(initial)));
  }
  impl_->variables.push_back({static_cast<uint32_t>(type), 0, initial});
  return static_cast<uint32_t>(index);
}

uint32_t ProgramBuilder::block() {
  const size_t index = impl_->blocks.size();
  if (index >= kMaxBlocks) over_limit("blocks", index + 1, kMaxBlocks);
  impl_->blocks.emplace_back();
  return static_cast<uint32_t>(index);
}

void ProgramBuilder::enter(uint32_t block) {
  impl_->check_block(block);
  impl_->current = block;
}

void ProgramBuilder::jump(uint32_t block) {
  impl_->check_block(block);
  impl_->finish_block(Terminator::kJump, 0, block, 0);
}

void ProgramBuilder::branch(uint32_t condition, uint32_t then_block, uint32_t else_block) {
  if (impl_->type_of(condition) != VariableType::kBoolean) {
    refuse("a branch needs a boolean variable, variable " + std::to_string(condition) + " is of type " +
           std::string(type_name(impl_->type_of(condition))));
  }
  impl_->check_block(then_block);
  impl_->check_block(else_block);
  impl_->finish_block(Terminator::kBranch, condition, then_block, else_block);
}

void ProgramBuilder::end() { impl_->finish_block(Terminator::kEnd, 0, 0, 0); }

void ProgramBuilder::compute(Compute op, uint32_t destination, std::span<const Operand> given) {
  const VariableType type = impl_->type_of(destination);
  const ComputeRow& row = compute_row(op);
  if (given.size() != row.operands) {
    refuse("'" + std::string(row.name) + "' takes " + plural(row.operands, "operand") + ", got " +
           std::to_string(given.size()));
  }
  Operand operands[3];
  for (size_t i = 0; i < given.size(); ++i) operands[i] = impl_->checked(given[i]);
  const std::span<Operand> all(operands, given.size());
  widen_literals(row.rule, type, all);
  const std::string wrong = type_error(op, type, all);
  if (!wrong.empty()) refuse(wrong);
  uint32_t words[4] = {destination};
  for (size_t i = 0; i < all.size(); ++i) words[i + 1] = word_of(all[i]);
  impl_->add(Op::kCompute, 0, static_cast<uint16_t>(op), {words, all.size() + 1});
  for (const Operand& o : all) {
    if (o.kind == Operand::Kind::kLiteral) impl_->body().values.push_back(o.value);
  }
}

void ProgramBuilder::read_bits(uint32_t destination, uint32_t first, uint32_t count) {
  if (impl_->type_of(destination) != VariableType::kInteger) refuse("bits are read into an integer variable");
  if (count == 0 || count > kMaxReadBits) refuse("reads " + plural(count, "bit") + ", must be 1..63");
  const uint64_t end = uint64_t{first} + count;
  if (end > impl_->num_bits) {
    refuse("reads up to bit " + std::to_string(end) + ", the program has " + plural(impl_->num_bits, "bit"));
  }
  const uint32_t words[] = {destination, first, count};
  impl_->add(Op::kReadBits, 0, 0, words);
}

void ProgramBuilder::write_bit(uint32_t bit, Operand value) {
  impl_->check_bit(bit);
  const Operand o = impl_->checked(value);
  if (o.type != VariableType::kBoolean) refuse("a bit takes a boolean, got type " + std::string(type_name(o.type)));
  const uint32_t words[] = {bit, word_of(o)};
  impl_->add(Op::kWriteBit, 0, 0, words);
  if (o.kind == Operand::Kind::kLiteral) impl_->body().values.push_back(o.value);
}

}  // namespace qfw::program
