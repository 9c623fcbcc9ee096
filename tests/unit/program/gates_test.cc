#include "program/native/gates.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "program/native/decode.h"
#include "program/native/error.h"

namespace qfw::program {
namespace {

const std::vector<double> kParams = {0.3, -1.1, 2.7, 0.9};

std::vector<Complex> matrix_of(const Gate& row) { return full_matrix(row, std::span(kParams).first(row.params)); }

TEST(Gates, RowsAreOrderedNamedOnceAndFound) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < gates().size(); ++i) {
    const Gate& row = gates()[i];
    EXPECT_EQ(static_cast<size_t>(row.id), i);
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(find_gate(row.name), &row);
    EXPECT_EQ(&gate(row.id), &row);
    EXPECT_FALSE(row.help.empty());
  }
  EXPECT_EQ(find_gate("nope"), nullptr);
}

TEST(Gates, UnknownNamesTheNearest) {
  try {
    gate("rzzz");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnknownGate);
    EXPECT_NE(std::string(error.what()).find("'rzz'"), std::string::npos) << error.what();
  }
  EXPECT_THROW(gate(std::string(100000, 'x')), Error);
}

TEST(Gates, MatricesAreUnitaryAndFlagsAreTrue) {
  for (const Gate& row : gates()) {
    const auto m = matrix_of(row);
    const size_t dim = size_t{1} << row.qubits;
    ASSERT_TRUE(is_unitary(m, dim)) << row.name;
    bool diagonal = true;
    bool permutation = true;
    for (size_t i = 0; i < dim; ++i) {
      size_t entries = 0;
      for (size_t j = 0; j < dim; ++j) {
        const bool zero = std::abs(m[i * dim + j]) < 1e-12;
        entries += !zero;
        diagonal &= zero || i == j;
      }
      permutation &= entries == 1;
    }
    EXPECT_EQ(diagonal, (row.flags & kDiagonal) != 0) << row.name;
    EXPECT_EQ(permutation, (row.flags & kPermutation) != 0) << row.name;
  }
}

TEST(Gates, InversesUndo) {
  for (const Gate& row : gates()) {
    std::vector<Angle> angles;
    for (size_t i = 0; i < row.params; ++i) angles.push_back({kParams[i], 0.0, kNoParameter});
    const Gate& inverse = gate(invert(row, angles));
    ASSERT_EQ(inverse.params, row.params);
    std::vector<double> params;
    for (const Angle& a : angles) params.push_back(a.offset);
    const auto a = matrix_of(row);
    const auto b = full_matrix(inverse, params);
    const size_t dim = size_t{1} << row.qubits;
    for (size_t i = 0; i < dim; ++i) {
      for (size_t j = 0; j < dim; ++j) {
        EXPECT_LT(std::abs(b[i * dim + j] - std::conj(a[j * dim + i])), 1e-12) << row.name;
      }
    }
    EXPECT_EQ(row.inverse == row.id && params.empty(), (row.flags & kSelfInverse) != 0) << row.name;
  }
}

TEST(Gates, ControlsComeFromTheBase) {
  for (const Gate& row : gates()) {
    const Gate& base = gate(row.base);
    if (row.controls == 0 || base.id == row.id) continue;
    EXPECT_EQ(matrix_of(row), full_matrix(base, std::span(kParams).first(base.params), row.controls)) << row.name;
    EXPECT_EQ(base.matrix, row.matrix);
    EXPECT_EQ(base.qubits + row.controls, row.qubits);
  }
}

TEST(Gates, FullMatrixHasALimit) {
  EXPECT_THROW(full_matrix(gate("x"), {}, 10), Error);
  EXPECT_THROW(full_matrix(gate("x"), {}, 0xffffffff), Error);
  EXPECT_THROW(full_matrix(gate("rx"), {}), Error);
  EXPECT_EQ(full_matrix(gate("x"), {}, 9).size(), size_t{1} << 20);
}

TEST(Validate, Utf8) {
  for (const std::string_view good :
       {"", "theta", "\u03b8", "\u20ac", "\U0001f600", "\U0010ffff", "\ud7ff", "\ue000"}) {
    EXPECT_TRUE(valid_utf8(good)) << good;
  }
  for (const std::string_view bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                                     "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "a\xe2\x82", "\xff"}) {
    EXPECT_FALSE(valid_utf8(bad)) << testing::PrintToString(bad);
  }
  EXPECT_FALSE(valid_utf8(std::string_view("\0", 1)));
}

TEST(Error, NamesCoverTheEnumeration) {
  std::set<std::string> names;
  for (int code = 0; code <= 19; ++code) names.insert(error_name(static_cast<ErrorCode>(code)));
  EXPECT_EQ(names.size(), 20u);
  EXPECT_STREQ(error_name(ErrorCode{20}), "unknown");
}

}  // namespace
}  // namespace qfw::program
