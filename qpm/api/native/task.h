// A Task: a Program, a matrix of bindings, and what is wanted of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "program/native/observable.h"
#include "program/native/program.h"

namespace qfw::qpm {

using TaskId = uint64_t;    // chosen by the client, unique in its session
using StreamId = uint32_t;  // chosen by the client, unique in its session

enum Output : uint32_t {
  kCounts = 1u << 0,
  kMemory = 1u << 1,
  kProbabilities = 1u << 2,
  kStatevector = 1u << 3,
  kExpectations = 1u << 4,
  kGradients = 1u << 5,  // of the expectation values, with respect to the program's parameters
};

constexpr std::pair<Output, const char*> kOutputNames[] = {{kCounts, "counts"},
                                                           {kMemory, "memory"},
                                                           {kProbabilities, "probabilities"},
                                                           {kStatevector, "statevector"},
                                                           {kExpectations, "expectations"},
                                                           {kGradients, "gradients"}};
constexpr uint32_t kAllOutputs = 2 * kGradients - 1;

inline std::string output_names() {  // "counts, memory, ..."
  std::string names;
  for (auto [bit, name] : kOutputNames) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

struct Bindings {  // row-major matrix rows x columns, columns == program.num_parameters()
  uint32_t rows = 1;
  uint32_t columns = 0;
  std::vector<double> values;

  std::span<const double> row(uint32_t i) const {
    return std::span<const double>(values).subspan(size_t{i} * columns, columns);
  }
};

struct Task {
  TaskId id = 0;
  StreamId stream = 0;
  program::ProgramPtr program;
  Bindings bindings;
  uint64_t shots = 0;
  uint32_t outputs = kCounts;
  std::vector<uint32_t> probability_qubits;
  std::vector<program::PauliSum> observables;
  std::vector<uint32_t> gradient_parameters;  // kGradients: columns of the Jacobian; empty: all parameters
  std::optional<uint64_t> seed;               // absent: the runtime draws one and reports it
  uint64_t deadline_ns = 0;                   // from its arrival in the runtime; 0: none
  int32_t priority = 0;
  uint64_t first_row = 0;  // of a part of a task: the number that its first row has in the whole. Rows' seeds are
                           // derived from (seed, first_row + i), so that parts give the bits of the whole
  uint32_t ranks = 0;      // that simulate it together; 0: the device chooses
  std::map<std::string, std::string> options;  // the device's own; unknown ones are refused
};

inline uint32_t gradient_columns(const Task& task) {
  return task.gradient_parameters.empty() ? task.program->num_parameters()
                                          : static_cast<uint32_t>(task.gradient_parameters.size());
}

}  // namespace qfw::qpm
