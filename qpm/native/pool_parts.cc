#include "qpm/native/pool_parts.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace qfw::qpm {
namespace {

constexpr double kPartNs = 20e6;    // of a part, by estimate
constexpr uint32_t kPartsEach = 8;  // at most, per instance
constexpr size_t kRowsNamed = 20;   // in a message

JobPtr part_of(const Job& whole, uint32_t first, uint32_t rows) {
  Task task;
  const Task& from = whole.work;
  task.program = from.program;
  task.bindings.rows = rows;
  task.bindings.columns = from.bindings.columns;
  const auto begin = from.bindings.values.begin() + static_cast<ptrdiff_t>(size_t{first} * from.bindings.columns);
  task.bindings.values.assign(begin, begin + static_cast<ptrdiff_t>(size_t{rows} * from.bindings.columns));
  task.shots = from.shots;
  task.outputs = from.outputs;
  task.probability_qubits = from.probability_qubits;
  task.observables = from.observables;
  task.gradient_parameters = from.gradient_parameters;
  task.options = from.options;
  task.ranks = from.ranks;
  task.first_row = from.first_row + first;
  task.deadline_ns = whole.deadline ? whole.deadline - whole.arrived : 0;
  auto part = std::make_shared<Job>(std::move(task), whole.arrived);
  part->seed = whole.seed;
  part->cost_ns = whole.cost_ns * rows / from.bindings.rows;
  return part;
}

}  // namespace

uint32_t rows_of_part(uint32_t rows, double row_ns, uint32_t instances) noexcept {
  if (instances < 2) return rows;
  const double wanted = std::clamp(row_ns * rows / kPartNs, 1.0, static_cast<double>(instances) * kPartsEach);
  return static_cast<uint32_t>(std::ceil(rows / wanted));
}

Sweep::Sweep(JobPtr whole, uint32_t rows_of_part) : whole_(std::move(whole)) {
  const uint32_t rows = whole_->work.bindings.rows;
  for (uint32_t first = 0; first < rows; first += rows_of_part)
    parts_.push_back(part_of(*whole_, first, std::min(rows_of_part, rows - first)));
  left_ = parts_.size();
  result_.rows.resize(rows);
}

bool Sweep::returned(const JobPtr& part, Result&& result, bool& stop) {
  const uint64_t began = part->began, before = whole_->began;
  if (began && (!before || began < before)) whole_->began = began;
  whole_->ended = std::max(whole_->ended.load(), part->ended.load());
  auto first = part->work.first_row - whole_->work.first_row;
  const bool rowwise = result.rows.size() == part->work.bindings.rows;
  const bool named = std::any_of(result.rows.begin(), result.rows.end(), [](const auto& r) { return r.failure; });
  if (result.failure && !(rowwise && named)) {
    if (!failed_) failed_ = result.failure;
    stop = true;
  } else {
    for (auto& row : result.rows) result_.rows[first++] = std::move(row);
  }
  if (result_.device.empty()) {
    result_.device = std::move(result.device);
    result_.device_version = std::move(result.device_version);
    result_.calibration_set = std::move(result.calibration_set);
    result_.method = std::move(result.method);
    result_.method_reason = std::move(result.method_reason);
  }
  return --left_ == 0;
}

Result Sweep::result() {
  if (failed_) {
    result_.rows.clear();
    result_.failure = failed_;
  } else {
    result_.failure = failure_of_rows(result_.rows);
  }
  return std::move(result_);
}

Failure failure_of_rows(const std::vector<RowResult>& rows) {
  std::string names;
  size_t failed = 0;
  const Failure* first = nullptr;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].failure) continue;
    if (!first) first = &rows[i].failure;
    if (++failed <= kRowsNamed) names += (names.empty() ? "" : ", ") + std::to_string(i);
  }
  if (!first) return {};
  if (failed > kRowsNamed) names += ", ...";
  Failure f = *first;
  if (rows.size() > 1)
    f.message = "rows " + names + " failed (" + std::to_string(failed) + " of " + std::to_string(rows.size()) +
                "): " + first->message;
  return f;
}

}  // namespace qfw::qpm
