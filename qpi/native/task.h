// A task as an application hands it in: what the runtime gets, plus what was spent on it before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "qpm/api/native/task.h"

namespace qfw::qpi {

struct Task {
  qpm::Task task;           // id and stream are filled at submission
  uint64_t convert_ns = 0;  // the application's object to a Program
  uint64_t tools_ns = 0;    // tool pipeline, on the way in
  uint32_t place = 0;       // of a stream on all devices of a mesh: the number of its device among them
};

// Rows the runtime takes in one task; a device's own limit may be lower.
constexpr uint32_t kMaxRows = 1u << 24;

// Everything that can be seen wrong without a device: no program, a bindings matrix of the wrong shape or with a value
// that is not finite, unknown outputs, zero shots for counts or memory, qubits or observables outside the program.
// Throws kInvalidArgument with the value and what is allowed.
void check(const qpm::Task& task);

// For a stream on `devices` devices at once: all tasks for the first of them, then all for the second ... One device:
// as they are. Does nothing when they are placed already.
void place_on_each(std::vector<Task>& tasks, size_t devices);

}  // namespace qfw::qpi
