// Pauli sums as bit masks, grouped by what they flip.
#pragma once

#include <cstdint>
#include <span>
#include <tuple>
#include <vector>

#include "program/native/observable.h"
#include "simenv/native/layout.h"

namespace qfw::simenv {

// A Pauli string maps |j> to i^(number of Y) (-1)^popcount(j & z) |j ^ x>. Its mean is
//   sum over j of conj(a[j ^ x]) a[j] (-1)^popcount(j & z) i^y,
// which is real: with y even the real parts count, with y odd the imaginary ones.
struct Term {
  uint64_t x = 0, z = 0;
  bool imaginary = false;
  double weight = 0.0;  // coefficient with the sign of i^y, or of i^(y+1) for the imaginary parts

  auto group() const { return std::make_tuple(x, imaginary); }
};

struct Terms {
  double identity = 0.0;     // the coefficient of the identity
  std::vector<Term> sorted;  // the others; those of one group stand together

  // Masks of positions in `layout`.
  explicit Terms(const program::PauliSum& sum, const Layout& layout = {});
};

// Calls body(terms) for each group of a sorted range.
template <class Body>
void for_groups(std::span<const Term> terms, const Body& body) {
  for (size_t i = 0; i < terms.size();) {
    size_t j = i + 1;
    while (j < terms.size() && terms[j].group() == terms[i].group()) ++j;
    body(terms.subspan(i, j - i));
    i = j;
  }
}

constexpr unsigned kTileBits = 10;  // tiles of amplitudes that sums are made in
constexpr size_t kFewTerms = 4;     // above this many terms with one X mask, one transform gives them all

}  // namespace qfw::simenv
