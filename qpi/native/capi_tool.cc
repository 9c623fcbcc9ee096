// C API: tools and pipelines.
#include <map>

#include "qpi/native/capi.h"
#include "qpi/native/tool.h"

using namespace qfw::qpi;
using namespace qfw::qpi::capi;
using qfw::Error;
using qfw::ErrorCode;

struct qpi_expansion {
  std::vector<Task> tasks;
};

namespace {

// A task as a C tool sees it; lives as long as the call.
class View {
 public:
  explicit View(const Task& from) : attr_(QPI_TASK_ATTR_INIT) {
    const qfw::qpm::Task& task = from.task;
    program_.finished = task.program;
    program_.num_qubits = task.program->num_qubits();
    program_.num_bits = task.program->num_bits();
    attr_.program = &program_;
    attr_.bindings = task.bindings.values.data();
    attr_.rows = task.bindings.rows;
    attr_.columns = task.bindings.columns;
    attr_.shots = task.shots;
    attr_.outputs = task.outputs;
    attr_.qubits = task.probability_qubits.data();
    attr_.num_qubits = task.probability_qubits.size();
    if (task.seed) attr_.seed = &*task.seed;
    attr_.deadline_s = static_cast<double>(task.deadline_ns) * 1e-9;
    attr_.priority = task.priority;
    attr_.ranks = task.ranks;
    for (const auto& [name, value] : task.options) options_.push_back({name.c_str(), value.c_str()});
    attr_.options = options_.data();
    attr_.num_options = options_.size();
    attr_.gradient_parameters = task.gradient_parameters.data();
    attr_.num_gradient_parameters = task.gradient_parameters.size();
    show(task.observables);
  }
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  const qpi_task_attr* attr() const noexcept { return &attr_; }

 private:
  struct Term {
    std::string letters;
    std::vector<uint32_t> qubits;
  };

  void show(const std::vector<qfw::program::PauliSum>& observables) {
    size_t all = 0;
    for (const auto& sum : observables) all += sum.terms.size();
    terms_.reserve(all);  // pointers into it stay
    shown_.reserve(all);
    for (const auto& sum : observables) {
      const size_t first = shown_.size();
      for (const auto& term : sum.terms) {
        Term& made = terms_.emplace_back();
        for (const auto& factor : term.factors) {
          made.letters += static_cast<char>('X' + static_cast<int>(factor.pauli) - 1);
          made.qubits.push_back(factor.qubit);
        }
        shown_.push_back({term.coefficient, made.letters.c_str(), made.qubits.data()});
      }
      observables_.push_back({shown_.data() + first, sum.terms.size()});
    }
    attr_.observables = observables_.data();
    attr_.num_observables = observables_.size();
  }

  qpi_task_attr attr_;
  qpi_program program_;
  std::vector<qpi_option> options_;
  std::vector<Term> terms_;
  std::vector<qpi_pauli_term> shown_;
  std::vector<qpi_observable> observables_;
};

class CTool : public Tool {
 public:
  explicit CTool(const qpi_tool& tool) : tool_(tool), name_(text(tool.name)) {}
  const std::string& name() const override { return name_; }

  std::vector<Task> expand(const Task& task, const Device* device, std::shared_ptr<void>& state) const override {
    const View view(task);
    std::unique_ptr<qpi_device_list, decltype(&qpi_device_list_close)> list(nullptr, &qpi_device_list_close);
    if (device) list.reset(list_of({device->info()}));
    qpi_expansion out;
    void* made = nullptr;
    const int error = tool_.expand(tool_.self, view.attr(), qpi_device_list_get(list.get(), 0), &out, &made);
    state = std::shared_ptr<void>(made, [tool = tool_](void* p) {
      if (p && tool.drop) tool.drop(tool.self, p);
    });
    check(error, "expand");
    for (Task& each : out.tasks) each.convert_ns = task.convert_ns;
    return std::move(out.tasks);
  }

  qfw::qpm::Result reduce(std::vector<qfw::qpm::Result>&& results, void* state) const override {
    qpi_result out{results.front(), {}, {}};
    std::vector<qpi_result> shown;
    std::vector<const qpi_result*> pointers;
    shown.reserve(results.size());
    for (auto& result : results) pointers.push_back(&shown.emplace_back(qpi_result{std::move(result), {}, {}}));
    check(tool_.reduce(tool_.self, state, pointers.data(), pointers.size(), &out), "reduce");
    return std::move(out.result);
  }

 private:
  void check(int error, const char* what) const {
    if (error >= 0) return;
    const bool known = error >= QPI_ECLOSED;
    throw Error(known ? static_cast<ErrorCode>(-error) : ErrorCode::kInternal,
                "the tool \"" + name_ + "\" failed to " + what + ": " + qpi_last_error());
  }

  const qpi_tool tool_;
  const std::string name_;
};

qfw::qpm::RowResult& row_of(qpi_result* result, size_t row) {
  auto& rows = need(result, "result").result.rows;
  if (row >= rows.size())
    throw Error(ErrorCode::kInvalidArgument,
                "row is " + std::to_string(row) + "; the result has " + std::to_string(rows.size()) + " rows");
  return rows[row];
}

// "0110", highest bit left, as packed bytes; compared as a number by its bytes from the last on.
std::vector<uint8_t> packed(const char* outcome, uint32_t bits) {
  const std::string digits = &need(outcome, "an outcome");
  if (digits.size() != bits || digits.find_first_not_of("01") != std::string::npos)
    throw Error(ErrorCode::kInvalidArgument,
                "outcome \"" + digits.substr(0, 64) + "\"; " + std::to_string(bits) + " characters 0 or 1 are needed");
  std::vector<uint8_t> bytes((bits + 7) / 8);
  for (uint32_t b = 0; b < bits; ++b)
    if (digits[bits - 1 - b] == '1') bytes[b / 8] |= static_cast<uint8_t>(1u << (b % 8));
  return bytes;
}

int set(qpi_result* result, size_t row, const double* values, size_t count,
        std::vector<double> qfw::qpm::RowResult::*member) {
  return guard([&] {
    const auto given = array(values, count, "values");
    (row_of(result, row).*member).assign(given.begin(), given.end());
    return 0;
  });
}

}  // namespace

extern "C" {

int qpi_fail(int error, const char* message) { return fail(error, text(message)); }

int qpi_expansion_add(qpi_expansion* out, const qpi_task_attr* task) {
  return guard([&] {
    auto& to = need(out, "out");
    need(task, "task");
    to.tasks.push_back(task_from(read(task, qpi_task_attr QPI_TASK_ATTR_INIT, "qpi_task_attr")));
    return 0;
  });
}

int qpi_pipeline_open(qpi_context* context, const qpi_tool* const* tools, size_t count, qpi_pipeline** pipeline) {
  return guard([&] {
    need(pipeline, "pipeline") = nullptr;
    need(context, "context");
    std::vector<std::shared_ptr<Tool>> made;
    for (const qpi_tool* tool : array(tools, count, "tools")) {
      const auto copy = read(&need(tool, "a tool"), qpi_tool QPI_TOOL_INIT, "qpi_tool");
      if (!copy.expand || !copy.reduce)
        throw Error(ErrorCode::kInvalidArgument, "the tool \"" + text(copy.name) + "\" lacks expand or reduce");
      made.push_back(std::make_shared<CTool>(copy));
    }
    *pipeline = new qpi_pipeline{std::make_shared<Pipeline>(std::move(made))};
    return 0;
  });
}

void qpi_pipeline_close(qpi_pipeline* pipeline) { delete pipeline; }

int qpi_result_set_rows(qpi_result* result, size_t rows) {
  return guard([&] {
    if (rows == 0 || rows > kMaxRows)
      throw Error(ErrorCode::kInvalidArgument,
                  "rows is " + std::to_string(rows) + "; allowed: 1 to " + std::to_string(kMaxRows));
    need(result, "result").result.rows.resize(rows);
    return 0;
  });
}

int qpi_result_set_counts(qpi_result* result, size_t row, const char* const* outcomes, const uint64_t* seen,
                          size_t count) {
  return guard([&] {
    auto& to = row_of(result, row);
    const auto names = array(outcomes, count, "outcomes");
    const auto numbers = array(seen, count, "seen");
    std::map<std::vector<uint8_t>, uint64_t> sorted;  // by the bytes from the highest on
    for (size_t i = 0; i < count; ++i) {
      auto key = packed(names[i], result->result.num_bits);
      std::reverse(key.begin(), key.end());
      if (!sorted.emplace(std::move(key), numbers[i]).second)
        throw Error(ErrorCode::kInvalidArgument, "outcome \"" + std::string(names[i]) + "\" is there twice");
    }
    to.counts.clear();
    to.count_keys.clear();
    for (const auto& [key, number] : sorted) {
      to.count_keys.insert(to.count_keys.end(), key.rbegin(), key.rend());
      to.counts.push_back(number);
    }
    return 0;
  });
}

int qpi_result_set_expectations(qpi_result* result, size_t row, const double* values, size_t count) {
  return set(result, row, values, count, &qfw::qpm::RowResult::expectations);
}

int qpi_result_set_probabilities(qpi_result* result, size_t row, const double* values, size_t count) {
  return set(result, row, values, count, &qfw::qpm::RowResult::probabilities);
}

}  // extern "C"
