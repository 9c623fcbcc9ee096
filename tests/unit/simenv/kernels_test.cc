// Each kernel at each SIMD level against plain matrices, on every choice of targets and controls of a small state.
#include "simenv/native/kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <string>
#include <tuple>

#include "simenv/native/buffer.h"
#include "simenv/native/plan.h"
#include "tests/unit/simenv/reference.h"

namespace qfw::simenv {
namespace {

constexpr unsigned kBits = 6;

class KernelsTest : public ::testing::TestWithParam<std::tuple<SimdLevel, Precision>> {
 protected:
  KernelsTest() : k_(kernels(std::get<0>(GetParam()), std::get<1>(GetParam()))), engine_(5), data_(size_t{2} << kBits) {
    state_.resize(size_t{1} << kBits);
    fill(state_, data_);
  }

  void fill(std::vector<program::Complex>& state, Buffer& data) {
    for (size_t i = 0; i < state.size(); ++i) {
      state[i] = random();
      put(data, real_index(k_, i), state[i].real());
      put(data, real_index(k_, i) + (size_t{1} << k_.lane_bits), state[i].imag());
    }
  }

  bool single() const { return k_.scalar_bytes == sizeof(float); }
  // What rounding may do to a few terms of size 1: in single precision about 1e-6.
  double tolerance(double in_double) const { return single() ? 1e6 * in_double : in_double; }
  void put(Buffer& data, size_t part, double value) {
    if (single()) {
      reinterpret_cast<float*>(data.data())[part] = static_cast<float>(value);
    } else {
      data.data()[part] = value;
    }
  }

  program::Complex random() {  // exact in single precision too
    std::normal_distribution<float> normal;
    return {normal(engine_), normal(engine_)};
  }
  std::vector<program::Complex> read() const {
    std::vector<program::Complex> out(state_.size());
    k_.interleave(data_.data(), out.size(), reinterpret_cast<double*>(out.data()));
    return out;
  }
  static std::vector<uint32_t> positions(uint64_t mask) {
    std::vector<uint32_t> out;
    for (uint32_t q = 0; q < kBits; ++q)
      if (mask >> q & 1) out.push_back(q);
    return out;
  }
  static const double* doubles(const std::vector<program::Complex>& m) {
    return reinterpret_cast<const double*>(m.data());
  }
  // Masks of controls that leave the targets alone.
  static std::vector<uint64_t> controls_beside(uint64_t targets) {
    std::vector<uint64_t> out;
    for (uint64_t mask = 0; mask < uint64_t{1} << kBits; ++mask)
      if ((mask & targets) == 0 && std::popcount(mask) <= 3) out.push_back(mask);
    return out;
  }
  void expect_agreement(const std::string& what) {
    const auto found = read();
    ASSERT_LT(testing::distance(found, state_), tolerance(1e-9) * norm()) << what;
  }
  double norm() const {
    double most = 1.0;
    for (const auto& v : state_) most = std::max(most, std::abs(v));
    return most;
  }

  const Kernels& k_;
  std::mt19937 engine_;
  Buffer data_;
  std::vector<program::Complex> state_;
};

TEST_P(KernelsTest, TestsTheLevelItNames) {
  EXPECT_EQ(k_.level, std::get<0>(GetParam()));
  EXPECT_EQ(k_.scalar_bytes, std::get<1>(GetParam()) == Precision::kSingle ? 4u : 8u);
}

TEST_P(KernelsTest, OneTarget) {
  for (uint32_t t = 0; t < kBits; ++t)
    for (uint64_t controls : controls_beside(uint64_t{1} << t)) {
      const auto m = testing::one_qubit_matrix(engine_, Shape::kGeneral);
      const auto real = testing::one_qubit_matrix(engine_, Shape::kReal);
      const auto cross = testing::one_qubit_matrix(engine_, Shape::kCross);
      k_.dense1(data_.data(), kBits, t, controls, doubles(m), Shape::kGeneral);
      k_.dense1(data_.data(), kBits, t, controls, doubles(real), Shape::kReal);
      k_.dense1(data_.data(), kBits, t, controls, doubles(cross), Shape::kCross);
      k_.flip(data_.data(), kBits, t, controls);
      for (const auto& matrix : {m, real, cross, {0, 1, 1, 0}})
        testing::apply_dense(state_, positions(controls), {t}, matrix);
      expect_agreement("target " + std::to_string(t) + " controls " + std::to_string(controls));
    }
}

TEST_P(KernelsTest, TwoTargets) {
  for (uint32_t a = 0; a < kBits; ++a)
    for (uint32_t b = 0; b < kBits; ++b) {
      if (a == b) continue;
      for (uint64_t controls : controls_beside(uint64_t{1} << a | uint64_t{1} << b)) {
        const auto m = testing::two_qubit_matrix(engine_);
        k_.dense2(data_.data(), kBits, a, b, controls, doubles(m));
        k_.swap(data_.data(), kBits, a, b, controls);
        testing::apply_dense(state_, positions(controls), {a, b}, m);
        testing::apply_dense(state_, positions(controls), {a, b}, {1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1});
        expect_agreement(std::to_string(a) + ", " + std::to_string(b) + " controls " + std::to_string(controls));
      }
    }
}

TEST_P(KernelsTest, Phase) {
  for (uint64_t mask = 0; mask < uint64_t{1} << kBits; ++mask) {
    const program::Complex factor = std::polar(1.0, static_cast<double>(mask));
    k_.phase(data_.data(), kBits, mask, reinterpret_cast<const double*>(&factor));
    for (size_t i = 0; i < state_.size(); ++i)
      if ((i & mask) == mask) state_[i] *= factor;
    expect_agreement("mask " + std::to_string(mask));
  }
}

TEST_P(KernelsTest, Sums) {
  std::vector<double> found(state_.size());
  k_.norms(data_.data(), 0, state_.size(), found.data());
  for (size_t i = 0; i < state_.size(); ++i) EXPECT_NEAR(found[i], std::norm(state_[i]), tolerance(1e-12));
  for (uint64_t mask = 0; mask < uint64_t{1} << kBits; ++mask) {
    double expected = 0;
    for (size_t i = 0; i < state_.size(); ++i) expected += (i & mask) == mask ? std::norm(state_[i]) : 0.0;
    EXPECT_NEAR(k_.norm(data_.data(), 0, state_.size(), mask), expected, tolerance(1e-10));
    for (bool imaginary : {false, true}) {
      k_.overlaps(data_.data(), data_.data(), 0, state_.size(), mask, imaginary, found.data());
      for (size_t i = 0; i < state_.size(); ++i) {
        const program::Complex w = std::conj(state_[i ^ mask]) * state_[i];
        EXPECT_NEAR(found[i], imaginary ? w.imag() : w.real(), tolerance(1e-12));
      }
    }
  }
}

// Of two states: the one of the fixture on the right, another on the left.
TEST_P(KernelsTest, Transfer) {
  Buffer left_data(size_t{2} << kBits);
  std::vector<program::Complex> left(state_.size());
  fill(left, left_data);
  for (uint32_t a = 0; a < kBits; ++a)
    for (uint32_t b = 0; b < kBits; ++b)  // a == b: one target
      for (uint64_t controls : controls_beside(uint64_t{1} << a | uint64_t{1} << b)) {
        const std::vector<uint32_t> targets = a == b ? std::vector<uint32_t>{a} : std::vector<uint32_t>{a, b};
        const size_t dim = size_t{1} << targets.size();
        std::vector<program::Complex> found(dim * dim, 1.0), expected(dim * dim, 1.0);
        double* out = reinterpret_cast<double*>(found.data());
        if (a == b) k_.transfer1(left_data.data(), data_.data(), kBits, a, controls, out);
        if (a != b) k_.transfer2(left_data.data(), data_.data(), kBits, a, b, controls, out);
        for (size_t j = 0; j < state_.size(); ++j)
          for (size_t to = 0; to < dim && (j & controls) == controls; ++to) {
            size_t row = 0, other = j;
            for (size_t k = 0; k < targets.size(); ++k) {
              row |= (j >> targets[k] & 1) << k;
              other = (other & ~(size_t{1} << targets[k])) | (to >> k & 1) << targets[k];
            }
            expected[row * dim + to] += std::conj(left[j]) * state_[other];
          }
        ASSERT_LT(testing::distance(found, expected), tolerance(1e-10)) << a << " " << b << " controls " << controls;
      }
}

TEST_P(KernelsTest, SumsOfTwoStates) {
  Buffer left_data(size_t{2} << kBits);
  std::vector<program::Complex> left(state_.size());
  fill(left, left_data);
  std::vector<double> found(state_.size()), weights(state_.size());
  k_.crosses(left_data.data(), data_.data(), 0, state_.size(), found.data());
  for (size_t i = 0; i < state_.size(); ++i)
    EXPECT_NEAR(found[i], (std::conj(left[i]) * state_[i]).imag(), tolerance(1e-11));
  for (uint64_t mask = 0; mask < uint64_t{1} << kBits; ++mask) {
    double expected = 0;
    for (size_t i = 0; i < state_.size(); ++i)
      expected += (i & mask) == mask ? (std::conj(left[i]) * state_[i]).imag() : 0.0;
    EXPECT_NEAR(k_.cross_sum(left_data.data(), data_.data(), kBits, mask), expected, tolerance(1e-10));
    for (double& w : weights) w = random().real();
    for (bool imaginary : {false, true}) {
      for (size_t i = 0; i < state_.size(); ++i)
        state_[i] += weights[i] * (imaginary ? program::Complex(0, -1) : 1.0) * left[i ^ mask];
      k_.add_flipped(left_data.data(), 0, state_.size(), mask, imaginary, weights.data(), data_.data());
      expect_agreement("flip " + std::to_string(mask));
    }
  }
}

TEST_P(KernelsTest, Transforms) {
  for (size_t n = size_t{1} << k_.lane_bits; n <= 256; n *= 2) {
    std::vector<double> in(n), walsh(n, 0.0), supersets(n, 0.0);
    for (double& v : in) v = random().real();
    for (size_t z = 0; z < n; ++z)
      for (size_t j = 0; j < n; ++j) {
        walsh[z] += std::popcount(j & z) & 1 ? -in[j] : in[j];
        supersets[z] += (j & z) == z ? in[j] : 0.0;
      }
    std::vector<double> found = in;
    k_.walsh_hadamard(found.data(), n);
    for (size_t z = 0; z < n; ++z) ASSERT_NEAR(found[z], walsh[z], 1e-11) << n << " " << z;
    k_.superset_sums(in.data(), n);
    for (size_t z = 0; z < n; ++z) ASSERT_NEAR(in[z], supersets[z], 1e-11) << n << " " << z;
  }
}

TEST_P(KernelsTest, Layer) {
  constexpr unsigned kWide = 10;
  std::vector<program::Complex> expected(size_t{1} << kWide);
  for (int round = 0; round < 40; ++round) {
    Buffer data(size_t{2} << kWide);
    fill(expected, data);
    PhaseTable table{};
    const auto put = [&](double* to, uint64_t mask) {
      const program::Complex f = std::polar(1.0, random().real());
      to[0] = f.real();
      to[1] = f.imag();
      for (size_t i = 0; i < expected.size(); ++i)
        if ((i & mask) == mask) expected[i] *= f;
    };
    table.one[0] = 1.0;
    if (round % 2 == 1) put(table.one, 0);
    for (unsigned p = 0; p < kWide; ++p)
      for (unsigned q = p; q < kWide; ++q) {
        if (static_cast<int>(engine_() % 40) >= round) continue;
        (p == q ? table.singles : table.partners[p]) |= uint64_t{1} << q;
        put(p == q ? table.single[p] : table.pair[p][q], uint64_t{1} << p | uint64_t{1} << q);
      }
    k_.layer(data.data(), kWide, table);
    std::vector<program::Complex> found(expected.size());
    k_.interleave(data.data(), found.size(), reinterpret_cast<double*>(found.data()));
    ASSERT_LT(testing::distance(found, expected), tolerance(1e-11)) << "round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, KernelsTest,
                         ::testing::Combine(::testing::ValuesIn(testing::all_levels()),
                                            ::testing::Values(Precision::kDouble, Precision::kSingle)),
                         [](const auto& info) {
                           const bool single = std::get<1>(info.param) == Precision::kSingle;
                           return std::string(simd_name(std::get<0>(info.param))) + (single ? "_single" : "");
                         });

}  // namespace
}  // namespace qfw::simenv
