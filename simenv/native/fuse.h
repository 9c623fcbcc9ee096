// Fewer, denser operations: single-qubit runs become one matrix, neighbours become a dense two-qubit matrix where that
// costs less.
#pragma once

#include "simenv/native/plan.h"

namespace qfw::simenv {

// States below are too small for the planning to pay.
constexpr unsigned kFuseQubits = 11;

void fuse(Plan& plan);

// The product's coefficients (2, 8 or 32 doubles) from its members' in the plan's pool and the row's.
void multiply(const Plan& plan, const Product& product, const double* row, double* out);

// Cost per amplitude of one operation, about the floating-point operations of its kernel or its share of a pass.
double cost_of(const PlanOp& op) noexcept;

}  // namespace qfw::simenv
