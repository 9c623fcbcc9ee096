// Where the qubits of a state lie that several ranks share: positions below the slice's width are bits of an
// amplitude's index in the slice, those above are bits of the rank's number.
#pragma once

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace qfw::simenv {

struct Layout {
  std::vector<uint8_t> at;  // position of each qubit; empty: each at its own

  unsigned position(unsigned qubit) const noexcept { return at.empty() ? qubit : at[qubit]; }
  uint64_t mask(uint64_t qubits) const noexcept {
    if (at.empty()) return qubits;
    uint64_t out = 0;
    for (; qubits != 0; qubits &= qubits - 1) out |= uint64_t{1} << at[static_cast<size_t>(std::countr_zero(qubits))];
    return out;
  }
  void exchange(unsigned p, unsigned q) noexcept {  // what lies at these positions
    for (uint8_t& position : at)
      if (position == p || position == q) position = static_cast<uint8_t>(position ^ p ^ q);
  }
  friend auto operator<=>(const Layout&, const Layout&) = default;

  static Layout straight(unsigned qubits) {
    Layout out;
    for (unsigned q = 0; q < qubits; ++q) out.at.push_back(static_cast<uint8_t>(q));
    return out;
  }
};

}  // namespace qfw::simenv
