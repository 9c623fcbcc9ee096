// Derivatives of the gate table's matrices with respect to one angle.
#pragma once

#include <span>

#include "program/native/gates.h"

namespace qfw::simenv {

// d(matrix of the base gate) / d(angles[which]), row-major like Gate::matrix. Exact up to rounding for every gate whose
// entries are trigonometric in each angle with frequencies 0, 1/2 and 1, as all of the table are: a four-term shift
// rule (D. Wierichs et al., arXiv:2107.12390), or one evaluation where the frequency is 1/2 throughout.
void derivative(const program::Gate& gate, std::span<const double> angles, unsigned which, program::Complex* out);

}  // namespace qfw::simenv
