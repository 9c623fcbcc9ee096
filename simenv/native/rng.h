// Random numbers by counter, so that what a draw gives depends on its key and number alone: Philox4x32-10 of
// J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011).
#pragma once

#include <array>
#include <cstdint>

namespace qfw::simenv {

// One block of four words: ten rounds.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) noexcept;

// What a stream of numbers is for; streams of one key never overlap.
enum class Purpose : uint32_t { kShots = 1, kBranch = 2, kOrder = 3, kDerive = 4 };

// A sequence of draws: key (64 bits), purpose, then a running number.
class Random {
 public:
  Random(uint64_t key, Purpose purpose) noexcept
      : key_{static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)}, purpose_(purpose) {}

  uint64_t next() noexcept;                 // 64 uniform bits
  double uniform() noexcept;                // in (0, 1), 52 bits, never 0 or 1
  uint64_t below(uint64_t bound) noexcept;  // uniform in [0, bound), exactly; bound > 0
  uint64_t binomial(uint64_t n,
                    double p) noexcept;  // successes in n trials of probability p, which is rounded to 2^-44

 private:
  std::array<uint32_t, 2> key_;
  Purpose purpose_;
  uint64_t block_ = 0;
  uint64_t words_[2] = {};
  unsigned left_ = 0;
};

}  // namespace qfw::simenv
