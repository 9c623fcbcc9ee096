// Draws shots from a final state in one pass over it.
#pragma once

#include <cstdint>
#include <span>

#include "simenv/native/plan.h"
#include "simenv/native/rng.h"
#include "simenv/native/state.h"
#include "simenv/native/tally.h"

namespace qfw::simenv {

// Draws `shots` and adds them to the tally: `key` (tally.words() words) with the final bits put in. Of a state that
// ranks share: the same shots as of a whole one, on rank 0; whether this is where they are.
bool sample(State& state, std::span<const FinalBit> bits, uint64_t shots, uint64_t seed, const uint64_t* key,
            Tally& tally, const Stop& stop);

}  // namespace qfw::simenv
