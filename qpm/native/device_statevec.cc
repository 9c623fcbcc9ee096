#include "qpm/native/device_statevec.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <new>

#include "program/native/gates.h"
#include "qpm/native/pool_parts.h"

namespace qfw::qpm {
namespace {

constexpr uint64_t kBigBytes = 256ull << 20;
constexpr uint32_t kWideQubits = 16;   // from here on one row uses the whole pool
constexpr double kRowChunkNs = 100e3;  // rows handed to a thread at once take about this long

simenv::Precision precision_of(const Task& task) {
  const auto found = task.options.find("precision");
  return found == task.options.end() ? simenv::Precision::kDouble : simenv::precision_named(found->second);
}

constexpr const char* kMaxSteps = "max_steps";

uint64_t max_steps_of(const Task& task) {
  const auto found = task.options.find(kMaxSteps);
  if (found == task.options.end()) return simenv::kDefaultMaxSteps;
  uint64_t steps = 0;
  const char* end = found->second.data() + found->second.size();
  const auto [stop, error] = std::from_chars(found->second.data(), end, steps);
  if (error != std::errc() || stop != end || steps == 0)
    throw Error(ErrorCode::kInvalidArgument,
                "option max_steps is '" + found->second + "'; it must be a positive integer below 2^64");
  return steps;
}

simenv::Request request_of(const Task& task, uint32_t row, uint64_t seed) {
  simenv::Request r;
  r.max_steps = max_steps_of(task);
  r.row = task.bindings.row(row);
  r.shots = task.shots;
  r.seed = simenv::derive_seed(seed, task.first_row + row);
  r.memory = task.outputs & kMemory;
  r.counts = task.outputs & kCounts;
  r.probabilities = task.outputs & kProbabilities;
  r.statevector = task.outputs & kStatevector;
  r.probability_qubits = task.probability_qubits;
  if (task.outputs & (kExpectations | kGradients)) r.observables = task.observables;
  r.gradients = task.outputs & kGradients;
  r.gradient_parameters = task.gradient_parameters;
  r.precision = precision_of(task);
  return r;
}

// Results of all rows lie in memory at the same time.
void check_result_memory(const Task& task) {
  const uint32_t n = task.program->num_qubits();
  const uint32_t k = task.probability_qubits.empty() ? n : static_cast<uint32_t>(task.probability_qubits.size());
  double row = 0;
  if (task.outputs & kStatevector) row += 16.0 * static_cast<double>(1ull << n);
  if (task.outputs & kProbabilities) row += 8.0 * static_cast<double>(1ull << k);
  if (task.outputs & kGradients) row += 8.0 * static_cast<double>(task.observables.size()) * gradient_columns(task);
  if (task.outputs & kMemory) row += static_cast<double>(task.shots) * ((task.program->num_bits() + 7) / 8);
  const double bytes = row * task.bindings.rows;
  if (bytes < 64e6) return;
  const auto available = static_cast<double>(simenv::Simulator::bytes_available());
  if (bytes > available)
    throw Error(ErrorCode::kResourceExhausted, "the results of " + std::to_string(task.bindings.rows) + " rows need " +
                                                   std::to_string(static_cast<uint64_t>(bytes)) + " bytes; available " +
                                                   std::to_string(static_cast<uint64_t>(available)));
}

bool ends_task(ErrorCode code) {
  return code == ErrorCode::kCancelled || code == ErrorCode::kDeadlineExceeded || code == ErrorCode::kResourceExhausted;
}

}  // namespace

// Holds the turn of a run that needs much memory.
class StatevecDevice::BigRun {
 public:
  BigRun(StatevecDevice& device, const simenv::Stop& stop) : device_(device) {
    std::unique_lock lock(device_.big_mutex_);
    while (device_.big_running_) {
      stop.check();
      device_.big_free_.wait_for(lock, std::chrono::milliseconds(20));
    }
    device_.big_running_ = true;
  }
  ~BigRun() {
    {
      std::lock_guard lock(device_.big_mutex_);
      device_.big_running_ = false;
    }
    device_.big_free_.notify_one();
  }
  BigRun(const BigRun&) = delete;
  BigRun& operator=(const BigRun&) = delete;

 private:
  StatevecDevice& device_;
};

StatevecDevice::StatevecDevice(std::string name, simenv::ThreadPool& pool, Limits limits)
    : pool_(pool), plans_(limits.plan_cache_bytes) {
  info_.name = std::move(name);
  info_.provider = "statevec";
  info_.description = "built-in state-vector simulator, " + std::string(simenv::simd_name(simenv::best_simd_level())) +
                      ", " + std::to_string(pool.size()) + " threads";
  info_.version = QFW_VERSION;
  info_.max_qubits = simenv::kMaxSimulatedQubits;  // memory refuses earlier, and says how much is needed
  info_.max_shots = limits.max_shots;
  info_.max_rows = limits.max_rows;
  info_.capacity = pool.size();
  info_.threads = pool.size();
  info_.split_rows = true;
  for (const auto& g : program::gates()) info_.gates.emplace_back(g.name);
  for (const char* op : {"unitary", "controlled", "measure", "reset", "dynamic"}) info_.gates.emplace_back(op);
  info_.options["method"] =
      "How programs are simulated. One of statevector, auto (Clifford programs and those of little entanglement go to "
      "other simulators, where that is exact and quicker). Default statevector.";
  info_.outputs = {"counts", "memory", "probabilities", "statevector", "expectations", "gradients"};
  info_.options["precision"] =
      "of the amplitudes: double (default), or single for half the memory and about 1e-5 in results";
  info_.options[kMaxSteps] = "instructions that one shot of a dynamic program may take, " +
                             std::to_string(simenv::kDefaultMaxSteps) + " by default";
}

void check_statevec(const DeviceInfo& info, const Task& task) {
  check_task(info, task);
  precision_of(task);  // refuses unknown ones
  max_steps_of(task);
  if (const auto method = task.options.find("method"); method != task.options.end())
    if (method->second != "statevector" && method->second != "auto")
      throw Error(ErrorCode::kInvalidArgument,
                  "option method='" + method->second + "'; allowed: statevector, auto (device '" + info.name + "')");
  if (task.shots > 0 && (task.outputs & (kExpectations | kGradients)))
    throw Error(ErrorCode::kUnsupported, "expectations and gradients are exact on device '" + info.name + "': shots " +
                                             std::to_string(task.shots) + "; allowed 0 (front ends sample them)");
  if (!task.program->terminal_measurements() && (task.outputs & (kStatevector | kGradients)))
    throw Error(ErrorCode::kUnsupported,
                "a program with measurements or resets in the middle has no single state: no state vector and no "
                "gradients on device '" +
                    info.name + "'");
}

double statevec_ns(const Task& task) noexcept {
  return simenv::Simulator::estimate_ns(*task.program, request_of(task, 0, 0)) * task.bindings.rows;
}

uint64_t statevec_bytes(const Task& task) {
  return simenv::Simulator::bytes_needed(*task.program, request_of(task, 0, 0));
}

void StatevecDevice::check(const Task& task) const {
  check_statevec(info_, task);
  if (task.program->num_qubits() >= kWideQubits) simenv::Simulator::check_memory(*task.program, request_of(task, 0, 0));
  check_result_memory(task);
}

double StatevecDevice::estimate_ns(const Task& task) const noexcept { return statevec_ns(task); }

std::shared_ptr<const simenv::Simulator> StatevecDevice::plan(const program::ProgramPtr& program) {
  {
    std::lock_guard lock(mutex_);
    if (auto* found = plans_.find(program->hash())) return *found;
  }
  auto made = std::make_shared<const simenv::Simulator>(program);
  std::lock_guard lock(mutex_);
  return plans_.put(program->hash(), std::move(made), program->bytes().size() + 4096);
}

void StatevecDevice::run_row(Job& job, const simenv::Simulator& simulator, uint32_t row, simenv::ThreadPool* pool,
                             RowResult& out) {
  try {
    auto outcome = simulator.run(request_of(job.work, row, job.seed), pool, job.stop);
    out.memory = std::move(outcome.memory);
    out.count_keys = std::move(outcome.count_keys);
    out.counts = std::move(outcome.counts);
    out.probabilities = std::move(outcome.probabilities);
    out.statevector = std::move(outcome.statevector);
    if (job.work.outputs & kExpectations) out.expectations = std::move(outcome.expectations);
    out.gradients = std::move(outcome.gradients);
  } catch (const Error& e) {
    if (ends_task(e.code())) throw;
    out.failure = Failure::of(e);
  }
}

void StatevecDevice::run_rows(Job& job, const simenv::Simulator& simulator, Result& result) {
  const uint32_t rows = job.work.bindings.rows;
  result.rows.resize(rows);
  const bool wide = job.work.program->num_qubits() >= kWideQubits;
  if (rows == 1 || wide) {
    simenv::ThreadPool* pool = wide ? &pool_ : nullptr;
    for (uint32_t i = 0; i < rows; ++i) run_row(job, simulator, i, pool, result.rows[i]);
    return;
  }
  const double row_ns = std::max(1.0, estimate_ns(job.work) / rows);
  const auto chunk = static_cast<uint32_t>(std::clamp(kRowChunkNs / row_ns, 1.0, 4096.0));
  const uint32_t chunks = (rows + chunk - 1) / chunk;
  auto body = [&](size_t c) {
    const uint32_t end = std::min(rows, static_cast<uint32_t>(c + 1) * chunk);
    for (uint32_t i = static_cast<uint32_t>(c) * chunk; i < end; ++i)
      run_row(job, simulator, i, nullptr, result.rows[i]);
  };
  if (chunks == 1)
    body(0);
  else
    pool_.parallel_for(chunks, body);
}

Result StatevecDevice::run(Job& job) {
  Result result;
  const Task& task = job.work;
  job.stop.check();
  try {
    const auto request = request_of(task, 0, job.seed);
    const uint64_t bytes = simenv::Simulator::bytes_needed(*task.program, request);
    std::unique_ptr<BigRun> turn;
    if (bytes >= kBigBytes) {
      turn = std::make_unique<BigRun>(*this, job.stop);
      simenv::Simulator::check_memory(*task.program, request);
    }
    run_rows(job, *plan(task.program), result);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kResourceExhausted, "the machine refused the memory that the task needs", true, 1.0);
  }
  result.num_bits = task.program->num_bits();
  result.failure = failure_of_rows(result.rows);
  return result;
}

}  // namespace qfw::qpm
