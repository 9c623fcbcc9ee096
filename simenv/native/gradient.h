// Derivatives of expectation values with respect to a program's parameters, by the adjoint method (T. Jones and
// J. Gacon, arXiv:2009.02823): the state and, for each observable H, lambda = H |state> go back through the circuit
// together. Where an operation U depends on parameters, the matrix of sums conj(lambda) * state over its targets is
// taken once, and every parameter inside U, fused or not, is read off from it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "program/native/observable.h"
#include "simenv/native/plan.h"
#include "simenv/native/state.h"
#include "simenv/native/stop.h"

namespace qfw::simenv {

// What the backward sweep needs beside the Plan, made once for a Program.
class GradientPlan {
 public:
  explicit GradientPlan(const Plan& plan);  // keeps a reference

  const Plan& plan() const noexcept { return plan_; }

 private:
  friend class BackwardSweep;

  struct Leaf {  // one angle of one gate
    uint32_t recipe = 0;
    uint32_t parameter = 0;
    double scale = 0.0;
    uint8_t angle = 0;
    uint8_t subset = 0;  // of a diagonal gate: whose factor
  };
  struct Member {  // an operation of a product, or the operation itself
    PlanOp op;
    uint32_t first = 0, last = 0;  // leaves
  };
  struct Site {  // an operation or a term of a layer that has leaves
    Kind kind = Kind::kPhase;
    uint8_t a = 0;                 // as in Product
    uint32_t first = 0, last = 0;  // members
  };

  uint32_t site_of(const PlanOp& op, const std::vector<uint32_t>& recipe_at, const std::vector<uint32_t>& product_at);
  void add_member(const PlanOp& op, const std::vector<uint32_t>& recipe_at);

  const Plan& plan_;
  std::vector<double> adjoint_constants_;
  std::vector<Leaf> leaves_;
  std::vector<Member> members_;
  std::vector<Site> sites_;
  std::vector<uint32_t> op_sites_, term_sites_;  // of Plan::ops and Plan::terms; kNowhere: none
  std::vector<uint64_t> touched_;                // before each window: the qubits that may read 1
};

// d <H_o> / d parameter, row-major: observables x `parameters` (empty: all `num_parameters`). `row` holds the
// parameters' values, `values` what Plan::evaluate made of them; `state` is the final state of plan.plan() and is used
// up. At most `batch` further states are kept at a time.
std::vector<double> gradients(const GradientPlan& plan, std::span<const double> row, const double* values,
                              std::span<const program::PauliSum> observables, std::span<const uint32_t> parameters,
                              uint32_t num_parameters, size_t batch, State& state, const Stop& stop);

}  // namespace qfw::simenv
