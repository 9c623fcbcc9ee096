#include "simenv/native/follower.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "simenv/native/compute.h"
#include "simenv/native/distribute.h"

namespace qfw::simenv {

using program::Op;
using program::Terminator;

namespace {

constexpr size_t kMostPlans = 1024;  // for slices, that are kept

// Outcomes of less probability than `rare` are not followed for exact values, as long as they are at most `lost`
// together; amplitudes of states that are the same differ by at most `same`.
struct Tolerance {
  double rare, lost, same;
};
constexpr Tolerance kDouble{1e-15, 1e-10, 1e-12}, kSingle{1e-11, 1e-6, 1e-6};

const Tolerance& tolerance_of(const Request& request) {
  return request.precision == Precision::kSingle ? kSingle : kDouble;
}

uint64_t shots_of(const Branch& branch) { return branch.records.total(); }

void check_finite(const Branch& branch, const GateRun& run) {
  for (const uint32_t v : run.variables) {
    const double value = std::bit_cast<double>(branch.variables[v]);
    if (std::isfinite(value)) continue;
    throw Error(ErrorCode::kInvalidProgram, "while it ran: a gate's angle follows variable " + std::to_string(v) +
                                                ", which is " + std::to_string(value) + "; it must be finite");
  }
}

}  // namespace

BranchLimits branch_limits(double state_bytes, double available) noexcept {
  BranchLimits limits;
  limits.waiting = static_cast<size_t>(std::min(256.0, kWaitingBytes / state_bytes));
  if (limits.waiting < 4) limits.waiting = 0;
  limits.copies = static_cast<size_t>(std::clamp(available * 0.8 / state_bytes - 2.0, 0.0, 64.0));
  return limits;
}

Follower::Follower(const program::Program& program, const Flow& flow, const Kernels& kernels, const Request& request,
                   ThreadPool* pool, const Stop& stop, const BranchLimits& limits, bool exact)
    : program_(program),
      flow_(flow),
      kernels_(kernels),
      request_(request),
      pool_(pool),
      stop_(stop),
      limits_(limits),
      exact_(exact),
      paths_(limits.waiting == 0),
      copies_left_(limits.copies),
      rows_(flow.runs.size()) {}

Branch Follower::first_branch(uint64_t shots, uint64_t seed) {
  Branch branch;
  for (const auto& v : program_.variables()) branch.variables.push_back(v.initial);
  const uint32_t words = (flow_.bits + 63) / 64;
  branch.records = Records(words);
  branch.records.add(std::vector<uint64_t>(words, 0).data(), seed, shots);
  branch.step = flow_.blocks[0].first;
  branch.state = new_state();
  branch.state->start(1.0, request_.comm == nullptr ? Layout() : Layout::straight(flow_.qubits));
  charge(branch);
  return branch;
}

void Follower::run(uint64_t shots, uint64_t seed) {
  wait(first_branch(shots, seed));
  while (num_waiting_ != 0) {
    // Together, the branch that is furthest behind goes on; when there are too many, the one nearest to its end.
    const bool crowded = num_waiting_ >= std::max<size_t>(limits_.waiting, 1);
    const auto place = crowded ? std::prev(waiting_.end()) : waiting_.begin();
    Branch branch = std::move(place->second.back());
    place->second.pop_back();
    if (place->second.empty()) waiting_.erase(place);
    --num_waiting_;
    branch.meeting.reset();
    if (crowded) {
      finish_deep(std::move(branch));
    } else {
      const Halt halt = advance(branch, Mode::kTogether);
      if (halt == Halt::kMeets || halt == Halt::kCrowded) {
        wait(std::move(branch));
      } else {
        finish(branch, halt);
      }
    }
  }
  if (lost_ > tolerance_of(request_).lost) {
    throw Error(ErrorCode::kLimitExceeded, "outcomes too rare to follow one by one have a probability of " +
                                               std::to_string(lost_) + " together: no exact values; ask for counts");
  }
}

void Follower::finish(Branch& branch, Halt halt) {
  if (halt == Halt::kEnded) end(branch);
  give_back(std::move(branch.state));
}

Follower::Halt Follower::advance(Branch& branch, Mode mode) {
  do {
    const FlowBlock& block = flow_.blocks[branch.block];
    while (branch.step < block.last) {
      const Step& step = flow_.steps[branch.step++];
      switch (step.kind) {
        case StepKind::kGates:
          apply(branch, *flow_.runs[step.at], step.at);
          break;
        case StepKind::kClassical:
          classical(branch, *step.instruction);
          break;
        case StepKind::kMeet:
          if (mode != Mode::kTogether || num_waiting_ == 0) break;
          branch.meeting = step.at;
          return Halt::kMeets;
        case StepKind::kReset:
        case StepKind::kMeasure:
          if (!measure(branch, step, mode)) return Halt::kLost;
          if (mode == Mode::kTogether && num_waiting_ >= limits_.waiting) return Halt::kCrowded;
          if (mode == Mode::kAgain && branch.path.size() == deep_.back().path.size()) return Halt::kReplayed;
          break;
      }
    }
  } while (next_block(branch));
  return Halt::kEnded;
}

void Follower::charge(Branch& branch) const {
  stop_.check();
  branch.steps += flow_.blocks[branch.block].cost;
  if (branch.steps <= request_.max_steps) return;
  throw Error(ErrorCode::kLimitExceeded, "a shot takes more than " + std::to_string(request_.max_steps) +
                                             " instructions (max_steps) and was stopped in block " +
                                             std::to_string(branch.block));
}

bool Follower::next_block(Branch& branch) {
  const FlowBlock& block = flow_.blocks[branch.block];
  if (block.terminator == Terminator::kEnd) return false;
  const bool otherwise = block.terminator == Terminator::kBranch && branch.variables[block.condition] == 0;
  branch.block = otherwise ? block.target_else : block.target;
  branch.step = flow_.blocks[branch.block].first;
  charge(branch);
  return true;
}

void Follower::apply(Branch& branch, const GateRun& run, uint32_t at) {
  const Plan& plan = plan_of(run, at, branch.state->layout());
  if (!run.variables.empty()) {
    check_finite(branch, run);
    variable_row_.assign(request_.row.begin(), request_.row.end());
    for (const uint64_t v : branch.variables) variable_row_.push_back(std::bit_cast<double>(v));
    row_.resize(plan.row_doubles);
    plan.evaluate(variable_row_, row_.data());
    return branch.state->apply(plan, 0, row_.data(), stop_);
  }
  std::vector<double>& row = rows_[at];
  if (row.empty()) {
    row.resize(plan.row_doubles);
    plan.evaluate(request_.row, row.data());
  }
  branch.state->apply(plan, 0, row.data(), stop_);
}

// What ranks do depends on the layout that they begin with.
const Plan& Follower::plan_of(const GateRun& run, uint32_t at, const Layout& layout) {
  if (request_.comm == nullptr) return run.plan;
  if (slice_plans_.size() > kMostPlans) slice_plans_.clear();
  auto& plan = slice_plans_[{at, layout}];
  if (!plan) plan = std::make_unique<const Plan>(distribute(run.plan, request_.comm->rank_bits(), &layout));
  return *plan;
}

void Follower::classical(Branch& branch, const program::Instruction& instruction) const {
  const std::span<const uint64_t> bits(branch.records.key(0), (flow_.bits + 63) / 64);
  const uint64_t value = compute(instruction, branch.variables, bits);
  if (instruction.op == Op::kWriteBit) {
    branch.records.set_bit(instruction.bits[0], value != 0);
  } else {
    branch.variables[instruction.classical->variable] = value;
  }
}

bool Follower::measure(Branch& branch, const Step& step, Mode mode) {
  if (step.late && (step.kind == StepKind::kMeasure || !exact_)) {
    if (step.kind == StepKind::kMeasure) branch.finals.push_back({step.qubit, step.at});
    return true;
  }
  stop_.check();
  const double one = branch.state->norm(uint64_t{1} << step.qubit), all = branch.state->norm(0);
  if (mode == Mode::kAgain) {
    const bool outcome = deep_.back().path[branch.path.size()];
    take(branch, step, outcome, outcome ? one : all - one);
    return true;
  }
  auto [zero, other] = outcomes(branch, one, all);
  if (zero && other) {
    // The one with fewer shots goes on first, so that at most log2(shots) wait.
    const bool swap = exact_ ? other->weight < zero->weight : shots_of(*other) < shots_of(*zero);
    Branch& later = swap ? *zero : *other;
    if (mode == Mode::kTogether || limits_.waiting != 0 || copies_left_ != 0) {
      if (limits_.waiting == 0) --copies_left_;
      later.state = copy_of(*branch.state);
    }
    take(later, step, !swap, swap ? all - one : one);
    put_aside(std::move(later), mode);
    Branch& now = swap ? *other : *zero;
    now.state = std::move(branch.state);
    branch = std::move(now);
    take(branch, step, swap, swap ? one : all - one);
    return true;
  }
  if (!zero && !other) return false;
  const bool outcome = other.has_value();
  Branch& now = outcome ? *other : *zero;
  now.state = std::move(branch.state);
  branch = std::move(now);
  take(branch, step, outcome, outcome ? one : all - one);
  return true;
}

// The branches of outcome 0 and 1 that have shots, or probability enough; they have no state yet.
std::pair<std::optional<Branch>, std::optional<Branch>> Follower::outcomes(const Branch& branch, double one,
                                                                           double all) {
  const double p = std::clamp(one / all, 0.0, 1.0);
  std::pair<std::optional<Branch>, std::optional<Branch>> out;
  const auto fork = [&](std::optional<Branch>& to) -> Branch& {
    static_cast<Progress&>(to.emplace()) = branch;
    return *to;
  };
  if (exact_) {
    for (const bool outcome : {false, true}) {
      const double weight = branch.weight * (outcome ? p : 1.0 - p);
      if (weight < tolerance_of(request_).rare) {
        lost_ += weight;
        continue;
      }
      fork(outcome ? out.second : out.first).weight = weight;
    }
    if (out.first && out.second && ++splits_ > limits_.branches)
      throw Error(ErrorCode::kLimitExceeded, "exact values need more than " + std::to_string(limits_.branches) +
                                                 " outcomes to be followed (branches); ask for counts instead");
  } else {
    auto [zeros, ones] = branch.records.split(p);
    if (ones.size() != 0) {
      if (zeros.size() != 0) fork(out.first).records = std::move(zeros);
      fork(out.second).records = std::move(ones);
    } else {
      fork(out.first).records = std::move(zeros);
    }
  }
  return out;
}

void Follower::take(Branch& branch, const Step& step, bool outcome, double probability) const {
  const bool reset = step.kind == StepKind::kReset;
  if (branch.state) {
    branch.state->project(step.qubit, outcome, probability);
    if (reset && outcome) branch.state->flip(step.qubit);
  }
  branch.records.advance_seeds(outcome ? 1 : 0);
  if (!reset) branch.records.set_bit(step.at, outcome);
  if (paths_) branch.path.push_back(outcome);
}

void Follower::put_aside(Branch&& branch, Mode mode) {
  if (mode == Mode::kTogether) return wait(std::move(branch));
  deep_.push_back(std::move(branch));
}

// ---- branches that wait

void Follower::wait(Branch&& branch) {
  auto& there = waiting_[{flow_.blocks[branch.block].rank, branch.step}];
  if (branch.meeting) {
    for (Branch& other : there)
      if (joins(other, branch)) return give_back(std::move(branch.state));
  }
  there.push_back(std::move(branch));
  ++num_waiting_;
}

// Whether both go on alike; then `waiting` has the shots of both.
bool Follower::joins(Branch& waiting, Branch& arriving) {
  if (waiting.meeting != arriving.meeting) return false;
  const Meeting& meeting = flow_.meetings[*arriving.meeting];
  for (const uint32_t v : meeting.variables)
    if (waiting.variables[v] != arriving.variables[v]) return false;
  const uint64_t *a = waiting.records.key(0), *b = arriving.records.key(0);
  for (size_t w = 0; w < meeting.bits.size(); ++w)
    if ((a[w] ^ b[w]) & meeting.bits[w]) return false;
  const auto same = [](const FinalBit& x, const FinalBit& y) { return x.qubit == y.qubit && x.bit == y.bit; };
  if (!std::equal(waiting.finals.begin(), waiting.finals.end(), arriving.finals.begin(), arriving.finals.end(), same))
    return false;
  arriving.state->arrange(waiting.state->layout(), stop_);
  if (!waiting.state->same_up_to_phase(*arriving.state, tolerance_of(request_).same)) return false;
  if (!exact_) waiting.records.add_all(arriving.records);
  waiting.weight += arriving.weight;
  waiting.steps = std::max(waiting.steps, arriving.steps);
  return true;
}

// ---- branches followed to their end one after another

void Follower::finish_deep(Branch&& branch) {
  deep_.push_back(std::move(branch));
  while (!deep_.empty()) {
    const bool counted = paths_ && deep_.back().state != nullptr && !deep_.back().path.empty();
    if (!deep_.back().state) simulate_again(deep_.back());
    Branch now = std::move(deep_.back());
    deep_.pop_back();
    finish(now, advance(now, Mode::kDeep));
    if (counted) ++copies_left_;
  }
}

// From the beginning, with the outcomes that led here.
void Follower::simulate_again(Branch& branch) {
  Branch again = first_branch(1, 0);
  advance(again, Mode::kAgain);
  branch.state = std::move(again.state);
}

// ---- states

std::unique_ptr<State> Follower::new_state() {
  if (spares_.empty()) {
    const unsigned rank_bits = request_.comm == nullptr ? 0 : request_.comm->rank_bits();
    return std::make_unique<State>(kernels_, flow_.qubits - rank_bits, pool_, false, stop_, request_.comm);
  }
  auto state = std::move(spares_.back());
  spares_.pop_back();
  return state;
}

std::unique_ptr<State> Follower::copy_of(const State& state) {
  auto copy = new_state();
  copy->copy_from(state);
  return copy;
}

void Follower::give_back(std::unique_ptr<State> state) {
  if (state && spares_.size() < std::max<size_t>(limits_.waiting / 8, 1)) spares_.push_back(std::move(state));
}

}  // namespace qfw::simenv
