// What may still matter after a point of a program: which qubits are acted on, which bits are read or written, which
// values are read before they are written again. Backward data flow over the blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "program/native/program.h"

namespace qfw::simenv {

// A set of bits and variables: bit i is element i, variable v is element num_bits + v.
class ElementSet {
 public:
  explicit ElementSet(size_t elements = 0) : words_((elements + 63) / 64) {}

  bool has(size_t i) const { return words_[i / 64] >> i % 64 & 1; }
  void add(size_t i) { words_[i / 64] |= uint64_t{1} << i % 64; }
  void remove(size_t i) { words_[i / 64] &= ~(uint64_t{1} << i % 64); }
  bool add_all(const ElementSet& other);  // whether anything was new

  const std::vector<uint64_t>& words() const noexcept { return words_; }

 private:
  std::vector<uint64_t> words_;
};

struct Live {
  uint64_t acted = 0;     // qubits that gates or resets may act on
  uint64_t measured = 0;  // qubits that may be measured
  ElementSet touched;     // bits that may be read or written
  ElementSet read;        // bits and variables that may be read before they are written

  bool add_all(const Live& other);
  void before(const program::Program& program, const program::Instruction& instruction);  // steps back over it
};

// `valid` false: the program is too large to look at; everything may still matter everywhere.
struct Liveness {
  bool valid = false;
  std::vector<Live> at_end;  // of each block, its terminator's condition included
};

Liveness find_liveness(const program::Program& program);

// Blocks in an order in which, loops aside, each comes before those it leads to; blocks never reached come last.
std::vector<uint32_t> block_ranks(const program::Program& program);

}  // namespace qfw::simenv
