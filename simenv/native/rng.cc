#include "simenv/native/rng.h"

#include <cmath>

#include "simenv/native/simulator.h"

namespace qfw::simenv {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) noexcept {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * c[0], b = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(a)};
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  return c;
}

uint64_t derive_seed(uint64_t seed, uint64_t part) noexcept {
  const auto w = philox(
      {static_cast<uint32_t>(part), static_cast<uint32_t>(part >> 32), static_cast<uint32_t>(Purpose::kDerive), 0},
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return uint64_t{w[1]} << 32 | w[0];
}

uint64_t Random::next() noexcept {
  if (left_ == 0) {
    const auto w = philox(
        {static_cast<uint32_t>(block_), static_cast<uint32_t>(block_ >> 32), static_cast<uint32_t>(purpose_), 0}, key_);
    ++block_;
    words_[1] = uint64_t{w[1]} << 32 | w[0];
    words_[0] = uint64_t{w[3]} << 32 | w[2];
    left_ = 2;
  }
  return words_[--left_];
}

double Random::uniform() noexcept { return (static_cast<double>(next() >> 12) + 0.5) * 0x1p-52; }

// D. Lemire, "Fast random integer generation in an interval", ACM TOMACS 29 (2019).
uint64_t Random::below(uint64_t bound) noexcept {
  unsigned __int128 m = static_cast<unsigned __int128>(next()) * bound;
  if (static_cast<uint64_t>(m) < bound) {
    const uint64_t threshold = (0 - bound) % bound;
    while (static_cast<uint64_t>(m) < threshold) m = static_cast<unsigned __int128>(next()) * bound;
  }
  return static_cast<uint64_t>(m >> 64);
}

namespace {

// ln k! - (Stirling's formula without its correction).
double stirling_tail(double k) noexcept {
  static const double table[] = {0.0810614667953272,  0.0413406959554092, 0.0276779256849983, 0.02079067210376509,
                                 0.0166446911898211,  0.0138761288230707, 0.0118967099458917, 0.0104112652619720,
                                 0.00925546218271273, 0.00833056343336287};
  if (k <= 9) return table[static_cast<int>(k)];
  const double square = (k + 1) * (k + 1);
  return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1);
}

// Counts the failures' geometric gaps: cheap while n p is small.
uint64_t binomial_by_gaps(Random& random, uint64_t n, double p) noexcept {
  const double scale = 1.0 / std::log1p(-p);
  uint64_t successes = 0;
  double at = 0.0;
  for (;;) {
    at += std::floor(std::log(random.uniform()) * scale) + 1.0;
    if (!(at <= static_cast<double>(n))) return successes;
    ++successes;
  }
}

// Algorithm BTRS of W. Hormann, "The generation of binomial random variates", J. Stat. Comput. Simul. 46 (1993);
// for p <= 1/2 and n p >= 10.
uint64_t binomial_by_rejection(Random& random, uint64_t trials, double p) noexcept {
  const double n = static_cast<double>(trials), spq = std::sqrt(n * p * (1 - p)), b = 1.15 + 2.53 * spq;
  const double a = -0.0873 + 0.0248 * b + 0.01 * p, c = n * p + 0.5, v_r = 0.92 - 4.2 / b;
  const double r = p / (1 - p), alpha = (2.83 + 5.1 / b) * spq, m = std::floor((n + 1) * p);
  for (;;) {
    const double u = random.uniform() - 0.5;
    double v = random.uniform();
    const double us = 0.5 - std::fabs(u), k = std::floor((2 * a / us + b) * u + c);
    if (us >= 0.07 && v <= v_r) return static_cast<uint64_t>(k);
    if (k < 0 || k > n) continue;
    v = std::log(v * alpha / (a / (us * us) + b));
    const double bound = (m + 0.5) * std::log((m + 1) / (r * (n - m + 1))) +
                         (n + 1) * std::log((n - m + 1) / (n - k + 1)) +
                         (k + 0.5) * std::log(r * (n - k + 1) / (k + 1)) + stirling_tail(m) + stirling_tail(n - m) -
                         stirling_tail(k) - stirling_tail(n - k);
    if (v <= bound) return static_cast<uint64_t>(k);
  }
}

}  // namespace

uint64_t Random::binomial(uint64_t n, double p) noexcept {
  // To a grid, so that rounding in what p was summed from (other machine levels, other numbers of ranks) changes
  // nothing where p is 1/2 or another round number.
  p = std::nearbyint(p * 0x1p44) * 0x1p-44;
  if (n == 0 || !(p > 0.0)) return 0;
  if (p >= 1.0) return n;
  if (p > 0.5) return n - binomial(n, 1.0 - p);
  if (static_cast<double>(n) * p < 10.0) return binomial_by_gaps(*this, n, p);
  return binomial_by_rejection(*this, n, p);
}

}  // namespace qfw::simenv
