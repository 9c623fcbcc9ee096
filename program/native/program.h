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

#include "program/native/error.h"
#include "program/native/gates.h"

namespace qfw::program {

constexpr uint32_t kNoParameter = 0xffffffffu;

// offset + scale * row[parameter]; a constant when parameter == kNoParameter. Radians.
struct Angle {
  double offset = 0.0;
  double scale = 0.0;
  uint32_t parameter = kNoParameter;

  bool constant() const noexcept { return parameter == kNoParameter; }
  double value(std::span<const double> row) const noexcept {
    return constant() ? offset : offset + scale * row[parameter];
  }
};

enum class Op : uint8_t {
  kGate = 0,     // a row of the gate table, plus `controls` further controls
  kUnitary = 1,  // a 1- or 2-qubit matrix given by value, plus `controls` controls
  kMeasure = 2,  // qubits[0] into bits[0]
  kReset = 3,
  kBarrier = 4,
};

// One decoded instruction; spans point into the Program that owns it.
struct Instruction {
  Op op = Op::kGate;
  GateId gate{};
  uint16_t controls = 0;                // controls beyond those of the gate's own row; they come first in `qubits`
  std::span<const uint32_t> qubits;     // controls first, then the targets, least significant first
  std::span<const uint32_t> bits;       // kMeasure: one classical bit
  std::span<const Angle> angles;        // kGate: one per parameter
  std::span<const Complex> matrix;      // kUnitary: row-major, 4 or 16 entries
};

// A named classical register: `size` bits from `first`. Registers may not overlap; bits outside any are allowed.
struct Register {
  std::string name;
  uint32_t first = 0;
  uint32_t size = 0;
};

// A straight run of instructions. Issue "depth" adds terminators; today there is exactly one block.
struct Block {
  std::span<const Instruction> instructions;
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

class Program {
 public:
  // Decodes and validates; any bytes give a Program or Error(kInvalidProgram | kUnknownGate | kUnsupported | kLimitExceeded).
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
  std::span<const Block> blocks() const noexcept;
  std::span<const Instruction> instructions() const noexcept;  // of block 0
  double global_phase() const noexcept;

  // True when measurements and resets are only the last thing that happens to their qubits (and every bit is
  // written once): such a program is sampled from one final state.
  bool terminal_measurements() const noexcept;

 private:
  struct Impl;
  explicit Program(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

using ProgramPtr = std::shared_ptr<const Program>;

}  // namespace qfw::program
