// What a device refuses before a task is queued.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_set>

#include "qpm/native/device.h"

namespace qfw::qpm {
namespace {

constexpr size_t kMaxOptionBytes = 1 << 20;  // of one value: a packed noise model may be this large

[[noreturn]] void refuse(ErrorCode code, const DeviceInfo& info, const std::string& words) {
  throw Error(code, words + " (device '" + info.name + "')");
}

template <typename V, typename L>
void limit(const DeviceInfo& info, const char* what, V value, L allowed) {
  if (value > allowed)
    refuse(ErrorCode::kLimitExceeded, info,
           std::string(what) + " " + std::to_string(value) + "; allowed at most " + std::to_string(allowed));
}

void check_bindings(const DeviceInfo& info, const Task& task) {
  const Bindings& b = task.bindings;
  const uint32_t wanted = task.program->num_parameters();
  if (b.rows == 0) refuse(ErrorCode::kInvalidArgument, info, "bindings have 0 rows; at least 1 is needed");
  limit(info, "rows of bindings", b.rows, info.max_rows);
  if (b.columns != wanted)
    refuse(ErrorCode::kInvalidArgument, info,
           "bindings have " + std::to_string(b.columns) + " columns; the program has " + std::to_string(wanted) +
               " parameters");
  if (b.values.size() != size_t{b.rows} * b.columns)
    refuse(ErrorCode::kInvalidArgument, info,
           "bindings hold " + std::to_string(b.values.size()) + " values; " + std::to_string(b.rows) + " rows of " +
               std::to_string(b.columns) + " need " + std::to_string(size_t{b.rows} * b.columns));
  for (size_t i = 0; i < b.values.size(); ++i)
    if (!std::isfinite(b.values[i]))
      refuse(ErrorCode::kInvalidArgument, info,
             "binding of row " + std::to_string(i / b.columns) + ", column " + std::to_string(i % b.columns) + " is " +
                 std::to_string(b.values[i]) + "; it must be finite");
  if (task.first_row > UINT64_MAX - b.rows)
    refuse(ErrorCode::kInvalidArgument, info,
           "first row " + std::to_string(task.first_row) + " of a part; allowed at most " +
               std::to_string(UINT64_MAX - b.rows));
}

void check_ranks(const DeviceInfo& info, const Task& task) {
  if (task.ranks > 1 && info.max_ranks <= 1)
    refuse(ErrorCode::kUnsupported, info,
           "ranks " + std::to_string(task.ranks) + "; a task runs on 1 rank here, ranks=0 leaves it to the device");
  limit(info, "ranks", task.ranks, std::max(1u, info.max_ranks));
}

void check_outputs(const DeviceInfo& info, const Task& task) {
  if (task.outputs == 0 || (task.outputs & ~kAllOutputs))
    refuse(ErrorCode::kInvalidArgument, info,
           "outputs " + std::to_string(task.outputs) + "; allowed: " + output_names());
  for (auto [bit, name] : kOutputNames)
    if ((task.outputs & bit) && std::find(info.outputs.begin(), info.outputs.end(), name) == info.outputs.end())
      refuse(ErrorCode::kUnsupported, info, std::string("output '") + name + "' is not offered");
  limit(info, "shots", task.shots, info.max_shots);
  if (!(task.outputs & (kCounts | kMemory))) return;
  if (task.shots == 0)
    refuse(ErrorCode::kInvalidArgument, info, "shots 0; allowed 1.." + std::to_string(info.max_shots));
  if (task.program->num_bits() == 0)
    refuse(ErrorCode::kInvalidArgument, info, "counts or memory asked of a program without classical bits");
}

void check_observables(const DeviceInfo& info, const Task& task) {
  const uint32_t n = task.program->num_qubits();
  if ((task.outputs & (kExpectations | kGradients)) && task.observables.empty())
    refuse(ErrorCode::kInvalidArgument, info, "expectations or gradients asked for, but no observable given");
  std::unordered_set<uint32_t> columns;
  for (uint32_t p : task.gradient_parameters) {
    if (!columns.insert(p).second)
      refuse(ErrorCode::kInvalidArgument, info, "gradient parameter " + std::to_string(p) + " is named twice");
    if (p >= task.program->num_parameters())
      refuse(ErrorCode::kInvalidArgument, info,
             "gradient with respect to parameter " + std::to_string(p) + "; the program has " +
                 std::to_string(task.program->num_parameters()));
  }
  for (const auto& o : task.observables) o.validate(n);
  const auto& qubits = task.probability_qubits;
  std::unordered_set<uint32_t> seen;
  for (uint32_t q : qubits) {
    if (q >= n)
      refuse(ErrorCode::kInvalidArgument, info,
             "probability of qubit " + std::to_string(q) + "; the program has qubits 0.." + std::to_string(n - 1));
    if (!seen.insert(q).second)
      refuse(ErrorCode::kInvalidArgument, info, "probability qubit " + std::to_string(q) + " is named twice");
  }
}

}  // namespace

uint32_t output_bit(const std::string& name) {
  for (auto [bit, word] : kOutputNames)
    if (name == word) return bit;
  throw Error(ErrorCode::kInvalidArgument, "unknown output '" + name + "'; allowed: " + output_names());
}

void check_task(const DeviceInfo& info, const Task& task) {
  if (!task.program) refuse(ErrorCode::kInvalidArgument, info, "the task has no program");
  limit(info, "qubits", task.program->num_qubits(), info.max_qubits);
  check_bindings(info, task);
  check_outputs(info, task);
  check_observables(info, task);
  check_ranks(info, task);
  for (const auto& [key, value] : task.options) {
    if (value.size() > kMaxOptionBytes)
      refuse(ErrorCode::kLimitExceeded, info,
             "option '" + key + "' of " + std::to_string(value.size()) + " bytes; at most " +
                 std::to_string(kMaxOptionBytes) + " are allowed");
    if (info.options.count(key)) continue;
    std::string known;
    for (const auto& [name, help] : info.options) known += (known.empty() ? "" : ", ") + name;
    refuse(ErrorCode::kInvalidArgument, info,
           "unknown option '" + key + "'; known: " + (known.empty() ? "none" : known));
  }
}

void check_gates(const DeviceInfo& info, const program::Program& program) {
  if (info.gates.empty() && !program.dynamic()) return;  // without a list only straight programs are taken
  const std::unordered_set<std::string> names(info.gates.begin(), info.gates.end());
  std::vector<int8_t> known(static_cast<size_t>(program::GateId::kCount), -1);
  auto need = [&](const std::string& name) {
    if (!names.count(name)) refuse(ErrorCode::kUnsupported, info, "operation '" + name + "' is not offered");
  };
  if (program.dynamic() && !names.count("dynamic"))
    refuse(ErrorCode::kUnsupported, info, "a dynamic program (blocks, variables, classical instructions) is not run");
  const bool controlled = names.count("controlled") > 0;
  for (const auto& i : program.instructions()) {
    switch (i.op) {
      case program::Op::kGate: {
        auto& k = known[static_cast<size_t>(i.gate)];
        if (k < 0) need(std::string(program::gate(i.gate).name)), k = 1;
        break;
      }
      case program::Op::kUnitary:
        need("unitary");
        break;
      case program::Op::kMeasure:
        need("measure");
        break;
      case program::Op::kReset:
        need("reset");
        break;
      default:  // barriers, and classical instructions, which "dynamic" stands for
        break;
    }
    if (i.controls > 0 && !controlled)
      refuse(ErrorCode::kUnsupported, info, "further controls on a gate are not offered");
  }
}

// ---- defaults of Device

void Device::check(const Task& task) const { check_task(info(), task); }

double Device::estimate_ns(const Task& task) const noexcept { return 1e6 * task.bindings.rows; }

Result Device::run(Job&) {
  throw Error(ErrorCode::kInternal, "device '" + info().name + "' does not run jobs in place");
}

void Device::start(std::vector<JobPtr>&& jobs) {
  std::vector<Finished> done;
  for (auto& j : jobs) {
    Result r;
    r.failure = {ErrorCode::kInternal, "device '" + info().name + "' does not take jobs"};
    done.push_back({std::move(j), std::move(r)});
  }
  host_->finished(std::move(done));
}

}  // namespace qfw::qpm
