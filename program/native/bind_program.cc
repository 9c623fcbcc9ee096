// qfw._core.program: programs, the gate table, Pauli sums, and the translation of qfw::Error. One class per file.
#include <pybind11/pybind11.h>

#include "program/native/bind.h"
#include "program/native/error.h"
#include "program/native/format.h"
#include "program/native/program.h"

namespace py = pybind11;

namespace qfw {
namespace {

// qfw::Error becomes the class of qfw.program.errors with its number.
void translate(std::exception_ptr pending) {
  try {
    if (pending) std::rethrow_exception(pending);
  } catch (const Error& error) {
    const py::object make = py::module_::import("qfw.program.errors").attr("from_code");
    const py::object raised =
        make(static_cast<int>(error.code()), py::str(error.what()), error.transient(), error.retry_after_s());
    PyErr_SetObject(py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(Py_TYPE(raised.ptr()))).ptr(),
                    raised.ptr());
  }
}

}  // namespace

void bind_program(py::module_& m) {
  py::register_exception_translator(&translate);
  m.attr("FORMAT_VERSION") = program::format::kVersion;
  m.attr("MAX_QUBITS") = program::kMaxQubits;
  m.attr("MAX_BITS") = program::kMaxBits;
  m.attr("MAX_PARAMETERS") = program::kMaxParameters;
  m.attr("MAX_INSTRUCTIONS") = program::kMaxInstructions;
  m.attr("MAX_BLOCKS") = program::kMaxBlocks;
  m.attr("MAX_VARIABLES") = program::kMaxVariables;
  program::bind_refs(m);
  program::bind_gates(m);
  program::bind_view(m);
  program::bind_builder(m);
  program::bind_observable(m);
}

}  // namespace qfw
