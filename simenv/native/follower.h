// Follows the branches of a Flow; what is done with those that end is up to a derived class. Internal to branch.cc.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "simenv/native/branch.h"
#include "simenv/native/records.h"

namespace qfw::simenv {

// How far a branch is, and what it has found.
struct Progress {
  uint32_t block = 0;
  uint32_t step = 0;
  uint64_t steps = 0;               // instructions executed so far
  std::optional<uint32_t> meeting;  // waits there
  double weight = 1.0;              // its probability, when exact values are wanted
  std::vector<uint64_t> variables;
  Records records;
  std::vector<FinalBit> finals;  // measurements to be read from the final state
  std::vector<bool> path;        // outcomes so far, where branches may have to be simulated again
};

// One way through the program, or several that have met.
struct Branch : Progress {
  std::unique_ptr<State> state;  // null: to be simulated again
};

class Follower {
 public:
  Follower(const program::Program& program, const Flow& flow, const Kernels& kernels, const Request& request,
           ThreadPool* pool, const Stop& stop, const BranchLimits& limits, bool exact);
  virtual ~Follower() = default;

  void run(uint64_t shots, uint64_t seed);

 protected:
  virtual void end(Branch& branch) = 0;

  const program::Program& program_;
  const Flow& flow_;
  const Kernels& kernels_;
  const Request& request_;
  ThreadPool* pool_;
  const Stop& stop_;

 private:
  enum class Mode { kTogether, kDeep, kAgain };
  enum class Halt { kEnded, kMeets, kCrowded, kReplayed, kLost };
  using Place = std::pair<uint32_t, uint32_t>;  // rank, step

  Branch first_branch(uint64_t shots, uint64_t seed);
  Halt advance(Branch& branch, Mode mode);
  bool next_block(Branch& branch);  // whether there is one
  void charge(Branch& branch) const;
  void apply(Branch& branch, const GateRun& run, uint32_t at);
  const Plan& plan_of(const GateRun& run, uint32_t at, const Layout& layout);
  void classical(Branch& branch, const program::Instruction& instruction) const;
  bool measure(Branch& branch, const Step& step, Mode mode);  // false: too rare to go on
  void finish(Branch& branch, Halt halt);
  void take(Branch& branch, const Step& step, bool outcome, double probability) const;
  std::pair<std::optional<Branch>, std::optional<Branch>> outcomes(const Branch& branch, double one, double all);
  void put_aside(Branch&& branch, Mode mode);
  void wait(Branch&& branch);
  bool joins(Branch& waiting, Branch& arriving);
  void finish_deep(Branch&& branch);
  void simulate_again(Branch& branch);

  std::unique_ptr<State> new_state();
  std::unique_ptr<State> copy_of(const State& state);
  void give_back(std::unique_ptr<State> state);

  const BranchLimits limits_;
  const bool exact_;
  const bool paths_;  // branches may have to be simulated again
  size_t copies_left_;
  uint64_t splits_ = 0;
  double lost_ = 0.0;  // probability of outcomes too rare to follow
  std::map<Place, std::vector<Branch>> waiting_;
  size_t num_waiting_ = 0;
  std::vector<Branch> deep_;  // the last one is the deepest
  std::vector<std::unique_ptr<State>> spares_;
  std::map<std::pair<uint32_t, Layout>, std::unique_ptr<const Plan>> slice_plans_;  // by run
  std::vector<std::vector<double>> rows_;   // of the gate runs that follow no variable
  std::vector<double> row_, variable_row_;  // of the run at hand; parameters and variables
};

}  // namespace qfw::simenv
