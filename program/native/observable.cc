#include "program/native/observable.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "program/native/error.h"

namespace qfw::program {

void PauliSum::validate(uint32_t num_qubits) const {
  const auto fail = [](size_t term, const std::string& message) {
    throw Error(ErrorCode::kInvalidArgument, "term " + std::to_string(term) + ": " + message);
  };
  std::vector<uint32_t> qubits;
  for (size_t t = 0; t < terms.size(); ++t) {
    const PauliTerm& term = terms[t];
    if (!std::isfinite(term.coefficient)) {
      fail(t, "coefficient " + std::to_string(term.coefficient) + " is not finite");
    }
    qubits.clear();
    for (const PauliFactor& factor : term.factors) {
      if (factor.qubit >= num_qubits) {
        const std::string allowed = num_qubits == 0 ? "an empty program" : "0.." + std::to_string(num_qubits - 1);
        fail(t, "qubit " + std::to_string(factor.qubit) + " is outside " + allowed);
      }
      if (factor.pauli < Pauli::kX || factor.pauli > Pauli::kZ) {
        fail(t, "Pauli " + std::to_string(static_cast<int>(factor.pauli)) + " is not 1 (X), 2 (Y) or 3 (Z)");
      }
      qubits.push_back(factor.qubit);
    }
    std::sort(qubits.begin(), qubits.end());
    const auto twice = std::adjacent_find(qubits.begin(), qubits.end());
    if (twice != qubits.end()) fail(t, "qubit " + std::to_string(*twice) + " is named twice");
  }
}

}  // namespace qfw::program
