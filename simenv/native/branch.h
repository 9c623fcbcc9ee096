// Programs with measurement or reset in the middle: each outcome is followed once, with its share of the shots.
#pragma once

#include "simenv/native/plan.h"
#include "simenv/native/simulator.h"
#include "simenv/native/state.h"
#include "simenv/native/tally.h"

namespace qfw::simenv {

// Adds request.shots shots to the tally. Holds at most `max_copies` further states at a time; branches beyond are
// simulated again from the beginning. The result does not depend on it.
void follow_branches(const Plan& plan, const Kernels& kernels, const Request& request, const double* row,
                     ThreadPool* pool, const Stop& stop, size_t max_copies, Tally& tally);

}  // namespace qfw::simenv
