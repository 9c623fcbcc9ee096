// A device as an application sees it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace qfw::qpm {

using DeviceId = uint32_t;  // within one runtime

enum class DeviceStatus : uint8_t { kOnline = 0, kStarting = 1, kBusy = 2, kDraining = 3, kFault = 4, kOffline = 5 };

struct DeviceInfo {
  DeviceId id = 0;
  std::string name;      // "statevec", "aer"
  std::string provider;  // plugin's name
  std::string description;
  std::string version;
  bool simulator = true;
  DeviceStatus status = DeviceStatus::kOnline;
  std::string status_reason;
  uint32_t max_qubits = 0;
  uint64_t max_shots = 0;
  uint32_t max_rows = 0;
  uint32_t capacity = 1;  // tasks at once
  uint32_t queued = 0;
  uint32_t instances = 1;  // simulators that run for it now, processes or groups of ranks
  uint32_t max_ranks = 1;  // of one task
  uint32_t threads = 0;    // that a rank computes with; 0: not known
  bool split_rows =
      false;  // rows of a task may run apart: each gives the same whatever runs beside it. Not on the wire
  // Names of the gate table, "unitary", "controlled" (further controls on any gate), "measure", "reset"; empty: not
  // checked.
  std::vector<std::string> gates;
  std::vector<std::string> outputs;  // "counts" "memory" "probabilities" "statevector" "expectations"
  std::vector<std::pair<uint32_t, uint32_t>> coupling;  // empty: all to all
  std::map<std::string, std::string> options;           // option name -> help text with its values
};

}  // namespace qfw::qpm
