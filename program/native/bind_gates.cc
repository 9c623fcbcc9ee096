// The gate table in Python.
#include "program/native/bind.h"
#include "program/native/error.h"

namespace py = pybind11;

namespace qfw::program {

uint32_t index_from(py::handle value, const char* what) {
  const auto checked = [&](PyObject* number) {
    int overflow = 0;
    const long long v = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow != 0 || v < 0 || v > int64_t{0xffffffff}) {
      throw Error(ErrorCode::kInvalidArgument,
                  std::string(what) + " " + py::str(number).cast<std::string>() + " is outside 0..4294967295");
    }
    return static_cast<uint32_t>(v);
  };
  if (PyLong_CheckExact(value.ptr())) return checked(value.ptr());
  const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!number) throw py::error_already_set();
  return checked(number.ptr());
}

const Gate& gate_from(py::handle given) {
  if (PyLong_Check(given.ptr()))
    return gate(GateId{static_cast<uint16_t>(std::min(index_from(given, "gate"), 0xffffu))});
  if (PyUnicode_Check(given.ptr())) return gate(given.cast<std::string_view>());
  if (py::isinstance<Gate>(given)) return *given.cast<const Gate*>();
  throw py::type_error("a gate is a number, a name or a Gate, got " + py::repr(given).cast<std::string>());
}

Angle angle_from(py::handle value) {
  const auto number = [](PyObject* object) {
    const double v = PyFloat_AsDouble(object);
    if (v == -1.0 && PyErr_Occurred()) throw py::error_already_set();
    return v;
  };
  PyObject* object = value.ptr();
  if (PyFloat_CheckExact(object)) return {PyFloat_AS_DOUBLE(object), 0.0, kNoParameter};
  if (!PyTuple_Check(object)) return {number(object), 0.0, kNoParameter};
  if (PyTuple_GET_SIZE(object) != 3) throw py::type_error("an affine angle is (parameter, scale, offset)");
  const py::handle slot = PyTuple_GET_ITEM(object, 0);
  const uint32_t limit = kFirstVariable - 1;  // beyond what any program has
  const uint32_t index = py::isinstance<VariableRef>(slot)
                             ? kFirstVariable + std::min(slot.cast<VariableRef>().index, limit - 1)
                             : std::min(index_from(slot, "parameter"), limit);
  return {number(PyTuple_GET_ITEM(object, 2)), number(PyTuple_GET_ITEM(object, 1)), index};
}

py::object slot_to(const Angle& angle) {
  if (angle.constant()) return py::none();
  if (angle.of_variable()) return py::cast(VariableRef{angle.variable()});
  return py::int_(angle.parameter);
}

py::object angle_to(const Angle& angle) {
  if (angle.constant()) return py::float_(angle.offset);
  return py::make_tuple(slot_to(angle), angle.scale, angle.offset);
}

std::span<const Complex> matrix_entries(const MatrixArray& matrix) {
  if (matrix.ndim() != 2 || matrix.shape(0) != matrix.shape(1)) {
    throw Error(ErrorCode::kInvalidArgument,
                "a matrix must be square, got shape " + py::str(matrix.attr("shape")).cast<std::string>());
  }
  return {matrix.data(), static_cast<size_t>(matrix.size())};
}

namespace {

py::array_t<Complex> gate_matrix(const Gate& row, const py::sequence& params, uint32_t controls) {
  std::vector<double> values;
  for (const py::handle value : params) values.push_back(value.cast<double>());
  const std::vector<Complex> full = full_matrix(row, values, controls);
  const auto dim = static_cast<py::ssize_t>(size_t{1} << (row.qubits + controls));
  py::array_t<Complex> out({dim, dim});
  std::copy(full.begin(), full.end(), out.mutable_data());
  return out;
}

py::tuple gate_inverse(const Gate& row, const py::sequence& params) {
  std::vector<Angle> angles;
  for (const py::handle value : params) angles.push_back(angle_from(value));
  if (angles.size() != row.params) {
    throw Error(ErrorCode::kInvalidArgument, "gate '" + std::string(row.name) + "' takes " +
                                                 std::to_string(row.params) + " parameter(s), got " +
                                                 std::to_string(angles.size()));
  }
  const Gate& inverse = gate(invert(row, angles));
  py::tuple out(angles.size());
  for (size_t i = 0; i < angles.size(); ++i) out[i] = angle_to(angles[i]);
  return py::make_tuple(py::cast(&inverse, py::return_value_policy::reference), out);
}

py::tuple aliases_of(const Gate& row) {
  py::list names;
  for (const Alias& alias : aliases()) {
    if (alias.gate == row.id) names.append(alias.name);
  }
  return py::tuple(names);
}

template <GateFlags flag>
bool has_flag(const Gate& row) {
  return (row.flags & flag) != 0;
}

}  // namespace

void bind_gates(py::module_& m) {
  using Row = const Gate&;
  py::class_<Gate, std::unique_ptr<Gate, py::nodelete>>(m, "Gate", "One row of the gate table.")
      .def(py::init([](const py::object& given) { return const_cast<Gate*>(&gate_from(given)); }), py::arg("gate"),
           "The row with this name or number; UnknownGate.")
      .def_property_readonly(
          "id", [](Row g) { return static_cast<int>(g.id); }, "Stable number, used in program bytes.")
      .def_property_readonly(
          "name", [](Row g) { return g.name; }, "OpenQASM 3 name.")
      .def_property_readonly("aliases", &aliases_of, "Other OpenQASM names of the row.")
      .def_property_readonly(
          "qubits", [](Row g) { return int{g.qubits}; }, "Number of qubits, own controls included.")
      .def_property_readonly("params", [](Row g) { return int{g.params}; })
      .def_property_readonly(
          "controls", [](Row g) { return int{g.controls}; }, "How many of the first qubits control.")
      .def_property_readonly(
          "base", [](Row g) { return &gate(g.base); }, py::return_value_policy::reference,
          "The row without its controls; itself where there is none.")
      .def_property_readonly(
          "flags", [](Row g) { return g.flags; }, "Bits of GateFlags.")
      .def_property_readonly("diagonal", &has_flag<kDiagonal>)
      .def_property_readonly("permutation", &has_flag<kPermutation>, "One non-zero entry per matrix row.")
      .def_property_readonly("self_inverse", &has_flag<kSelfInverse>)
      .def_property_readonly(
          "qiskit", [](Row g) { return g.qiskit; }, "Class name in qiskit.circuit.library, or ''.")
      .def_property_readonly(
          "pennylane", [](Row g) { return g.pennylane; }, "Operation name in PennyLane, or ''.")
      .def_property_readonly(
          "qasm2", [](Row g) { return g.qasm2; }, "Name in qelib1, or ''.")
      .def_property_readonly(
          "qir", [](Row g) { return g.qir; }, "Stem of __quantum__qis__<stem>, or ''.")
      .def_property_readonly("help", [](Row g) { return g.help; })
      .def("matrix", &gate_matrix, py::arg("params") = py::tuple(), py::arg("controls") = 0,
           "The matrix with all controls (`controls` further ones come first), first qubit least significant.")
      .def("inverse", &gate_inverse, py::arg("params") = py::tuple(),
           "(gate, params) of the inverse; params may be affine.")
      .def("__reduce__",
           [](const py::object& self) { return py::make_tuple(py::type::of(self), py::make_tuple(self.attr("id"))); })
      .def("__eq__", [](Row g, const py::object& o) { return py::isinstance<Gate>(o) && &g == o.cast<const Gate*>(); })
      .def("__hash__", [](Row g) { return static_cast<int>(g.id); })
      .def("__repr__", [](Row g) { return "<Gate " + std::string(g.name) + ">"; });
  m.def(
      "gates",
      [] {
        py::list rows;
        for (const Gate& row : gates()) rows.append(py::cast(&row, py::return_value_policy::reference));
        return rows;
      },
      "All rows, ordered by id.");
  m.def(
      "gate", [](const py::object& given) { return &gate_from(given); }, py::arg("gate"),
      py::return_value_policy::reference, "The row with this name or number. UnknownGate.");
}

}  // namespace qfw::program
