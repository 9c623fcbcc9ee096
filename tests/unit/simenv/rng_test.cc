#include "simenv/native/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "simenv/native/simulator.h"

namespace qfw::simenv {
namespace {

using Words = std::array<uint32_t, 4>;

TEST(Rng, PhiloxKnownAnswers) {  // Random123's kat_vectors, philox4x32 with 10 rounds
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, StreamsOfOneKeyDiffer) {
  Random shots(7, Purpose::kShots), order(7, Purpose::kOrder), again(7, Purpose::kShots);
  std::set<uint64_t> seen;
  for (int i = 0; i < 100; ++i) {
    const uint64_t x = shots.next();
    EXPECT_EQ(x, again.next());
    seen.insert(x);
    seen.insert(order.next());
  }
  EXPECT_EQ(seen.size(), 200u);
}

TEST(Rng, DerivedSeedsDoNotAddUp) {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 50; ++seed)
    for (uint64_t part = 0; part < 50; ++part) seen.insert(derive_seed(seed, part));
  EXPECT_EQ(seen.size(), 2500u);
}

TEST(Rng, BelowIsInRangeAndEven) {
  Random random(3, Purpose::kOrder);
  std::vector<int> bins(7, 0);
  for (int i = 0; i < 70000; ++i) ++bins.at(random.below(7));
  double chi2 = 0;
  for (int b : bins) chi2 += (b - 10000.0) * (b - 10000.0) / 10000.0;
  EXPECT_LT(chi2, 22.5);  // 6 degrees of freedom, p = 0.001
}

TEST(Rng, BinomialEdges) {
  Random random(1, Purpose::kBranch);
  EXPECT_EQ(random.binomial(0, 0.5), 0u);
  EXPECT_EQ(random.binomial(100, 0.0), 0u);
  EXPECT_EQ(random.binomial(100, -1e-17), 0u);
  EXPECT_EQ(random.binomial(100, 1.0), 100u);
  EXPECT_EQ(random.binomial(100, std::nan("")), 0u);
  EXPECT_LE(random.binomial(10'000'000, 1e-300), 1u);
}

// Mean and variance of both algorithms, and, for small n, the whole distribution.
TEST(Rng, BinomialMoments) {
  Random random(2, Purpose::kBranch);
  struct Case {
    uint64_t n;
    double p;
  };
  for (const auto& [n, p] : {Case{5, 0.3}, {40, 0.05}, {40, 0.9}, {25, 0.5}, {1000, 0.4}, {10'000'000, 0.0007}}) {
    constexpr int kDraws = 40000;
    double sum = 0, squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double x = static_cast<double>(random.binomial(n, p));
      ASSERT_LE(x, static_cast<double>(n));
      sum += x;
      squares += x * x;
    }
    const double mean = static_cast<double>(n) * p, variance = mean * (1 - p);
    const double found = sum / kDraws, spread = squares / kDraws - found * found;
    EXPECT_NEAR(found, mean, 5 * std::sqrt(variance / kDraws)) << n << " " << p;
    EXPECT_NEAR(spread / variance, 1.0, 5 * std::sqrt(2.5 / kDraws)) << n << " " << p;
  }
}

TEST(Rng, BinomialDistribution) {
  Random random(4, Purpose::kBranch);
  for (const auto& [n, p] : {std::pair<int, double>{6, 0.35}, {30, 0.45}}) {  // by gaps, by rejection
    constexpr int kDraws = 60000;
    std::vector<int> bins(static_cast<size_t>(n) + 1, 0);
    for (int i = 0; i < kDraws; ++i) ++bins.at(random.binomial(static_cast<uint64_t>(n), p));
    double chi2 = 0;
    int cells = 0;
    for (int k = 0; k <= n; ++k) {
      const double expected = kDraws * std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) +
                                                k * std::log(p) + (n - k) * std::log1p(-p));
      if (expected < 5) continue;
      chi2 += (bins[k] - expected) * (bins[k] - expected) / expected;
      ++cells;
    }
    EXPECT_LT(chi2, cells + 4 * std::sqrt(2.0 * cells));
  }
}

}  // namespace
}  // namespace qfw::simenv
