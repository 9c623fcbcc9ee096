// What can be said of a program without running it: which cheaper ways of simulating it are exact.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "program/native/program.h"

namespace qfw::program {

// What keeps the program, with these values of its parameters, from being Clifford: the first such instruction in words
// ("gate 't' on qubit 3"). Nothing: Clifford gates, measurements, resets and barriers alone. A gate is Clifford when it
// takes Pauli matrices to signed Pauli matrices to 1e-12, which is an angle's own rounding.
std::optional<std::string> not_clifford(const Program& program, std::span<const double> row);
bool is_clifford(const Program& program, std::span<const double> row);

// An upper bound of log2 of the bond dimension of a matrix product state in the order of the qubits, at any time of the
// run: for each cut the product of the operator Schmidt ranks of the gates across it, and not above the dimension of
// its smaller side. Nothing where a gate acts on other than one qubit or two neighbours (it would be swapped together,
// which no such bound holds for), and for a dynamic program.
std::optional<uint32_t> bond_bound_log2(const Program& program);

}  // namespace qfw::program
