// What the binding files of this room share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "program/native/builder.h"
#include "program/native/classical.h"
#include "program/native/gates.h"

namespace qfw::program {

void bind_gates(pybind11::module_& m);
void bind_view(pybind11::module_& m);
void bind_builder(pybind11::module_& m);
void bind_observable(pybind11::module_& m);
void bind_refs(pybind11::module_& m);
void bind_dynamic(pybind11::class_<ProgramBuilder>& builder);

// Python's Var and Bit.
struct VariableRef {
  uint32_t index;
};
struct BitRef {
  uint32_t index;
};

Operand operand_from(pybind11::handle value);  // a Var, a Bit, a bool, an int or a float; the type of a Var is open
pybind11::object operand_to(const Operand& operand);
pybind11::object value_to(VariableType type, uint64_t bits);

// A gate given by number, name or row. UnknownGate, TypeError.
const Gate& gate_from(pybind11::handle gate);

// An angle given as a number or an Affine (a tuple of parameter or Var, scale, offset).
Angle angle_from(pybind11::handle value);
pybind11::object angle_to(const Angle& angle);  // float, or a tuple (parameter or Var, scale, offset)
pybind11::object slot_to(const Angle& angle);   // the parameter, Var, or None

// A non-negative integer below 2^32, from anything with __index__; `what` names it in the error.
uint32_t index_from(pybind11::handle value, const char* what);

// A square complex matrix in row-major order; the array keeps it alive.
using MatrixArray = pybind11::array_t<Complex, pybind11::array::c_style | pybind11::array::forcecast>;
std::span<const Complex> matrix_entries(const MatrixArray& matrix);  // InvalidArgument when not square

}  // namespace qfw::program
