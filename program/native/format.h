// The numbers of the program format, version 1; docs/program-format.md describes it in words.
// Little-endian, every section starts on a multiple of 8 bytes, gaps are zero. One program has one encoding.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace qfw::program::format {

static_assert(std::endian::native == std::endian::little, "program bytes are read in place on little-endian machines");

constexpr uint32_t kMagic = 0x50574651;  // "QFWP"
constexpr uint16_t kVersion = 1;

struct Header {
  uint32_t magic;
  uint16_t version;
  uint16_t flags;  // 0
  uint64_t total_bytes;
  uint32_t num_qubits;
  uint32_t num_bits;
  uint32_t num_parameters;
  uint32_t num_registers;
  uint32_t num_blocks;
  uint32_t num_variables;
  uint32_t num_instructions;
  uint32_t num_operands;  // u32 words
  uint32_t num_values;    // 8-byte words
  uint32_t name_bytes;
  double global_phase;
};
static_assert(sizeof(Header) == 64);

// Operands and values are taken from their pools in order of the instructions, so no record holds an offset:
//   gate     operands: qubits (controls first); values: one f64 per parameter, or with kAffine three words per
//            parameter: f64 offset, f64 scale, u64 parameter (kNoParameter and scale +0.0 for a constant)
//   unitary  operands: qubits; values: the matrix, row-major, re and im alternating; kTwoQubits: 4 x 4, else 2 x 2
//            (program::kFirstVariable + v names the float variable v)
//   measure  operands: qubit, bit          reset  operands: qubit          barrier  operands: qubits
//   compute     operands: destination variable, then one word each; values: one for each literal among them
//   read_bits   operands: destination variable, first bit, number of bits
//   write_bit   operands: bit, one word; values: one when that word is a literal
// Controls are the operands beyond those that the gate or matrix itself takes.
struct InstructionRecord {
  uint8_t op;     // program::Op; from 16 on classical instructions
  uint8_t flags;  // InstructionFlags
  uint16_t gate;  // of the gate table; of a compute its number in classical.def; else 0
  uint32_t num_operands;
};
static_assert(sizeof(InstructionRecord) == 8);

enum InstructionFlags : uint8_t { kAffine = 1, kTwoQubits = 2 };
constexpr uint8_t kFirstClassicalOp = 16;
constexpr uint8_t kLastClassicalOp = 31;

// A word that a classical instruction reads: what it is in the two highest bits, which one in the others. The word of
// a literal holds its VariableType.
constexpr uint32_t kOperandShift = 30;
constexpr uint32_t kOperandMask = (1u << kOperandShift) - 1;

// A straight run of instructions, then its terminator. Blocks take their instructions in order.
struct BlockRecord {
  uint32_t num_instructions;
  uint32_t terminator;   // program::Terminator
  uint32_t condition;    // kBranch: a boolean variable
  uint32_t target;       // kJump, kBranch (when true): a block
  uint32_t target_else;  // kBranch: a block
  uint32_t reserved[3];  // 0
};
static_assert(sizeof(BlockRecord) == 32);

struct VariableRecord {
  uint32_t type;      // program::VariableType
  uint32_t reserved;  // 0
  uint64_t initial;   // i64, f64 bits, or 0 / 1
};
static_assert(sizeof(VariableRecord) == 16);

struct RegisterRecord {
  uint32_t name_size;
  uint32_t first;
  uint32_t size;
  uint32_t reserved;  // 0
};
static_assert(sizeof(RegisterRecord) == 16);

constexpr uint64_t align8(uint64_t bytes) { return (bytes + 7) & ~uint64_t{7}; }

// Where the sections lie. Counts are below 2^32 and records at most 32 bytes, so 64-bit sums cannot overflow.
struct Layout {
  uint64_t values, instructions, blocks, variables, registers, operands, parameter_name_sizes, names, total;

  explicit constexpr Layout(const Header& h)
      : values(sizeof(Header)),
        instructions(values + uint64_t{h.num_values} * 8),
        blocks(instructions + uint64_t{h.num_instructions} * sizeof(InstructionRecord)),
        variables(blocks + uint64_t{h.num_blocks} * sizeof(BlockRecord)),
        registers(variables + uint64_t{h.num_variables} * sizeof(VariableRecord)),
        operands(registers + uint64_t{h.num_registers} * sizeof(RegisterRecord)),
        parameter_name_sizes(operands + align8(uint64_t{h.num_operands} * 4)),
        names(parameter_name_sizes + align8(uint64_t{h.num_parameters} * 4)),
        total(names + align8(h.name_bytes)) {}
};

}  // namespace qfw::program::format
