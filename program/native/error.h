// The one error type of the native code. Numbers are those of qpm/api/v1/errors.proto; a test compares
// proto, C (qpi/errno.h), C++ and Python (qfw.program.errors).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace qfw {

enum class ErrorCode : int32_t {
  kOk = 0,
  kInvalidArgument = 1,  // a value outside what is allowed
  kInvalidProgram = 2,   // program bytes that do not decode or do not validate
  kParse = 3,            // program text that does not parse
  kUnknownGate = 4,
  kUnsupported = 5,        // valid, but this device or build cannot do it
  kNotFound = 6,           // no such device, stream, task, program
  kResourceExhausted = 7,  // memory, queue, credit: says needed and available
  kLimitExceeded = 8,      // above a configured limit (qubits, shots, rows, message size)
  kDeadlineExceeded = 9,   // the task's own deadline passed
  kCancelled = 10,
  kDevice = 11,          // the device refused or failed, in its own words
  kDeviceLost = 12,      // the device's process or instance died
  kConnectionLost = 13,  // the daemon went away
  kUnavailable = 14,     // no daemon, or not ready
  kPermissionDenied = 15,
  kProtocol = 16,  // a peer broke the wire contract
  kInternal = 17,  // a defect of ours
  kTimeout = 18,   // a wait of the caller ran out; the work goes on
  kClosed = 19,    // used after close
};

// Lower-case words, e.g. "invalid_argument"; "unknown" outside the enumeration.
const char* error_name(ErrorCode code) noexcept;

// Thrown by every room. `what()` says the value found, the value allowed and the cause.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, bool transient = false, double retry_after_s = 0.0)
      : std::runtime_error(message), code_(code), transient_(transient), retry_after_s_(retry_after_s) {}

  ErrorCode code() const noexcept { return code_; }
  bool transient() const noexcept { return transient_; }            // can trying again help?
  double retry_after_s() const noexcept { return retry_after_s_; }  // seconds, 0 when unknown

 private:
  ErrorCode code_;
  bool transient_;
  double retry_after_s_;
};

}  // namespace qfw
