#include "qpi/native/task.h"

#include <cmath>
#include <string>

namespace qfw::qpi {
namespace {

[[noreturn]] void invalid(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

void check_bindings(const qpm::Task& task) {
  const auto& b = task.bindings;
  const uint32_t wanted = task.program->num_parameters();
  if (b.rows == 0) invalid("bindings have 0 rows; a task needs at least 1");
  if (b.rows > kMaxRows)
    throw Error(ErrorCode::kLimitExceeded, "bindings have " + std::to_string(b.rows) + " rows; at most " +
                                               std::to_string(kMaxRows) + " are allowed");
  if (b.columns != wanted)
    invalid("bindings have " + std::to_string(b.columns) + " columns; the program has " + std::to_string(wanted) +
            " parameters");
  if (b.values.size() != size_t{b.rows} * b.columns)
    invalid("bindings hold " + std::to_string(b.values.size()) + " values; " + std::to_string(b.rows) + " rows x " +
            std::to_string(b.columns) + " columns need " + std::to_string(size_t{b.rows} * b.columns));
  for (size_t i = 0; i < b.values.size(); ++i)
    if (!std::isfinite(b.values[i]))
      invalid("bindings[" + std::to_string(i / b.columns) + "][" + std::to_string(i % b.columns) + "] is " +
              std::to_string(b.values[i]) + "; values must be finite");
}

void check_outputs(const qpm::Task& task) {
  if (task.outputs == 0) invalid("no outputs wanted; choose at least one of " + qpm::output_names());
  if (task.outputs & ~qpm::kAllOutputs)
    invalid("outputs " + std::to_string(task.outputs) + " has unknown bits; known are those of " +
            std::to_string(qpm::kAllOutputs));
  const bool sampled = task.outputs & (qpm::kCounts | qpm::kMemory);
  if (sampled && task.shots == 0) invalid("shots is 0; counts and memory need at least 1");
  if (sampled && task.program->num_bits() == 0)
    invalid("counts or memory wanted of a program with 0 classical bits; it measures nothing");
  const bool expects = task.outputs & (qpm::kExpectations | qpm::kGradients);
  if (expects && task.observables.empty()) invalid("expectations or gradients wanted but no observables given");
  if (!expects && !task.observables.empty())
    invalid("observables given but neither expectations nor gradients are among the outputs");
}

void check_qubits(const qpm::Task& task) {
  const uint32_t n = task.program->num_qubits();
  const auto& qubits = task.probability_qubits;
  for (size_t i = 0; i < qubits.size(); ++i) {
    if (qubits[i] >= n)
      invalid("qubits[" + std::to_string(i) + "] is " + std::to_string(qubits[i]) + "; the program has " +
              std::to_string(n) + " qubits");
    for (size_t j = 0; j < i; ++j)
      if (qubits[j] == qubits[i]) invalid("qubit " + std::to_string(qubits[i]) + " is named twice in qubits");
  }
  for (const auto& observable : task.observables) observable.validate(n);
}

void check_gradients(const qpm::Task& task) {
  const auto& wanted = task.gradient_parameters;
  if (wanted.empty()) return;
  if (!(task.outputs & qpm::kGradients)) invalid("gradient_parameters given but gradients are not among the outputs");
  std::vector<bool> seen(task.program->num_parameters(), false);
  for (uint32_t p : wanted) {
    if (p >= seen.size())
      invalid("gradient parameter " + std::to_string(p) + "; the program has " + std::to_string(seen.size()) +
              " parameters");
    if (seen[p]) invalid("gradient parameter " + std::to_string(p) + " is named twice");
    seen[p] = true;
  }
}

}  // namespace

void check(const qpm::Task& task) {
  if (!task.program) invalid("the task has no program");
  check_bindings(task);
  check_outputs(task);
  check_qubits(task);
  check_gradients(task);
}

void place_on_each(std::vector<Task>& tasks, size_t devices) {
  if (devices < 2 || tasks.empty() || tasks.back().place > 0) return;
  const size_t each = tasks.size();
  tasks.reserve(each * devices);
  for (uint32_t place = 1; place < devices; ++place) {
    for (size_t i = 0; i < each; ++i) {
      tasks.push_back(tasks[i]);
      tasks.back().place = place;
    }
  }
}

}  // namespace qfw::qpi
