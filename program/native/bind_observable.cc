// Pauli sums in Python.
#include <cmath>

#include "program/native/bind.h"
#include "program/native/error.h"
#include "program/native/observable.h"

namespace py = pybind11;

namespace qfw::program {
namespace {

double coefficient_from(py::handle value) {
  if (PyComplex_Check(value.ptr())) {
    const Py_complex c = PyComplex_AsCComplex(value.ptr());
    if (c.imag != 0.0) {
      throw Error(ErrorCode::kInvalidArgument, "coefficient " + py::str(value).cast<std::string>() + " is not real");
    }
    return c.real;
  }
  const double v = PyFloat_AsDouble(value.ptr());
  if (v == -1.0 && PyErr_Occurred()) throw py::error_already_set();
  return v;
}

PauliTerm term_from(py::handle given) {
  const auto [coefficient, letters, qubits] = given.cast<std::tuple<py::object, std::string, py::sequence>>();
  if (letters.size() != qubits.size()) {
    throw Error(ErrorCode::kInvalidArgument, "'" + letters.substr(0, 64) + "' names " + std::to_string(letters.size()) +
                                                 " factors on " + std::to_string(qubits.size()) + " qubits");
  }
  PauliTerm term{coefficient_from(coefficient), {}};
  for (size_t i = 0; i < letters.size(); ++i) {
    const uint32_t qubit = index_from(qubits[i], "qubit");
    const char letter = letters[i];
    if (letter == 'I') continue;
    if (letter < 'X' || letter > 'Z') {
      throw Error(ErrorCode::kInvalidArgument, std::string("Pauli letter '") + letter + "' is not one of IXYZ");
    }
    term.factors.push_back({qubit, static_cast<Pauli>(letter - 'X' + 1)});
  }
  return term;
}

PauliSum sum_from(const py::iterable& terms) {
  PauliSum sum;
  for (const py::handle term : terms) sum.terms.push_back(term_from(term));
  sum.validate(0xffffffffu);
  return sum;
}

py::list terms_of(const PauliSum& sum) {
  py::list out;
  for (const PauliTerm& term : sum.terms) {
    std::string letters;
    py::list qubits;
    for (const PauliFactor& f : term.factors) {
      letters += static_cast<char>('X' + static_cast<int>(f.pauli) - 1);
      qubits.append(f.qubit);
    }
    out.append(py::make_tuple(term.coefficient, letters, qubits));
  }
  return out;
}

}  // namespace

void bind_observable(py::module_& m) {
  py::class_<PauliSum>(m, "PauliSum", "A real sum of products of Pauli operators.")
      .def(py::init(&sum_from), py::arg("terms"), "terms: an iterable of (coefficient, letters, qubits).")
      .def_property_readonly("terms", &terms_of)
      .def("validate", &PauliSum::validate, py::arg("num_qubits"), "InvalidArgument when a term names another qubit.")
      .def("__len__", [](const PauliSum& s) { return s.terms.size(); })
      .def("__eq__",
           [](const PauliSum& s, const py::object& o) {
             return py::isinstance<PauliSum>(o) && terms_of(s).equal(terms_of(o.cast<const PauliSum&>()));
           })
      .def("__repr__", [](const PauliSum& s) { return "PauliSum(" + py::repr(terms_of(s)).cast<std::string>() + ")"; })
      .def("__reduce__", [](const py::object& self) {
        return py::make_tuple(py::type::of(self), py::make_tuple(self.attr("terms")));
      });
}

}  // namespace qfw::program
