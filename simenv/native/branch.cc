#include "simenv/native/branch.h"

#include <memory>
#include <utility>
#include <vector>

#include "simenv/native/rng.h"
#include "simenv/native/sample.h"

namespace qfw::simenv {

namespace {

// A branch put aside: where it stands, and its state or, without one, the outcomes that lead to it.
struct Branch {
  size_t event = 0;  // the next event to come (all before it have happened)
  uint64_t shots = 0;
  uint64_t seed = 0;           // of this path
  std::vector<uint64_t> key;   // bits measured so far
  std::vector<bool> outcomes;  // of the events before
  std::unique_ptr<State> state;
};

class Follower {
 public:
  Follower(const Plan& plan, const Kernels& kernels, const double* row, ThreadPool* pool, const Stop& stop,
           size_t max_copies, Tally& tally)
      : plan_(plan), kernels_(kernels), row_(row), pool_(pool), stop_(stop), copies_left_(max_copies), tally_(tally) {}

  void run(uint64_t shots, uint64_t seed) {
    Branch first;
    first.shots = shots;
    first.seed = seed;
    first.key.assign(tally_.words(), 0);
    waiting_.push_back(std::move(first));
    while (!waiting_.empty()) {
      Branch branch = std::move(waiting_.back());
      waiting_.pop_back();
      const bool copied = branch.state != nullptr;
      if (!copied) branch.state = replay(branch.outcomes);
      follow(branch);
      spare_ = std::move(branch.state);
      if (copied) ++copies_left_;
    }
  }

 private:
  std::unique_ptr<State> new_state() {
    if (spare_) return std::move(spare_);
    return std::make_unique<State>(kernels_, plan_.qubits, pool_, false, stop_);
  }

  std::unique_ptr<State> replay(const std::vector<bool>& outcomes) {
    auto state = new_state();
    state->start({row_[0], row_[1]});
    for (size_t e = 0; e < outcomes.size(); ++e) {
      state->apply(plan_, e, row_, stop_);
      settle(*state, plan_.events[e], outcomes[e], share(*state, plan_.events[e], outcomes[e]));
    }
    return state;
  }

  static double share(const State& state, const Event& event, bool outcome) {
    const double one = state.norm(uint64_t{1} << event.qubit), all = state.norm(0);
    return outcome ? one : all - one;
  }

  static void settle(State& state, const Event& event, bool outcome, double probability) {
    state.project(event.qubit, outcome, probability);
    if (event.reset && outcome) state.flip(event.qubit);
  }

  void note(Branch& branch, const Event& event, bool outcome) const {
    branch.outcomes.push_back(outcome);
    branch.seed = derive_seed(branch.seed, outcome ? 1 : 0);
    ++branch.event;
    if (event.bit == kNowhere) return;
    uint64_t& word = branch.key[event.bit / 64];
    const uint64_t bit = uint64_t{1} << event.bit % 64;
    word = outcome ? word | bit : word & ~bit;
  }

  void follow(Branch& branch) {
    State& state = *branch.state;
    while (branch.event < plan_.events.size()) {
      const Event& event = plan_.events[branch.event];
      state.apply(plan_, branch.event, row_, stop_);
      stop_.check();
      const double one = state.norm(uint64_t{1} << event.qubit), all = state.norm(0);
      const uint64_t ones = Random(branch.seed, Purpose::kBranch).binomial(branch.shots, one / all);
      if (ones != 0 && ones != branch.shots) put_aside(branch, event, ones, one);
      const bool outcome = ones == branch.shots;
      if (!outcome) branch.shots -= ones;
      settle(state, event, outcome, outcome ? one : all - one);
      note(branch, event, outcome);
    }
    state.apply(plan_, branch.event, row_, stop_);
    sample(state, plan_.final_bits, branch.shots, branch.seed, branch.key.data(), tally_, stop_);
  }

  // The branch of outcome 1, for later.
  void put_aside(const Branch& branch, const Event& event, uint64_t shots, double probability) {
    Branch other;
    other.event = branch.event;
    other.shots = shots;
    other.seed = branch.seed;
    other.key = branch.key;
    other.outcomes = branch.outcomes;
    if (copies_left_ != 0) {
      --copies_left_;
      other.state = new_state();
      other.state->copy_from(*branch.state);
      settle(*other.state, event, true, probability);
    }
    note(other, event, true);
    waiting_.push_back(std::move(other));
  }

  const Plan& plan_;
  const Kernels& kernels_;
  const double* row_;
  ThreadPool* pool_;
  const Stop& stop_;
  size_t copies_left_;
  Tally& tally_;
  std::vector<Branch> waiting_;  // the last one is the deepest
  std::unique_ptr<State> spare_;
};

}  // namespace

void follow_branches(const Plan& plan, const Kernels& kernels, const Request& request, const double* row,
                     ThreadPool* pool, const Stop& stop, size_t max_copies, Tally& tally) {
  Follower(plan, kernels, row, pool, stop, max_copies, tally).run(request.shots, request.seed);
}

}  // namespace qfw::simenv
