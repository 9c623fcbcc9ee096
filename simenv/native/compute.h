// Classical instructions of dynamic programs, carried out.
#pragma once

#include <cstdint>
#include <span>

#include "program/native/program.h"

namespace qfw::simenv {

// The result of a kCompute or kReadBits (for the instruction's variable) or of a kWriteBit (0 or 1, for its bit), from
// variables as program::Variable::initial and bits packed 64 to a word. Integers wrap to 64 bits. Division by zero,
// shifts outside 0..63 and floats that fit no integer throw kInvalidProgram.
uint64_t compute(const program::Instruction& instruction, std::span<const uint64_t> variables,
                 std::span<const uint64_t> bits);

}  // namespace qfw::simenv
