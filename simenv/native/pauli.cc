#include "simenv/native/pauli.h"

#include <algorithm>

namespace qfw::simenv {

namespace {

Term term_of(const program::PauliTerm& from, const Layout& layout) {
  Term term;
  unsigned y = 0;
  for (const auto& f : from.factors) {
    const uint64_t bit = uint64_t{1} << layout.position(f.qubit);
    if (f.pauli != program::Pauli::kZ) term.x |= bit;
    if (f.pauli != program::Pauli::kX) term.z |= bit;
    if (f.pauli == program::Pauli::kY) ++y;
  }
  term.imaginary = y % 2 == 1;
  // i^y w: y = 0: w', 2: -w'; 1: i (i w'') = -w'', 3: +w'', w' and w'' the real and imaginary parts.
  term.weight = y % 4 == 0 || y % 4 == 3 ? from.coefficient : -from.coefficient;
  return term;
}

}  // namespace

Terms::Terms(const program::PauliSum& sum, const Layout& layout) {
  sorted.reserve(sum.terms.size());
  for (const auto& t : sum.terms) {
    if (t.factors.empty()) {
      identity += t.coefficient;
    } else {
      sorted.push_back(term_of(t, layout));
    }
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const Term& a, const Term& b) { return std::tuple(a.group(), a.z) < std::tuple(b.group(), b.z); });
}

}  // namespace qfw::simenv
