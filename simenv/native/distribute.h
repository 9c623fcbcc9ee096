// Plans for a state that ranks share: stages, in each of which every operation acts within a slice. Controls and phases
// on rank bits need nobody else; between stages, qubits of the slice change places with rank bits, all at once.
#pragma once

#include "simenv/native/layout.h"
#include "simenv/native/plan.h"

namespace qfw::simenv {

// `fused` has one segment and no windows. The result is one for a slice: its qubits are positions of the layout `from`
// that it begins with, chosen freely where `from` is null. Swaps without controls become changes of names.
// The same on every rank.
Plan distribute(const Plan& fused, unsigned rank_bits, const Layout* from, unsigned block_bits = 0);

// Swaps within the slice that bring the qubits that are `now` there to where they are `wanted`, as a plan; the rank
// bits of both agree.
Plan permute(const Layout& now, const Layout& wanted, unsigned local_bits);

// Whether slices of a program of so many qubits are wide enough for any operation.
unsigned most_rank_bits(unsigned qubits) noexcept;

}  // namespace qfw::simenv
