// How much memory this process may still take.
#pragma once

#include <cstdint>

namespace qfw::simenv {

// The least of: what the machine has free, what the control groups (v1 and v2) of this process leave, RLIMIT_AS.
uint64_t memory_available() noexcept;

}  // namespace qfw::simenv
