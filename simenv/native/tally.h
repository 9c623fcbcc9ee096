// Collects shots as (packed bits, how many) and turns them into sorted counts and per-shot memory.
#pragma once

#include <cstdint>
#include <vector>

#include "simenv/native/simulator.h"

namespace qfw::simenv {

class Tally {
 public:
  explicit Tally(uint32_t bits) : words_((bits + 63) / 64), row_bytes_((bits + 7) / 8) {}

  uint32_t words() const noexcept { return words_; }  // per key; bit i is bit i % 64 of word i / 64
  void add(const uint64_t* key, uint64_t count);
  // Sorts by key, merges equal keys, and writes what is wanted. The order of shots is a permutation drawn from seed.
  void finish(uint64_t seed, bool memory, bool counts, const Stop& stop, Outcome& out);

 private:
  void sort_and_merge();
  void write_key(size_t entry, uint8_t* to) const;

  uint32_t words_;
  size_t row_bytes_;
  std::vector<uint64_t> keys_;  // words_ per entry
  std::vector<uint64_t> counts_;
};

}  // namespace qfw::simenv
