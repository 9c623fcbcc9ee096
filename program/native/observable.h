// Pauli sums: what expectation values are taken of.
#pragma once

#include <cstdint>
#include <vector>

namespace qfw::program {

enum class Pauli : uint8_t { kX = 1, kY = 2, kZ = 3 };

struct PauliFactor {
  uint32_t qubit = 0;
  Pauli pauli = Pauli::kZ;
};

struct PauliTerm {  // coefficient * product of factors; no factor is the identity; a qubit at most once
  double coefficient = 1.0;
  std::vector<PauliFactor> factors;
};

struct PauliSum {
  std::vector<PauliTerm> terms;

  void validate(
      uint32_t num_qubits) const;  // throws kInvalidArgument: qubit index, repeated qubit, non-finite coefficient
};

}  // namespace qfw::program
