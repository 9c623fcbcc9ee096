// Programs with measurement or reset in the middle, and dynamic ones: each outcome is followed once, with its share of
// the shots or with its probability, and branches that agree again go on as one.
#pragma once

#include <span>
#include <vector>

#include "simenv/native/flow.h"
#include "simenv/native/simulator.h"
#include "simenv/native/state.h"
#include "simenv/native/tally.h"

namespace qfw::simenv {

struct BranchLimits {
  // Branches that wait with a state of their own, to meet others. Beyond, and with 0, branches are followed to their
  // end one after another, which takes at most log2(shots) further states.
  size_t waiting = 256;
  size_t copies =
      64;  // with waiting == 0: those further states; beyond, a branch is simulated again from the beginning
  uint64_t branches = 1u << 16;  // followed for exact values; beyond, kLimitExceeded
};

constexpr double kWaitingBytes = 256.0 * (1 << 20);  // that waiting branches take together

// As the size of a state allows. Results depend on `waiting`, which is the same on every machine, and not on `copies`,
// which follows the `available` bytes.
BranchLimits branch_limits(double state_bytes, double available) noexcept;

// Adds request.shots shots to the tally. Throws what `compute` throws, and kLimitExceeded when a shot takes more than
// request.max_steps instructions.
void follow_shots(const program::Program& program, const Flow& flow, const Kernels& kernels, const Request& request,
                  ThreadPool* pool, const Stop& stop, const BranchLimits& limits, Tally& tally);

// Expectation values and probabilities over all outcomes, exact: each branch counts with its probability. Every
// measurement has happened; those at the end too.
void follow_weights(const program::Program& program, const Flow& flow, const Kernels& kernels, const Request& request,
                    ThreadPool* pool, const Stop& stop, const BranchLimits& limits, Outcome& out);

}  // namespace qfw::simenv
