// Variables and the classical instructions on them: what can be computed, and which types fit.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace qfw::program {

enum class VariableType : uint32_t { kInteger = 0, kFloat = 1, kBoolean = 2 };  // i64, f64, bool

std::string_view type_name(VariableType type) noexcept;  // "int", "float", "bool"
VariableType type_named(std::string_view name);          // throws kInvalidArgument

struct Variable {
  VariableType type = VariableType::kInteger;
  uint64_t initial = 0;  // the i64's or f64's bits, or 0 / 1
};

// Numbers are in program bytes; the rows are in classical.def.
enum class Compute : uint16_t {
#define QFW_COMPUTE(id, number, ...) id = number,
#include "program/native/classical.def"
#undef QFW_COMPUTE
  kCount
};

// Which types the operands and the destination have.
enum class ComputeRule : uint8_t {
  kSame,       // T -> T
  kLogic,      // booleans, or integers bit by bit
  kInteger,    // integers
  kNumber,     // integers or floats
  kEquality,   // two of one type -> bool
  kOrder,      // two integers or two floats -> bool
  kSelect,     // bool, T, T -> T
  kToInteger,  // any -> int
  kToFloat,    // any -> float
  kToBoolean,  // any -> bool
};

struct ComputeRow {
  std::string_view name;
  uint8_t operands;
  ComputeRule rule;
};

const ComputeRow& compute_row(Compute op) noexcept;  // op < kCount
Compute compute_named(std::string_view name);        // throws kInvalidArgument

constexpr uint32_t kMaxReadBits = 63;  // of one read_bits: always a non-negative integer

struct Operand {
  enum class Kind : uint8_t { kVariable = 0, kBit = 1, kLiteral = 2 };
  Kind kind = Kind::kLiteral;
  VariableType type = VariableType::kBoolean;  // of a bit: boolean
  uint32_t index = 0;                          // variable or bit
  uint64_t value = 0;                          // literal, as Variable::initial
};

// One classical instruction, decoded.
struct Classical {
  Compute op = Compute::kCopy;   // kCompute
  uint8_t count = 0;             // operands: kCompute as its row says, kWriteBit 1
  uint32_t variable = 0;         // destination of kCompute and kReadBits
  uint32_t first = 0, bits = 0;  // kReadBits
  std::array<Operand, 3> operands{};
};

// What is wrong with these types, "" when nothing is; `operands` holds compute_row(op).operands entries.
std::string type_error(Compute op, VariableType destination, std::span<const Operand> operands);

// Whether the bits are a value of the type: floats are finite, booleans 0 or 1.
bool valid_value(VariableType type, uint64_t bits) noexcept;

}  // namespace qfw::program
