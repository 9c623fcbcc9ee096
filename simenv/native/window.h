// Windows: groups of operations that need few qubits, so that a block of amplitudes is brought into the cache once for
// all of them.
#pragma once

#include "simenv/native/plan.h"

namespace qfw::simenv {

constexpr unsigned kRunBits = 6;  // the lowest qubits are in every window: blocks are gathered in runs of 1 KiB

// Qubits of a window's block: all of a small state; else what fits the second-level cache.
unsigned default_block_bits(unsigned qubits) noexcept;

// Sorts the operations of each segment into windows of `block_bits` qubits.
void make_windows(Plan& plan, unsigned block_bits);

}  // namespace qfw::simenv
