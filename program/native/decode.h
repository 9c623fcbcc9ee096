// Reads program bytes into the parts of a Program. Internal to this room.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "program/native/format.h"
#include "program/native/program.h"

namespace qfw::program {

// What decoding makes; spans point into `bytes` and `angles`.
struct Parts {
  std::unique_ptr<std::byte[]> bytes;
  size_t size = 0;
  format::Header header{};
  std::vector<Angle> angles;
  std::vector<Instruction> instructions;
  std::vector<std::string> parameters;
  std::vector<Register> registers;
  std::vector<Block> blocks;  // of a dynamic program
  Block only_block;           // of any other
  std::vector<Variable> variables;
  std::vector<Classical> classical;  // instructions point into it
  bool terminal_measurements = true;
  bool dynamic = false;
};

// Validates everything and fills the rest of `parts` from its bytes. Throws as Program::decode.
void decode_parts(Parts& parts);

bool valid_utf8(std::string_view text) noexcept;

// |U U^dagger - 1| within kUnitaryTolerance and every entry finite; `matrix` is dim x dim, row-major.
bool is_unitary(std::span<const Complex> matrix, size_t dim) noexcept;

}  // namespace qfw::program
