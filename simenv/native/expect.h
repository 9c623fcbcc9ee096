// Pauli sums of a state: their expectation values, and what they make of it. Probabilities.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "program/native/observable.h"
#include "simenv/native/state.h"

namespace qfw::simenv {

// Of a state that ranks share: the same on all.
double expectation(const State& state, const program::PauliSum& sum, const Stop& stop);

// to = sum |from>, with what the sum holds of the identity.
void apply_sum(const program::PauliSum& sum, const State& from, State& to, const Stop& stop);

// 2^k probabilities of `qubits`, the first one least significant; all qubits in order when empty. Of a state that ranks
// share: on rank 0.
std::vector<double> probabilities(State& state, std::span<const uint32_t> qubits, const Stop& stop);

}  // namespace qfw::simenv
