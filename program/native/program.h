// The Program: the one internal form of a quantum program. Immutable, validated, identified by the SHA-256 of
// its bytes. The byte format is described in docs/program-format.md; program/native/format.h holds its numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "program/native/classical.h"
#include "program/native/error.h"
#include "program/native/gates.h"

namespace qfw::program {

enum class Op : uint8_t {
  kGate = 0,     // a row of the gate table, plus `controls` further controls
  kUnitary = 1,  // a 1- or 2-qubit matrix given by value, plus `controls` controls
  kMeasure = 2,  // qubits[0] into bits[0]
  kReset = 3,
  kBarrier = 4,
  kCompute = 16,   // a variable from operands
  kReadBits = 17,  // an integer variable from a row of bits
  kWriteBit = 18,  // a bit from one boolean operand
};

// One decoded instruction; spans point into the Program that owns it.
struct Instruction {
  Op op = Op::kGate;
  GateId gate{};
  uint16_t controls = 0;                 // controls beyond those of the gate's own row; they come first in `qubits`
  std::span<const uint32_t> qubits;      // controls first, then the targets, least significant first
  std::span<const uint32_t> bits;        // kMeasure, kWriteBit: one classical bit
  std::span<const Angle> angles;         // kGate: one per parameter
  std::span<const Complex> matrix;       // kUnitary: row-major, 4 or 16 entries
  const Classical* classical = nullptr;  // from kCompute on
};

// A named classical register: `size` bits from `first`. Registers may not overlap; bits outside any are allowed.
struct Register {
  std::string name;
  uint32_t first = 0;
  uint32_t size = 0;
};

enum class Terminator : uint32_t { kEnd = 0, kJump = 1, kBranch = 2 };

// A straight run of instructions, and where to go then.
struct Block {
  std::span<const Instruction> instructions;
  Terminator terminator = Terminator::kEnd;
  uint32_t condition = 0;    // kBranch: a boolean variable
  uint32_t target = 0;       // kJump, kBranch (when true)
  uint32_t target_else = 0;  // kBranch
};

using Hash = std::array<uint8_t, 32>;

struct HashKey {  // for unordered containers: the hash is already uniform
  size_t operator()(const Hash& h) const noexcept {
    size_t v;
    __builtin_memcpy(&v, h.data(), sizeof v);
    return v;
  }
};

// Hard limits of the format itself; a device's are lower.
constexpr uint32_t kMaxQubits = 1u << 16;
constexpr uint32_t kMaxBits = 1u << 20;
constexpr uint32_t kMaxParameters = 1u << 20;
constexpr uint32_t kMaxInstructions = 1u << 26;
constexpr uint32_t kMaxBlocks = 1u << 20;
constexpr uint32_t kMaxVariables = 1u << 16;
constexpr uint32_t kMaxNameBytes = 1024;
constexpr double kUnitaryTolerance = 1e-8;  // largest entry of |U U^dagger - 1|

class Program {
 public:
  // Decodes and validates; any bytes give a Program or Error(kInvalidProgram | kUnknownGate | kUnsupported |
  // kLimitExceeded).
  static std::shared_ptr<const Program> decode(std::span<const std::byte> bytes);

  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::span<const std::byte> bytes() const noexcept;
  const Hash& hash() const noexcept;
  uint32_t num_qubits() const noexcept;
  uint32_t num_bits() const noexcept;
  uint32_t num_parameters() const noexcept;
  std::span<const std::string> parameters() const noexcept;  // names, "" where unnamed; size num_parameters()
  std::span<const Register> registers() const noexcept;
  std::span<const Block> blocks() const noexcept;  // block 0 is the entry
  std::span<const Variable> variables() const noexcept;
  std::span<const Instruction> instructions() const noexcept;  // of all blocks, in their order
  double global_phase() const noexcept;

  // True when nothing but measurements and barriers follows a measurement on its qubit, every bit is written at most
  // once, and the only resets are of qubits nothing has happened to (so they do nothing): such a program is sampled
  // from one final state, and measurements and resets are left out of the evolution. False of a dynamic program.
  bool terminal_measurements() const noexcept;

  // Whether it takes more than running its instructions in order: several blocks, variables, classical instructions.
  bool dynamic() const noexcept;

  // The same for a buffer already owned (8-byte aligned); saves the copy.
  static std::shared_ptr<const Program> decode(std::unique_ptr<std::byte[]> bytes, size_t size);

 private:
  struct Impl;
  explicit Program(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

using ProgramPtr = std::shared_ptr<const Program>;

}  // namespace qfw::program
