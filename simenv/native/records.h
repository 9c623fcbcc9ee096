// The shots of one branch: groups of shots with the same bits, each with the seed of its own way through the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace qfw::simenv {

class Records {
 public:
  explicit Records(uint32_t words = 0) : words_(words) {}

  void add(const uint64_t* key, uint64_t seed, uint64_t shots);
  void add_all(const Records& other);  // groups with equal bits become one

  size_t size() const noexcept { return seeds_.size(); }
  uint64_t total() const noexcept;  // shots
  const uint64_t* key(size_t i) const noexcept { return keys_.data() + i * words_; }
  uint64_t seed(size_t i) const noexcept { return seeds_[i]; }
  uint64_t shots(size_t i) const noexcept { return shots_[i]; }

  void set_bit(uint32_t bit, bool value) noexcept;  // in all groups
  void advance_seeds(uint64_t part) noexcept;       // each group goes on as this part
  // A measurement that reads 1 with probability p: (shots that read 0, shots that read 1), drawn group by group.
  std::pair<Records, Records> split(double p) const;

 private:
  uint32_t words_;
  std::vector<uint64_t> keys_, seeds_, shots_;
};

}  // namespace qfw::simenv
