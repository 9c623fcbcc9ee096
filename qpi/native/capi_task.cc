// C API: tasks read from their attr structs.
#include <cmath>

#include "qpi/native/capi.h"

namespace qfw::qpi::capi {
namespace {

program::PauliTerm term_from(const qpi_pauli_term& given) {
  program::PauliTerm term;
  term.coefficient = given.coefficient;
  const std::string letters = text(given.letters);
  const auto qubits = array(given.qubits, letters.size(), "qpi_pauli_term.qubits");
  for (size_t i = 0; i < letters.size(); ++i) {
    if (letters[i] < 'X' || letters[i] > 'Z')
      throw Error(ErrorCode::kInvalidArgument,
                  "qpi_pauli_term.letters is \"" + letters.substr(0, 64) + "\"; only X, Y and Z are allowed");
    term.factors.push_back({qubits[i], static_cast<program::Pauli>(letters[i] - 'X' + 1)});
  }
  return term;
}

uint64_t deadline_from(double seconds) {
  if (seconds == 0.0) return 0;
  if (!(seconds > 0.0) || seconds > 1e9)
    throw Error(ErrorCode::kInvalidArgument,
                "qpi_task_attr.deadline_s is " + std::to_string(seconds) + "; 0 (none) to 1e9 is allowed");
  return static_cast<uint64_t>(seconds * 1e9);
}

}  // namespace

Task task_from(const qpi_task_attr& attr) {
  Task made;
  qpm::Task& task = made.task;
  if (attr.program) task.program = const_cast<qpi_program*>(attr.program)->program();
  task.bindings.rows = attr.rows;
  task.bindings.columns = attr.columns;
  if (attr.rows > kMaxRows)
    throw Error(ErrorCode::kLimitExceeded, "qpi_task_attr.rows is " + std::to_string(attr.rows) + "; at most " +
                                               std::to_string(kMaxRows) + " are allowed");
  const auto values = array(attr.bindings, size_t{attr.rows} * attr.columns, "qpi_task_attr.bindings");
  task.bindings.values.assign(values.begin(), values.end());
  task.outputs = attr.outputs;
  task.shots = attr.shots;
  if (attr.shots == QPI_DEFAULT_SHOTS) task.shots = attr.outputs & (QPI_COUNTS | QPI_MEMORY) ? 1024 : 0;
  const auto qubits = array(attr.qubits, attr.num_qubits, "qpi_task_attr.qubits");
  task.probability_qubits.assign(qubits.begin(), qubits.end());
  for (const auto& observable : array(attr.observables, attr.num_observables, "qpi_task_attr.observables")) {
    auto& sum = task.observables.emplace_back();
    for (const auto& term : array(observable.terms, observable.num_terms, "qpi_observable.terms"))
      sum.terms.push_back(term_from(term));
  }
  const auto parameters =
      array(attr.gradient_parameters, attr.num_gradient_parameters, "qpi_task_attr.gradient_parameters");
  task.gradient_parameters.assign(parameters.begin(), parameters.end());
  if (attr.seed) task.seed = *attr.seed;
  task.deadline_ns = deadline_from(attr.deadline_s);
  task.priority = attr.priority;
  task.ranks = attr.ranks;
  for (const auto& option : array(attr.options, attr.num_options, "qpi_task_attr.options"))
    task.options[&need(option.name, "qpi_option.name")] = text(option.value);
  return made;
}

std::vector<qpi_task_attr> read_tasks(const qpi_task_attr* tasks, size_t count) {
  std::vector<qpi_task_attr> made;
  made.reserve(count);
  if (count == 0) return made;
  const size_t stride = need(tasks, "tasks").size;
  for (size_t i = 0; i < count; ++i) {
    const auto* at = reinterpret_cast<const qpi_task_attr*>(reinterpret_cast<const char*>(tasks) + i * stride);
    made.push_back(read(at, qpi_task_attr QPI_TASK_ATTR_INIT, "qpi_task_attr"));
  }
  return made;
}

}  // namespace qfw::qpi::capi
