// method="auto": which way of simulating a task is exact and the cheapest, among the devices that are there. A pure
// function. It never takes a way that approximates.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "qpm/api/native/device_info.h"
#include "qpm/api/native/result.h"
#include "qpm/api/native/task.h"

namespace qfw::qpm {

struct Offers {
  const DeviceInfo* dense = nullptr;      // the state-vector simulator that was asked
  double dense_ns = 0;                    // its estimate
  Failure refusal;                        // why it cannot run the task at all: too many qubits, too little memory
  std::vector<const DeviceInfo*> others;  // devices of this runtime that take tasks
};

struct Choice {
  DeviceId device = 0;
  std::string method;  // "statevector", "stabilizer", "matrix_product_state"
  std::string reason;
  std::map<std::string, std::string> options;  // for that device
  Failure refusal;                             // no exact way is there
};

// Whether a task of these options asks for it.
bool wants_auto(const Task& task);

Choice choose_method(const Task& task, const Offers& offers);

}  // namespace qfw::qpm
