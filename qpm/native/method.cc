#include "qpm/native/method.h"

#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>

#include "program/native/analysis.h"
#include "qpm/native/device.h"

namespace qfw::qpm {
namespace {

constexpr uint32_t kSmallQubits = 14;  // a state vector is done before a worker has heard of the task
constexpr uint32_t kMaxBondLog2 = 8;   // bond dimension 256
constexpr uint32_t kMaxProbabilityBits = 20;
constexpr double kHopNs = 2e6;           // to a worker and back
constexpr double kConvertNs = 5e3;       // of an instruction, in Python
constexpr double kStabilizerShotNs = 2;  // of a measurement
constexpr double kBondNs = 20;           // of an entry of a bond's matrix, per two-qubit gate
constexpr double kBondShotNs = 200;      // of an entry, per measured qubit

std::string milliseconds(double ns) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g ms", ns / 1e6);
  return text;
}

uint64_t measurements(const program::Program& program) {
  uint64_t n = 0;
  for (const auto& i : program.instructions()) n += i.op == program::Op::kMeasure;
  return n;
}

// The first reason in any row.
std::optional<std::string> not_clifford(const Task& task) {
  for (uint32_t r = 0; r < task.bindings.rows; ++r)
    if (auto why = program::not_clifford(*task.program, task.bindings.row(r))) return why;
  return std::nullopt;
}

bool takes(const DeviceInfo& info, const Task& task) {
  const bool expects = task.outputs & kExpectations;
  if (expects && (task.shots > 0 || !task.program->terminal_measurements())) return false;
  try {
    check_task(info, task);
    check_gates(info, *task.program);
    return true;
  } catch (const Error&) {
    return false;
  }
}

struct Way {
  double ns = 0;
  Choice choice;
};

const DeviceInfo* provider(const Offers& offers, const char* name) {
  for (const DeviceInfo* info : offers.others)
    if (info->provider == name) return info;
  return nullptr;
}

// Adds to `why` what keeps this way from being taken.
std::optional<Way> stabilizer(const Task& task, const Offers& offers, std::string& why) {
  if (auto gate = not_clifford(task)) {
    why += *gate + " is not Clifford";
    return std::nullopt;
  }
  const DeviceInfo* info = provider(offers, "stim");
  Task there = task;
  there.options.clear();
  if (!info || !takes(*info, there)) {
    why += info ? "the stabilizer simulator does not give these outputs"
                : "no stabilizer simulator is online (pip install 'qfw[stim]')";
    return std::nullopt;
  }
  const auto& p = *task.program;
  const double row = kConvertNs * static_cast<double>(p.instructions().size()) +
                     kStabilizerShotNs * static_cast<double>(task.shots * measurements(p));
  return Way{kHopNs + row * task.bindings.rows, {info->id, "stabilizer", "every gate is Clifford", {}, {}}};
}

std::optional<Way> product_state(const Task& task, const Offers& offers, std::string& why) {
  const auto& p = *task.program;
  const auto bound = program::bond_bound_log2(p);
  if (!bound || *bound > kMaxBondLog2) {
    why += bound ? "; the bond dimension may reach 2^" + std::to_string(*bound)
                 : "; the bond dimension has no bound (gates on other than neighbours)";
    return std::nullopt;
  }
  const size_t asked = task.probability_qubits.empty() ? p.num_qubits() : task.probability_qubits.size();
  const bool dense = (task.outputs & kStatevector) || ((task.outputs & kProbabilities) && asked > kMaxProbabilityBits);
  const DeviceInfo* info = provider(offers, "aer");
  Task there = task;
  // Nothing is cut off but rounding: singular values whose squares sum up to less than 1e-28.
  there.options = {{"method", "matrix_product_state"}, {"matrix_product_state_truncation_threshold", "1e-28"}};
  if (dense || !p.terminal_measurements() || !info || !takes(*info, there)) {
    why += info ? "; a matrix product state does not give these outputs"
                : "; no simulator of matrix product states is online (pip install 'qfw[aer]')";
    return std::nullopt;
  }
  const double chi = std::exp2(*bound);
  const double row = (kConvertNs + kBondNs * chi * chi * chi) * static_cast<double>(p.instructions().size()) +
                     kBondShotNs * chi * chi * static_cast<double>(task.shots * measurements(p));
  const std::string reason =
      "the bond dimension is at most " + std::to_string(1u << *bound) + ", so nothing is cut off";
  return Way{kHopNs + row * task.bindings.rows,
             {info->id, "matrix_product_state", reason, std::move(there.options), {}}};
}

Choice dense(const Task& task, const Offers& offers, std::string reason) {
  Choice c{offers.dense->id, "statevector", std::move(reason), task.options, offers.refusal};
  c.options.erase("method");
  if (c.refusal) c.refusal.message += "; method auto found no other exact way: " + c.reason;
  return c;
}

}  // namespace

bool wants_auto(const Task& task) {
  const auto found = task.options.find("method");
  return found != task.options.end() && found->second == "auto";
}

Choice choose_method(const Task& task, const Offers& offers) {
  const auto& p = *task.program;
  const bool fits = !offers.refusal;
  if (p.dynamic()) return dense(task, offers, "the program has branches");
  if (fits && p.num_qubits() <= kSmallQubits)
    return dense(task, offers, std::to_string(p.num_qubits()) + " qubits are quick as a state vector");
  std::string why;
  auto way = stabilizer(task, offers, why);
  if (!way) way = product_state(task, offers, why);
  if (!way) return dense(task, offers, why);
  if (fits && offers.dense_ns <= way->ns)
    return dense(
        task, offers,
        "estimated " + milliseconds(offers.dense_ns) + "; as " + way->choice.method + " " + milliseconds(way->ns));
  way->choice.reason +=
      fits ? "; estimated " + milliseconds(way->ns) + ", a state vector " + milliseconds(offers.dense_ns)
           : "; a state vector of " + std::to_string(p.num_qubits()) + " qubits is not possible here";
  return std::move(way->choice);
}

}  // namespace qfw::qpm
