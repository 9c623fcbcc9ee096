// Exact numbers of a final state: expectation values of Pauli sums, and probabilities.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "program/native/observable.h"
#include "simenv/native/state.h"

namespace qfw::simenv {

double expectation(const State& state, const program::PauliSum& sum, const Stop& stop);

// 2^k probabilities of `qubits`, the first one least significant; all qubits in order when empty.
std::vector<double> probabilities(const State& state, std::span<const uint32_t> qubits, const Stop& stop);

}  // namespace qfw::simenv
