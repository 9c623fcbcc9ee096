#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>

#include "tests/unit/program/sample.h"

namespace qfw::program::testing {
namespace {

TEST(Decode, RoundTripKeepsEverything) {
  const ProgramPtr p = sample();
  const ProgramPtr q = Program::decode(p->bytes());
  EXPECT_EQ(p->hash(), q->hash());
  EXPECT_EQ(bytes_of(*p), bytes_of(*q));
  EXPECT_EQ(q->num_qubits(), 4u);
  EXPECT_EQ(q->num_bits(), 4u);
  EXPECT_EQ(q->global_phase(), 0.25);
  ASSERT_EQ(q->parameters().size(), 2u);
  EXPECT_EQ(q->parameters()[0], "theta");
  EXPECT_EQ(q->parameters()[1], "");
  ASSERT_EQ(q->registers().size(), 2u);
  EXPECT_EQ(q->registers()[1].name, "größe");
  EXPECT_EQ(q->registers()[1].first, 2u);
  ASSERT_EQ(q->instructions().size(), 11u);
  EXPECT_EQ(q->blocks().size(), 1u);
  EXPECT_EQ(q->blocks()[0].instructions.data(), q->instructions().data());
}

TEST(Decode, InstructionsPointAtTheirOwnWords) {
  const ProgramPtr p = sample();
  const auto i = p->instructions();
  EXPECT_EQ(i[2].controls, 3);
  EXPECT_EQ(i[2].qubits.size(), 4u);
  EXPECT_EQ(i[3].angles[0].value(std::vector<double>{3.0, 0.0}), 6.5);
  EXPECT_EQ(i[4].angles[1].parameter, 1u);
  EXPECT_TRUE(i[4].angles[2].constant());
  EXPECT_TRUE(std::signbit(i[5].angles[0].offset));
  EXPECT_EQ(i[6].matrix.size(), 4u);
  EXPECT_EQ(i[7].matrix.size(), 16u);
  EXPECT_EQ(i[7].matrix[15], (Complex{0, 1}));
  EXPECT_EQ(i[7].controls, 1);
  EXPECT_EQ(i[9].bits[0], 1u);
  EXPECT_EQ(i[9].qubits[0], 0u);
}

// A damage to the sample, the error it must give and a word of its message.
struct Case {
  const char* what;
  std::function<void(Damaged&)> damage;
  ErrorCode code;
  const char* says;
};

const double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr auto kInvalid = ErrorCode::kInvalidProgram;
constexpr auto kLimit = ErrorCode::kLimitExceeded;
constexpr auto kUnsupported = ErrorCode::kUnsupported;

// Instructions of the sample: 0 reset, 1 h, 2 cccx, 3 rx, 4 U, 5 crz, 6 and 7 unitary, 8 barrier, 9 and 10 measure.
// Operands: reset 0, h 1, cccx 2-5, rx 6, U 7, crz 8-9, unitary 10 and 11-13, barrier 14-17, measure 18-21.
// Values: rx 0-2, U 3-11, crz 12, unitary 13-20 and 21-52.
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"magic", [](Damaged& d) { d.header().magic ^= 1; }, kInvalid, "QFWP"},
      {"version", [](Damaged& d) { d.header().version = 2; }, kUnsupported, "version 2"},
      {"flags", [](Damaged& d) { d.header().flags = 1; }, kInvalid, "flags 1"},
      {"total", [](Damaged& d) { d.header().total_bytes += 8; }, kInvalid, "describes"},
      {"no qubits", [](Damaged& d) { d.header().num_qubits = 0; }, kInvalid, "at least 1 qubit"},
      {"many qubits", [](Damaged& d) { d.header().num_qubits = kMaxQubits + 1; }, kLimit, "65537 qubits"},
      {"many bits", [](Damaged& d) { d.header().num_bits = kMaxBits + 1; }, kLimit, "bits"},
      {"many parameters", [](Damaged& d) { d.header().num_parameters = kMaxParameters + 1; }, kLimit, "parameters"},
      {"many instructions", [](Damaged& d) { d.header().num_instructions = ~0u; }, kLimit, "instructions"},
      {"many values", [](Damaged& d) { d.header().num_values = ~0u; }, kInvalid, "describes"},
      {"many operands", [](Damaged& d) { d.header().num_operands = ~0u; }, kInvalid, "describes"},
      {"many blocks", [](Damaged& d) { d.header().num_blocks = ~0u; }, kLimit, "blocks"},
      {"many variables", [](Damaged& d) { d.header().num_variables = ~0u; }, kLimit, "variables"},
      {"phase", [](Damaged& d) { d.header().global_phase = kNan; }, kInvalid, "not finite"},
      {"few qubits", [](Damaged& d) { d.header().num_qubits = 3; }, kInvalid, "qubit 3 is outside 0..2"},
      {"few bits", [](Damaged& d) { d.header().num_bits = 2; }, kInvalid, "ends at bit 3"},
      {"op", [](Damaged& d) { d.instruction(1).op = 5; }, kInvalid, "op 5"},
      {"flags of h", [](Damaged& d) { d.instruction(1).flags = 1; }, kInvalid, "affine"},
      {"flags of reset", [](Damaged& d) { d.instruction(0).flags = 1; }, kInvalid, "flags 1"},
      {"flags of a matrix", [](Damaged& d) { d.instruction(6).flags = 1; }, kInvalid, "flags 1"},
      {"gate", [](Damaged& d) { d.instruction(1).gate = 999; }, ErrorCode::kUnknownGate, "999"},
      {"gate of reset", [](Damaged& d) { d.instruction(0).gate = 1; }, kInvalid, "gate 1"},
      {"arity", [](Damaged& d) { d.instruction(5).num_operands = 1; }, kInvalid, "crz"},
      {"controls", [](Damaged& d) { d.instruction(1).num_operands = ~0u; }, kInvalid, "4294967295"},
      {"measure arity", [](Damaged& d) { d.instruction(9).num_operands = 3; }, kInvalid, "measure"},
      {"reset arity", [](Damaged& d) { d.instruction(0).num_operands = 0; }, kInvalid, "reset"},
      {"unitary arity", [](Damaged& d) { d.instruction(7).num_operands = 1; }, kInvalid, "unitary"},
      {"too few operands", [](Damaged& d) { d.instruction(8).num_operands = 3; }, kInvalid, "take 21 operands"},
      {"too many values", [](Damaged& d) { d.instruction(3).flags = 0; }, kInvalid, "51 values"},
      {"qubit", [](Damaged& d) { d.operand(1) = 4; }, kInvalid, "instruction 1: qubit 4 is outside 0..3"},
      {"same qubit", [](Damaged& d) { d.operand(2) = 2; }, kInvalid, "qubit 2 is named twice"},
      {"bit", [](Damaged& d) { d.operand(19) = 4; }, kInvalid, "bit 4"},
      {"angle", [](Damaged& d) { d.value(12) = kNan; }, kInvalid, "not finite"},
      {"offset", [](Damaged& d) { d.value(0) = kNan; }, kInvalid, "not finite"},
      {"scale", [](Damaged& d) { d.value(1) = HUGE_VAL; }, kInvalid, "not finite"},
      {"parameter", [](Damaged& d) { d.word(2) = 2; }, kInvalid, "parameter 2 of 2"},
      {"wide parameter", [](Damaged& d) { d.word(2) = uint64_t{1} << 40; }, kInvalid, "angle of variable"},
      {"constant affine", [](Damaged& d) { d.word(2) = kNoParameter, d.word(1) = 0; }, kInvalid, "without a parameter"},
      {"constant with scale", [](Damaged& d) { d.value(4) = 1; }, kInvalid, "has a scale"},
      {"constant, scale -0", [](Damaged& d) { d.value(4) = -0.0; }, kInvalid, "has a scale"},
      {"matrix", [](Damaged& d) { d.value(13) = 0.7; }, kInvalid, "not unitary"},
      {"matrix nan", [](Damaged& d) { d.value(30) = kNan; }, kInvalid, "not unitary"},
      {"blocks' instructions", [](Damaged& d) { d.block().num_instructions = 10; }, kInvalid, "10 instructions"},
      {"terminator", [](Damaged& d) { d.block().terminator = 3; }, kInvalid, "terminator is 3"},
      {"jump out", [](Damaged& d) { d.block().terminator = 1, d.block().target = 1; }, kInvalid, "target"},
      {"branch", [](Damaged& d) { d.block().terminator = 2; }, kInvalid, "condition"},
      {"end with a target", [](Damaged& d) { d.block().target = 1; }, kInvalid, "target"},
      {"end with an else", [](Damaged& d) { d.block().target_else = 1; }, kInvalid, "target"},
      {"end with a condition", [](Damaged& d) { d.block().condition = 1; }, kInvalid, "condition"},
      {"reserved", [](Damaged& d) { d.block().reserved[2] = 1; }, kInvalid, "reserved"},
      {"register's name", [](Damaged& d) { d.name(6) = '\xff'; }, kInvalid, "UTF-8"},
      {"parameter's name", [](Damaged& d) { d.name(0) = 0; }, kInvalid, "UTF-8"},
      {"register name size", [](Damaged& d) { d.reg(0).name_size = 2; }, kInvalid, "names take"},
      {"empty register", [](Damaged& d) { d.reg(0).size = 0; }, kInvalid, "empty"},
      {"register overflow", [](Damaged& d) { d.reg(0).first = ~0u; }, kInvalid, "ends at bit 4294967297"},
      {"registers overlap", [](Damaged& d) { d.reg(1).first = 1; }, kInvalid, "overlap"},
      {"register reserved", [](Damaged& d) { d.reg(1).reserved = 1; }, kInvalid, "register"},
  };
  return all;
}

TEST(Decode, EachDamageHasItsError) {
  for (const Case& c : cases()) {
    Damaged damaged;
    c.damage(damaged);
    try {
      damaged.decode();
      ADD_FAILURE() << c.what << ": decoded";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), c.code) << c.what << ": " << error.what();
      EXPECT_NE(std::string(error.what()).find(c.says), std::string::npos) << c.what << ": " << error.what();
    }
  }
}

TEST(Decode, PaddingMustBeZero) {
  ProgramBuilder b(1, 1);
  const uint32_t q = 0;
  b.gate(GateId::kH, {&q, 1}, {});
  b.parameter("abc");
  const ProgramPtr p = b.finish();
  format::Header header;
  std::memcpy(&header, p->bytes().data(), sizeof header);
  const format::Layout layout(header);
  for (const uint64_t offset : {layout.operands + 4, layout.parameter_name_sizes + 4, layout.names + 3}) {
    Bytes bytes = bytes_of(*p);
    bytes[offset] = std::byte{1};
    EXPECT_THROW(Program::decode(bytes), Error) << offset;
  }
}

TEST(Decode, BadVariablesAreInvalid) {
  for (const auto& [type, reserved, initial] : {std::tuple{3u, 0u, 0u}, {0u, 1u, 0u}, {2u, 0u, 2u}}) {
    Damaged d;
    const uint64_t at = d.layout().registers;
    d.insert(at, sizeof(format::VariableRecord));
    d.header().num_variables = 1;
    const format::VariableRecord record{type, reserved, initial};
    std::memcpy(d.bytes.data() + at, &record, sizeof record);
    try {
      d.decode();
      ADD_FAILURE() << "decoded";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidProgram) << error.what();
    }
  }
}

// Any bytes give a Program or an Error of the four kinds; a crash or another exception fails the test.
void decode_any(std::span<const std::byte> bytes) {
  try {
    const ProgramPtr p = Program::decode(bytes);
    EXPECT_EQ(p->bytes().size(), bytes.size());
  } catch (const Error& error) {
    const ErrorCode c = error.code();
    EXPECT_TRUE(c == kInvalid || c == kLimit || c == kUnsupported || c == ErrorCode::kUnknownGate) << error.what();
  }
}

TEST(Decode, EveryPrefixIsAnError) {
  for (const ProgramPtr& program : {sample(), dynamic_sample()}) {
    const Bytes bytes = bytes_of(*program);
    for (size_t n = 0; n < bytes.size(); ++n) {
      EXPECT_THROW(Program::decode(std::span(bytes).first(n)), Error) << n;
    }
  }
}

TEST(Decode, EveryFlippedBitAndByteIsAProgramOrAnError) {
  for (const ProgramPtr& program : {sample(), dynamic_sample()}) {
    const Bytes original = bytes_of(*program);
    Bytes bytes = original;
    for (size_t i = 0; i < bytes.size(); ++i) {
      for (const uint8_t mask : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
        bytes[i] ^= std::byte{mask};
        decode_any(bytes);
        bytes[i] = original[i];
      }
    }
  }
}

TEST(Decode, RandomMutationsAreProgramsOrErrors) {
  std::mt19937_64 random(7);
  for (const ProgramPtr& program : {sample(), dynamic_sample()}) {
    const Bytes original = bytes_of(*program);
    for (int round = 0; round < 20000; ++round) {
      Bytes bytes = original;
      for (uint64_t k = 1 + random() % 4; k > 0; --k) {
        const size_t at = random() % bytes.size() & ~size_t{3};
        const uint32_t values[] = {0, 1, 0xffffffffu, 0x7fffffffu, static_cast<uint32_t>(random())};
        std::memcpy(bytes.data() + at, &values[random() % 5], 4);
      }
      decode_any(bytes);
    }
  }
}

TEST(Decode, ManyOperandsAreCheckedForRepeats) {
  ProgramBuilder b(64, 0);
  std::vector<uint32_t> qubits(64);
  for (uint32_t i = 0; i < 64; ++i) qubits[i] = 63 - i;
  b.barrier(qubits);
  b.gate(GateId::kX, qubits, {}, 63);
  const ProgramPtr p = b.finish();
  Bytes bytes = bytes_of(*p);
  format::Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  std::memset(bytes.data() + format::Layout(header).operands + 4 * 70, 0, 4);
  try {
    Program::decode(bytes);
    ADD_FAILURE() << "decoded";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "instruction 1: qubit 0 is named twice");
  }
}

}  // namespace
}  // namespace qfw::program::testing
