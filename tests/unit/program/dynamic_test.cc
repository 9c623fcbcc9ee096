// Dynamic programs: blocks, variables and classical instructions, as built and as decoded.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "tests/unit/program/sample.h"

namespace qfw::program::testing {
namespace {

constexpr auto kInvalid = ErrorCode::kInvalidProgram;
constexpr auto kArgument = ErrorCode::kInvalidArgument;
constexpr auto kInt = VariableType::kInteger;
constexpr auto kReal = VariableType::kFloat;
constexpr auto kBool = VariableType::kBoolean;

void expect_error(ErrorCode code, const std::string& says, const std::function<void()>& act) {
  try {
    act();
    ADD_FAILURE() << "no error: " << says;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(says), std::string::npos) << error.what() << "\nwants: " << says;
  }
}

Operand var(uint32_t i) { return {Operand::Kind::kVariable, {}, i, 0}; }
Operand literal(VariableType type, uint64_t bits) { return {Operand::Kind::kLiteral, type, 0, bits}; }

TEST(Dynamic, DecodesWhatWasBuilt) {
  const ProgramPtr p = Program::decode(dynamic_sample()->bytes());
  EXPECT_EQ(p->hash(), dynamic_sample()->hash());
  EXPECT_TRUE(p->dynamic());
  EXPECT_FALSE(p->terminal_measurements());
  ASSERT_EQ(p->variables().size(), 3u);
  EXPECT_EQ(p->variables()[1].type, kInt);
  EXPECT_EQ(std::bit_cast<int64_t>(p->variables()[1].initial), -2);
  ASSERT_EQ(p->blocks().size(), 3u);
  EXPECT_EQ(p->blocks()[0].terminator, Terminator::kJump);
  EXPECT_EQ(p->blocks()[0].target, 1u);
  EXPECT_EQ(p->blocks()[1].terminator, Terminator::kBranch);
  EXPECT_EQ(p->blocks()[1].target_else, 2u);
  EXPECT_EQ(p->blocks()[2].terminator, Terminator::kEnd);
  const auto loop = p->blocks()[1].instructions;
  ASSERT_EQ(loop.size(), 7u);
  EXPECT_TRUE(loop[0].angles[0].of_variable());
  EXPECT_EQ(loop[0].angles[0].variable(), 2u);
  EXPECT_EQ(loop[1].classical->op, Compute::kAdd);
  EXPECT_EQ(loop[1].classical->operands[1].type, kReal);  // the literal 1 was made a float
  EXPECT_EQ(std::bit_cast<double>(loop[1].classical->operands[1].value), 1.0);
  EXPECT_EQ(loop[2].classical->operands[0].kind, Operand::Kind::kBit);
  EXPECT_EQ(loop[3].classical->first, 1u);
  EXPECT_EQ(loop[3].classical->bits, 2u);
  EXPECT_EQ(loop[5].bits[0], 2u);
  EXPECT_EQ(p->instructions().size(), 10u);
}

TEST(Dynamic, OneBlockThatEndsIsThePlainProgram) {
  ProgramBuilder b(1, 1), ended(1, 1);
  b.measure(0, 0);
  ended.measure(0, 0);
  ended.end();
  EXPECT_EQ(b.finish()->hash(), ended.finish()->hash());
  EXPECT_FALSE(ended.finish()->dynamic());
  ended.block();
  expect_error(kArgument, "block 1 has no end", [&] { ended.finish(); });
}

TEST(Dynamic, BlocksMayBeFilledInAnyOrder) {
  const auto build = [](bool swapped) {
    ProgramBuilder b(1, 1);
    const uint32_t one = b.block(), two = b.block(), q = 0;
    b.jump(one);
    const auto first = [&] { b.enter(one), b.gate(GateId::kX, {&q, 1}, {}), b.jump(two); };
    const auto second = [&] { b.enter(two), b.measure(0, 0), b.end(); };
    swapped ? (second(), first()) : (first(), second());
    return b.finish()->hash();
  };
  EXPECT_EQ(build(false), build(true));
}

TEST(Dynamic, BuilderRefuses) {
  ProgramBuilder b(1, 2);
  const uint32_t flag = b.variable(kBool), count = b.variable(kInt), angle = b.variable(kReal);
  const auto compute = [&](Compute op, uint32_t to, std::vector<Operand> from) { b.compute(op, to, from); };
  expect_error(kArgument, "variable 3 does not exist, the program has 3 variables",
               [&] { compute(Compute::kCopy, 3, {var(flag)}); });
  expect_error(kArgument, "'add' takes 2 operands, got 1", [&] { compute(Compute::kAdd, count, {var(count)}); });
  expect_error(kArgument, "'and' takes booleans only or integers only", [&] {
    compute(Compute::kAnd, flag, {var(flag), var(count)});
  });
  expect_error(kArgument, "'shl' takes integers", [&] { compute(Compute::kShl, angle, {var(angle), var(count)}); });
  expect_error(kArgument, "bit 2 does not exist", [&] {
    compute(Compute::kCopy, flag, {{Operand::Kind::kBit, {}, 2, 0}});
  });
  expect_error(kArgument, "is not finite",
               [&] { compute(Compute::kCopy, angle, {literal(kReal, std::bit_cast<uint64_t>(HUGE_VAL))}); });
  expect_error(kArgument, "a boolean variable, variable 1 is of type int", [&] { b.branch(count, 0, 0); });
  expect_error(kArgument, "block 1 does not exist, the program has 1 block", [&] { b.jump(1); });
  expect_error(kArgument, "block 9 does not exist", [&] { b.enter(9); });
  expect_error(kArgument, "reads 64 bits, must be 1..63", [&] { b.read_bits(count, 0, 64); });
  expect_error(kArgument, "reads up to bit 3, the program has 2 bits", [&] { b.read_bits(count, 1, 2); });
  expect_error(kArgument, "bits are read into an integer variable", [&] { b.read_bits(flag, 0, 1); });
  expect_error(kArgument, "a bit takes a boolean, got type int", [&] { b.write_bit(0, var(count)); });
  expect_error(kArgument, "cannot start as", [&] { b.variable(kBool, 2); });
  expect_error(kArgument, "cannot start as nan", [&] { b.variable(kReal, std::bit_cast<uint64_t>(std::nan(""))); });
  const uint32_t q = 0;
  const auto rx = [&](uint32_t slot) {
    const Angle a{0, 1, slot};
    b.gate(GateId::kRx, {&q, 1}, {&a, 1});
  };
  expect_error(kArgument, "which is no float", [&] { rx(kFirstVariable + count); });
  expect_error(kArgument, "variable 7 does not exist", [&] { rx(kFirstVariable + 7); });
  b.end();
  expect_error(kArgument, "block 0 has ended", [&] { b.measure(0, 0); });
  expect_error(kArgument, "block 0 has ended", [&] { b.end(); });
  EXPECT_EQ(b.finish()->instructions().size(), 0u);
}

// Instructions: 0 h, 1 measure | 2 rx, 3 add, 4 select, 5 read_bits, 6 lt, 7 write_bit, 8 write_bit | 9 reset.
// Operands: h 0, measure 1-2, rx 3, add 4-6, select 7-10, read_bits 11-13, lt 14-16, write_bit 17-18 and 19-20.
// Values: rx 0-2, add 3, select 4, lt 5, write_bit 6.
TEST(Dynamic, EachDamageHasItsError) {
  const struct {
    const char* says;
    std::function<void(Damaged&)> damage;
  } cases[] = {
      {"computation 23", [](Damaged& d) { d.instruction(3).gate = 23; }},
      {"cannot have 4 operands", [](Damaged& d) { d.instruction(3).num_operands = 4; }},
      {"read_bits", [](Damaged& d) { d.instruction(5).num_operands = 2; }},
      {"write_bit", [](Damaged& d) { d.instruction(7).num_operands = 1; }},
      {"gate 1 on an op", [](Damaged& d) { d.instruction(7).gate = 1; }},
      {"flags 1", [](Damaged& d) { d.instruction(6).flags = 1; }},
      {"variable 3 of 3", [](Damaged& d) { d.operand(4) = 3; }},
      {"variable 9 of 3", [](Damaged& d) { d.operand(5) = 9; }},
      {"'add' takes", [](Damaged& d) { d.operand(4) = 0; }},
      {"bit 3 is outside", [](Damaged& d) { d.operand(8) = 1u << format::kOperandShift | 3; }},
      {"no variable, bit or literal", [](Damaged& d) { d.operand(8) = 3u << format::kOperandShift; }},
      {"literal of type 3", [](Damaged& d) { d.operand(6) |= 3; }},
      {"cannot be", [](Damaged& d) { d.value(3) = HUGE_VAL; }},
      {"cannot be 2", [](Damaged& d) { d.word(6) = 2; }},
      {"reads 0 bits", [](Damaged& d) { d.operand(13) = 0; }},
      {"reads 64 bits", [](Damaged& d) { d.operand(13) = 64; }},
      {"reads up to bit 4", [](Damaged& d) { d.operand(12) = 2; }},
      {"into an integer", [](Damaged& d) { d.operand(11) = 0; }},
      {"bit 3 is outside", [](Damaged& d) { d.operand(17) = 3; }},
      {"a bit takes a boolean", [](Damaged& d) { d.operand(18) = 1; }},
      {"angle of variable 3 of 3", [](Damaged& d) { d.word(2) = kFirstVariable + 3u; }},
      {"which is no float", [](Damaged& d) { d.word(2) = kFirstVariable + 1u; }},
      {"parameter 1 of 1", [](Damaged& d) { d.word(2) = 1; }},
      {"angle of variable", [](Damaged& d) { d.word(2) = uint64_t{1} << 40; }},
      {"of type 3", [](Damaged& d) { d.variable(0).type = 3; }},
      {"reserved", [](Damaged& d) { d.variable(0).reserved = 1; }},
      {"variable 0 of type bool cannot start as 2", [](Damaged& d) { d.variable(0).initial = 2; }},
      {"cannot start", [](Damaged& d) { d.variable(2).initial = ~uint64_t{0}; }},
      {"block 0's target 3", [](Damaged& d) { d.block().target = 3; }},
      {"block 1's other target 3", [](Damaged& d) { d.block(1).target_else = 3; }},
      {"block 1's condition 1", [](Damaged& d) { d.block(1).condition = 1; }},
      {"block 2's target 1", [](Damaged& d) { d.block(2).target = 1; }},
      {"blocks hold 11", [](Damaged& d) { ++d.block(2).num_instructions; }},
  };
  for (const auto& c : cases) {
    Damaged damaged(dynamic_sample());
    c.damage(damaged);
    expect_error(kInvalid, c.says, [&] { damaged.decode(); });
  }
  Damaged later(dynamic_sample());
  later.instruction(3).op = 19;
  later.instruction(3).gate = 0;
  expect_error(ErrorCode::kUnsupported, "classical op 19", [&] { later.decode(); });
}

TEST(Dynamic, EveryComputationHasItsTypes) {
  const VariableType types[] = {kInt, kReal, kBool};
  std::string accepted;
  for (uint16_t op = 0; op < static_cast<uint16_t>(Compute::kCount); ++op) {
    const ComputeRow& row = compute_row(Compute{op});
    EXPECT_EQ(compute_named(row.name), Compute{op});
    for (const VariableType to : types) {
      for (const VariableType from : types) {
        const Operand operands[] = {{{}, row.rule == ComputeRule::kSelect ? kBool : from}, {{}, from}, {{}, from}};
        if (type_error(Compute{op}, to, {operands, row.operands}).empty()) {
          accepted +=
              std::string(row.name) + ":" + std::string(type_name(from)) + ">" + std::string(type_name(to)) + " ";
        }
      }
    }
  }
  EXPECT_EQ(accepted,
            "copy:int>int copy:float>float copy:bool>bool not:int>int not:bool>bool and:int>int and:bool>bool "
            "or:int>int or:bool>bool xor:int>int xor:bool>bool shl:int>int shr:int>int add:int>int add:float>float "
            "sub:int>int sub:float>float mul:int>int mul:float>float div:int>int div:float>float mod:int>int "
            "mod:float>float neg:int>int neg:float>float eq:int>bool eq:float>bool eq:bool>bool ne:int>bool "
            "ne:float>bool ne:bool>bool lt:int>bool lt:float>bool le:int>bool le:float>bool gt:int>bool gt:float>bool "
            "ge:int>bool ge:float>bool select:int>int select:float>float select:bool>bool to_int:int>int "
            "to_int:float>int to_int:bool>int to_float:int>float to_float:float>float to_float:bool>float "
            "to_bool:int>bool to_bool:float>bool to_bool:bool>bool ");
}

}  // namespace
}  // namespace qfw::program::testing
