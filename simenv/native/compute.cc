#include "simenv/native/compute.h"

#include <bit>
#include <cmath>
#include <limits>
#include <string>

namespace qfw::simenv {

using program::Classical;
using program::Compute;
using program::Op;
using program::Operand;
using program::VariableType;

namespace {

[[noreturn]] void fail(const std::string& what) { throw Error(ErrorCode::kInvalidProgram, "while it ran: " + what); }

// Two's complement, wrapping.
int64_t wrapped(uint64_t value) { return static_cast<int64_t>(value); }

int64_t integer(Compute op, int64_t a, int64_t b) {
  const auto x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
  switch (op) {
    case Compute::kNot:
      return ~a;
    case Compute::kAnd:
      return a & b;
    case Compute::kOr:
      return a | b;
    case Compute::kXor:
      return a ^ b;
    case Compute::kShl:
    case Compute::kShr:
      if (b < 0 || b > 63) fail("a shift by " + std::to_string(b) + ", must be 0..63");
      return op == Compute::kShl ? wrapped(x << b) : a >> b;
    case Compute::kAdd:
      return wrapped(x + y);
    case Compute::kSub:
      return wrapped(x - y);
    case Compute::kMul:
      return wrapped(x * y);
    case Compute::kNeg:
      return wrapped(0 - x);
    case Compute::kDiv:
    case Compute::kMod:
      if (b == 0) fail("the integer " + std::to_string(a) + " is divided by 0");
      if (b == -1) return op == Compute::kDiv ? wrapped(0 - x) : 0;
      return op == Compute::kDiv ? a / b : a % b;
    default:
      return a;
  }
}

double real(Compute op, double a, double b) {
  switch (op) {
    case Compute::kAdd:
      return a + b;
    case Compute::kSub:
      return a - b;
    case Compute::kMul:
      return a * b;
    case Compute::kDiv:
      return a / b;
    case Compute::kMod:
      return std::fmod(a, b);
    case Compute::kNeg:
      return -a;
    default:
      return a;
  }
}

bool logic(Compute op, bool a, bool b) {
  switch (op) {
    case Compute::kNot:
      return !a;
    case Compute::kAnd:
      return a && b;
    case Compute::kOr:
      return a || b;
    case Compute::kXor:
      return a != b;
    default:
      return a;
  }
}

template <typename T>
bool compared(Compute op, T a, T b) {
  switch (op) {
    case Compute::kEq:
      return a == b;
    case Compute::kNe:
      return a != b;
    case Compute::kLt:
      return a < b;
    case Compute::kLe:
      return a <= b;
    case Compute::kGt:
      return a > b;
    default:
      return a >= b;
  }
}

double as_float(VariableType type, uint64_t bits) {
  if (type == VariableType::kFloat) return std::bit_cast<double>(bits);
  return static_cast<double>(std::bit_cast<int64_t>(bits));
}

int64_t to_integer(VariableType type, uint64_t bits) {
  if (type != VariableType::kFloat) return std::bit_cast<int64_t>(bits);
  const double value = std::bit_cast<double>(bits);
  if (!(value >= -0x1p63 && value < 0x1p63)) fail("the float " + std::to_string(value) + " fits no integer");
  return static_cast<int64_t>(value);
}

// `a` and `b` have the type `type`.
uint64_t computed(Compute op, VariableType type, uint64_t a, uint64_t b) {
  const bool compares = op >= Compute::kEq && op <= Compute::kGe;
  if (type == VariableType::kFloat) {
    const double x = std::bit_cast<double>(a), y = std::bit_cast<double>(b);
    return compares ? compared(op, x, y) : std::bit_cast<uint64_t>(real(op, x, y));
  }
  const int64_t x = std::bit_cast<int64_t>(a), y = std::bit_cast<int64_t>(b);
  if (compares) return compared(op, x, y);
  if (type == VariableType::kBoolean) return logic(op, x != 0, y != 0);
  return std::bit_cast<uint64_t>(integer(op, x, y));
}

}  // namespace

uint64_t compute(const program::Instruction& instruction, std::span<const uint64_t> variables,
                 std::span<const uint64_t> bits) {
  const Classical& c = *instruction.classical;
  const auto bit = [&](uint32_t i) { return bits[i / 64] >> i % 64 & 1; };
  if (instruction.op == Op::kReadBits) {
    uint64_t read = 0;
    for (uint32_t i = 0; i < c.bits; ++i) read |= bit(c.first + i) << i;
    return read;
  }
  uint64_t v[3] = {};
  for (size_t i = 0; i < c.count; ++i) {
    const Operand& o = c.operands[i];
    v[i] = o.kind == Operand::Kind::kLiteral ? o.value
           : o.kind == Operand::Kind::kBit   ? bit(o.index)
                                             : variables[o.index];
  }
  if (instruction.op == Op::kWriteBit) return v[0];
  const VariableType type = c.operands[0].type;
  switch (c.op) {
    case Compute::kCopy:
      return v[0];
    case Compute::kSelect:
      return v[0] != 0 ? v[1] : v[2];
    case Compute::kToInt:
      return std::bit_cast<uint64_t>(to_integer(type, v[0]));
    case Compute::kToFloat:
      return std::bit_cast<uint64_t>(as_float(type, v[0]));
    case Compute::kToBool:
      return as_float(type, v[0]) != 0.0;
    default:
      return computed(c.op, type, v[0], v[1]);
  }
}

}  // namespace qfw::simenv
