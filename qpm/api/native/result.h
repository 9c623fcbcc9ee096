// What comes back of a Task.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "program/native/error.h"
#include "program/native/gates.h"
#include "qpm/api/native/task.h"

namespace qfw::qpm {

// Nanoseconds. The seven parts add up to the wall time between the caller's submit and its completion.
struct Timing {
  uint64_t convert_ns = 0;   // user's object to Program (front end)
  uint64_t tools_ns = 0;     // tool pipeline, both ways
  uint64_t transfer_ns = 0;  // client to runtime
  uint64_t queue_ns = 0;     // waiting for a device
  uint64_t dispatch_ns = 0;  // runtime bookkeeping, hand-over to the device and back
  uint64_t execute_ns = 0;   // on the device
  uint64_t return_ns = 0;    // runtime to the caller's queue

  uint64_t total_ns() const noexcept {
    return convert_ns + tools_ns + transfer_ns + queue_ns + dispatch_ns + execute_ns + return_ns;
  }
};

struct Failure {  // code == kOk: none
  ErrorCode code = ErrorCode::kOk;
  std::string message;
  bool transient = false;
  double retry_after_s = 0.0;

  explicit operator bool() const noexcept { return code != ErrorCode::kOk; }
  static Failure of(const Error& e) { return {e.code(), e.what(), e.transient(), e.retry_after_s()}; }
  [[noreturn]] void raise() const { throw Error(code, message, transient, retry_after_s); }
};

// One row of bindings. Packed bits: bit i of a shot is bit (i % 8) of byte (i / 8), (num_bits + 7) / 8 bytes a shot.
struct RowResult {
  std::vector<uint8_t> memory;
  std::vector<uint8_t> count_keys;
  std::vector<uint64_t> counts;
  std::vector<double> probabilities;
  std::vector<program::Complex> statevector;
  std::vector<double> expectations;
  std::vector<double> gradients;  // observables x Result::gradient_columns, row-major
  Failure failure;                // of this row alone
};

struct Result {
  Failure failure;  // of the whole task; the rows are then empty, or say which of them failed
  std::vector<RowResult> rows;
  uint64_t shots = 0;
  uint32_t num_bits = 0;
  uint32_t gradient_columns = 0;  // of RowResult::gradients; 0: none asked for
  uint64_t seed = 0;              // the one used
  std::string device;             // name of the device that ran it
  std::string device_version;
  std::string calibration_set;
  std::string method;         // how it was simulated, where the device has several: "statevector", "stabilizer", ...
  std::string method_reason;  // why that one was chosen
  Timing timing;
};

struct Completion {
  TaskId task = 0;
  StreamId stream = 0;
  Result result;
  uint64_t arrived_ns = 0;  // when the task arrived, by the runtime's monotonic clock; 0: it never did
};

}  // namespace qfw::qpm
