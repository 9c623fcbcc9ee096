#include "simenv/native/simulator.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "simenv/native/branch.h"
#include "simenv/native/comm.h"
#include "simenv/native/distribute.h"
#include "simenv/native/expect.h"
#include "simenv/native/flow.h"
#include "simenv/native/gradient.h"
#include "simenv/native/memory.h"
#include "simenv/native/plan.h"
#include "simenv/native/sample.h"
#include "simenv/native/state.h"
#include "simenv/native/tally.h"

namespace qfw::simenv {

using program::Program;

namespace {

constexpr unsigned kMinBits = 4;                       // the widest group of lanes
constexpr uint64_t kAlwaysThere = uint64_t{16} << 20;  // runs that need less are not checked against the machine
constexpr double kLoopNs = 1e7;                        // guess for a program that may run for long
constexpr unsigned kGradientBlockBits = 14;            // of windows: the state's block and a few others' in L2
constexpr size_t kGradientBatch = 3;                   // observables that go back together

// Whether a block leads to itself or to one with a lower number.
bool has_loop(const Program& program) noexcept {
  if (!program.dynamic()) return false;
  uint32_t index = 0;
  for (const program::Block& b : program.blocks()) {
    const bool back = b.terminator == program::Terminator::kBranch && b.target_else <= index;
    if (back || (b.terminator != program::Terminator::kEnd && b.target <= index)) return true;
    ++index;
  }
  return false;
}

uint64_t saturating(double bytes) { return bytes < 0x1p62 ? static_cast<uint64_t>(bytes) : uint64_t{1} << 62; }

double state_bytes(const Program& program, Precision precision) {
  const double each = precision == Precision::kSingle ? sizeof(program::Complex) / 2 : sizeof(program::Complex);
  return std::ldexp(each, static_cast<int>(std::max(program.num_qubits(), kMinBits)));
}

double ranks_of(const Request& request) { return request.comm == nullptr ? 1.0 : request.comm->ranks(); }

// What this rank may take where all do the same.
uint64_t share_available(const Request& request) noexcept {
  return memory_available() / (request.comm == nullptr ? 1 : request.comm->neighbours());
}

// The same on all ranks.
double least_available(const Request& request) {
  const double mine = static_cast<double>(share_available(request));
  if (request.comm == nullptr) return mine;
  const std::vector<double> all = request.comm->all_gather({&mine, 1});
  return *std::min_element(all.begin(), all.end());
}

void check_qubits(const Program& program) {
  if (program.num_qubits() > kMaxSimulatedQubits)
    throw Error(ErrorCode::kLimitExceeded, "the program has " + std::to_string(program.num_qubits()) +
                                               " qubits; the state-vector simulator takes at most " +
                                               std::to_string(kMaxSimulatedQubits));
}

void check_gradient(const Program& program, const Request& request) {
  if (!request.gradients) return;
  if (request.observables.empty())
    throw Error(ErrorCode::kInvalidArgument, "gradients are derivatives of expectation values; found no observable");
  std::vector<bool> seen(program.num_parameters(), false);
  for (uint32_t p : request.gradient_parameters) {
    if (p >= program.num_parameters())
      throw Error(ErrorCode::kInvalidArgument, "gradients with respect to parameter " + std::to_string(p) +
                                                   "; the program has " + std::to_string(program.num_parameters()));
    if (seen[p]) throw Error(ErrorCode::kInvalidArgument, "gradients name parameter " + std::to_string(p) + " twice");
    seen[p] = true;
  }
}

void check_request(const Program& program, const Request& request) {
  check_qubits(program);
  if (request.row.size() != program.num_parameters())
    throw Error(ErrorCode::kInvalidArgument, "the row has " + std::to_string(request.row.size()) +
                                                 " values; the program has " +
                                                 std::to_string(program.num_parameters()) + " parameters");
  for (size_t i = 0; i < request.row.size(); ++i)
    if (!std::isfinite(request.row[i]))
      throw Error(ErrorCode::kInvalidArgument, "the row's value " + std::to_string(i) + " is " +
                                                   std::to_string(request.row[i]) + "; it must be finite");
  if ((request.memory || request.counts) && request.shots == 0)
    throw Error(ErrorCode::kInvalidArgument, "counts or memory need at least 1 shot, found 0");
  uint64_t seen = 0;
  for (uint32_t q : request.probability_qubits) {
    if (q >= program.num_qubits())
      throw Error(ErrorCode::kInvalidArgument, "probabilities of qubit " + std::to_string(q) + "; the program has " +
                                                   std::to_string(program.num_qubits()) + " qubits");
    if (seen >> q & 1)
      throw Error(ErrorCode::kInvalidArgument, "probabilities name qubit " + std::to_string(q) + " twice");
    seen |= uint64_t{1} << q;
  }
  for (const auto& sum : request.observables) sum.validate(program.num_qubits());
  check_gradient(program, request);
}

size_t gradient_columns(const Program& program, const Request& request) {
  return request.gradient_parameters.empty() ? program.num_parameters() : request.gradient_parameters.size();
}

}  // namespace

struct Simulator::Impl {
  Impl(program::ProgramPtr made_of, SimdLevel made_at, unsigned made_for)
      : program(std::move(made_of)),
        level(made_at),
        rank_bits(made_for),
        plan(program->dynamic() ? Plan() : plan_with(0)),
        branches(program->dynamic() || !plan.events.empty() || plan.has_reset) {
    if (branches) flow = make_flow(*program, rank_bits == 0);
  }

  const program::ProgramPtr program;
  const SimdLevel level;
  const unsigned rank_bits;
  const Plan plan;      // of a program without branches
  const bool branches;  // something is measured or reset in the middle, or the program is dynamic
  Flow flow;            // then
  mutable std::once_flag gradient_once;
  mutable Plan narrow;  // unless `plan` serves
  mutable std::unique_ptr<const GradientPlan> gradient;

  Plan plan_with(unsigned block_bits) const {
    if (rank_bits == 0) return make_plan(*program, block_bits);
    const Plan fused = fused_plan(*program);
    if (fused.segments.size() > 1) return fused;  // not run: it has branches
    return distribute(fused, rank_bits, nullptr, block_bits);
  }

  Shares shares() const {
    if (branches) return {};
    const Plan fused = fused_plan(*program);
    Shares out{fused.ops.size(), 0, plan.exchanges.size()};
    for (const PlanOp& op : fused.ops) out.crossing += op.targets() >> (fused.qubits - rank_bits) != 0;
    return out;
  }

  // With blocks small enough for a state and its companions; made when first asked for.
  const GradientPlan& gradient_plan() const {
    std::call_once(gradient_once, [this] {
      if (plan.qubits > kGradientBlockBits) narrow = plan_with(kGradientBlockBits);
      gradient = std::make_unique<const GradientPlan>(plan.qubits > kGradientBlockBits ? narrow : plan);
    });
    return *gradient;
  }

  Outcome run(const Request& request, ThreadPool* pool, const Stop& stop) const {
    stop.check();
    check_request(*program, request);
    if ((request.comm == nullptr ? 0 : request.comm->rank_bits()) != rank_bits)
      throw Error(ErrorCode::kInternal, "a simulator for 2^" + std::to_string(rank_bits) + " ranks is run by others");
    if (branches && (request.statevector || request.gradients))
      throw Error(ErrorCode::kUnsupported,
                  "a program that measures or resets in the middle has no single state: ask for counts, memory, "
                  "probabilities or expectations, not for a state vector or gradients");
    check_memory(*program, request);
    if (branches) return run_branches(request, pool, stop);
    const Plan& used = request.gradients ? gradient_plan().plan() : plan;
    double few[kFewDoubles];
    std::vector<double> many;
    double* row = few;
    if (used.row_doubles > kFewDoubles) {
      many.resize(used.row_doubles);
      row = many.data();
    }
    used.evaluate(request.row, row);
    return run_straight(used, request, row, pool, stop);
  }

 private:
  static constexpr size_t kFewDoubles = 512;

  Outcome run_straight(const Plan& used, const Request& request, const double* row, ThreadPool* pool,
                       const Stop& stop) const {
    Outcome out;
    State state(kernels(level, request.precision), used.qubits, pool, request.statevector && !request.gradients, stop,
                request.comm);
    state.start({row[0], row[1]}, used.from);
    state.apply(used, 0, row, stop);
    if (request.memory || request.counts) {
      Tally tally(plan.bits);
      const std::vector<uint64_t> key(tally.words(), 0);
      if (sample(state, plan.final_bits, request.shots, request.seed, key.data(), tally, stop))
        tally.finish(request.seed, request.memory, request.counts, stop, out);
    }
    if (request.probabilities) out.probabilities = simenv::probabilities(state, request.probability_qubits, stop);
    out.expectations.reserve(request.observables.size());
    for (const auto& sum : request.observables) out.expectations.push_back(expectation(state, sum, stop));
    if (request.statevector) {
      const Layout layout = state.layout();
      state.straighten(stop);
      out.statevector = request.gradients || request.comm != nullptr ? state.copy() : state.take();
      if (request.gradients) state.arrange(layout, stop);
    }
    if (request.gradients)
      out.gradients =
          simenv::gradients(gradient_plan(), request.row, row, request.observables, request.gradient_parameters,
                            program->num_parameters(), gradient_batch(request), state, stop);
    return out;
  }

  // Observables whose states are kept at the same time; results do not depend on it.
  size_t gradient_batch(const Request& request) const {
    const double each = state_bytes(*program, request.precision) / ranks_of(request);
    const double spare = each * kGradientBatch <= kAlwaysThere ? kGradientBatch : least_available(request) * 0.8 / each;
    return static_cast<size_t>(
        std::clamp(spare, 1.0, static_cast<double>(std::min(request.observables.size(), kGradientBatch))));
  }

  Outcome run_branches(const Request& request, ThreadPool* pool, const Stop& stop) const {
    Outcome out;
    const double each = state_bytes(*program, request.precision);
    const bool counted = each <= kWaitingBytes / 4;  // few enough to take without a look at the machine
    const BranchLimits limits = branch_limits(each, counted ? 0.0 : least_available(request) * ranks_of(request));
    const Kernels& table = kernels(level, request.precision);
    if (request.memory || request.counts) {
      Tally tally(program->num_bits());
      follow_shots(*program, flow, table, request, pool, stop, limits, tally);
      if (request.comm == nullptr || request.comm->root())
        tally.finish(request.seed, request.memory, request.counts, stop, out);
    }
    if (request.probabilities || !request.observables.empty())
      follow_weights(*program, flow, table, request, pool, stop, limits, out);
    return out;
  }
};

Precision precision_named(std::string_view name) {
  if (name == "double") return Precision::kDouble;
  if (name == "single") return Precision::kSingle;
  throw Error(ErrorCode::kInvalidArgument,
              "precision is '" + std::string(name.substr(0, 64)) + "'; allowed: double, single");
}

Simulator::Simulator(program::ProgramPtr program, SimdLevel level, unsigned rank_bits) {
  check_qubits(*program);
  if (rank_bits > most_rank_bits(program->num_qubits()))
    throw Error(ErrorCode::kInvalidArgument, "2^" + std::to_string(rank_bits) + " ranks for " +
                                                 std::to_string(program->num_qubits()) + " qubits; at most 2^" +
                                                 std::to_string(most_rank_bits(program->num_qubits())));
  impl_ = std::make_unique<Impl>(std::move(program), level, rank_bits);
}

Simulator::Shares Simulator::shares() const { return impl_->shares(); }

Simulator::~Simulator() = default;

namespace {

// `root`: on the rank that has the results.
uint64_t bytes_on_rank(const Program& program, const Request& request, bool root) {
  const double ranks = ranks_of(request);
  const double state = state_bytes(program, request.precision) / ranks;
  const double result = root ? state_bytes(program, Precision::kDouble) : 0.0;
  const bool copied = request.comm != nullptr || program.num_qubits() < 16 || request.precision == Precision::kSingle ||
                      request.gradients;
  double bytes = state;
  if (request.comm != nullptr) bytes += 3.0 * kPieceBytes;
  if (!program.terminal_measurements()) bytes += std::min(256.0 * state, kWaitingBytes / ranks);
  if (request.statevector && copied) bytes += result;
  if (request.probabilities) {
    const size_t k = request.probability_qubits.empty() ? program.num_qubits() : request.probability_qubits.size();
    const double all = std::ldexp(sizeof(double), static_cast<int>(k));
    bytes += (k == program.num_qubits() ? all / ranks : all) + (request.comm != nullptr && root ? all : 0.0);
  }
  if (request.gradients) {
    bytes += state;
    bytes += 8.0 * static_cast<double>(request.observables.size() * gradient_columns(program, request));
  }
  const double key = (program.num_bits() + 63) / 64 * 8.0, shots = static_cast<double>(request.shots);
  if (request.counts || request.memory) {
    const double distinct = std::min(shots, std::ldexp(1.0, static_cast<int>(program.num_qubits())));
    bytes += shots * 2 * sizeof(double) + distinct * (2 * key + 40);
  }
  if (request.memory) bytes += shots * (key + 4);
  return saturating(bytes);
}

}  // namespace

uint64_t Simulator::bytes_needed(const Program& program, const Request& request) {
  return bytes_on_rank(program, request, request.comm == nullptr || request.comm->root());
}

uint64_t Simulator::bytes_available() noexcept { return memory_available(); }

namespace {

// Throws on all ranks where one lacks memory.
void check_ranks(const Program& program, Comm& comm, uint64_t needed) {
  const double mine[2] = {static_cast<double>(needed), static_cast<double>(memory_available() / comm.neighbours())};
  const std::vector<double> all = comm.all_gather(mine);
  for (unsigned r = 0; r < comm.ranks(); ++r) {
    if (all[2 * r] <= static_cast<double>(kAlwaysThere) || all[2 * r] <= all[2 * r + 1]) continue;
    throw Error(ErrorCode::kResourceExhausted,
                "a state vector of " + std::to_string(program.num_qubits()) + " qubits shared by " +
                    std::to_string(comm.ranks()) + " ranks and its results need " +
                    std::to_string(static_cast<uint64_t>(all[2 * r])) + " bytes on rank " + std::to_string(r) + "; " +
                    std::to_string(static_cast<uint64_t>(all[2 * r + 1])) + " bytes are available to it");
  }
}

}  // namespace

void Simulator::check_memory(const Program& program, const Request& request) {
  const uint64_t needed = bytes_needed(program, request);
  if (request.comm != nullptr) {
    if (bytes_on_rank(program, request, true) <= kAlwaysThere) return;  // so think all ranks
    return check_ranks(program, *request.comm, needed);
  }
  if (needed <= kAlwaysThere) return;
  const uint64_t available = bytes_available();
  if (needed > available)
    throw Error(ErrorCode::kResourceExhausted, "a state vector of " + std::to_string(program.num_qubits()) +
                                                   " qubits and its results need " + std::to_string(needed) +
                                                   " bytes; " + std::to_string(available) + " bytes are available");
}

double Simulator::estimate_ns(const Program& program, const Request& request) noexcept {
  const double amplitudes = std::ldexp(1.0, static_cast<int>(std::min(program.num_qubits(), kMaxSimulatedQubits)));
  const double gates = static_cast<double>(program.instructions().size());
  const double passes = request.gradients ? 1.0 + 3.0 * static_cast<double>(request.observables.size()) : 1.0;
  const double once = 1000.0 + passes * gates * (15.0 + 0.1 * amplitudes) + 20.0 * static_cast<double>(request.shots);
  return has_loop(program) ? std::max(once, kLoopNs) : once;
}

Outcome Simulator::run(const Request& request, ThreadPool* pool, const Stop& stop) const {
  try {
    return impl_->run(request, pool, stop);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kResourceExhausted,
                "the run needs " + std::to_string(bytes_needed(*impl_->program, request)) + " bytes; " +
                    std::to_string(bytes_available()) + " bytes are available and the system refused the allocation",
                true);
  }
}

}  // namespace qfw::simenv
