// The builder in Python, with the bulk path that adapters convert circuits by.
#include <array>

#include "program/native/bind.h"
#include "program/native/builder.h"

namespace py = pybind11;

namespace qfw::program {
namespace {

// Operation numbers of extend() that are not gates.
constexpr long kMeasureCode = -1;
constexpr long kResetCode = -2;
constexpr long kBarrierCode = -3;
constexpr long kUnitaryCode = -4;

// The items of a list or tuple, or of anything iterable made into one.
class Items {
 public:
  Items(py::handle given, const char* what)
      : object_(py::reinterpret_steal<py::object>(PySequence_Fast(given.ptr(), what))) {
    if (!object_) throw py::error_already_set();
  }
  size_t size() const { return static_cast<size_t>(PySequence_Fast_GET_SIZE(object_.ptr())); }
  py::handle operator[](size_t i) const { return PySequence_Fast_GET_ITEM(object_.ptr(), static_cast<Py_ssize_t>(i)); }

 private:
  py::object object_;
};

// Buffers kept between operations.
struct Scratch {
  std::vector<uint32_t> qubits;
  std::vector<Angle> angles;

  void read_qubits(py::handle given) {
    qubits.clear();
    if (PyLong_Check(given.ptr())) {
      qubits.push_back(index_from(given, "qubit"));
      return;
    }
    const Items items(given, "qubits are a sequence of integers");
    for (size_t i = 0; i < items.size(); ++i) qubits.push_back(index_from(items[i], "qubit"));
  }

  void read_angles(py::handle given) {
    angles.clear();
    const Items items(given, "params are a sequence of numbers");
    for (size_t i = 0; i < items.size(); ++i) angles.push_back(angle_from(items[i]));
  }
};

uint16_t controls_from(py::handle given) {
  const uint32_t controls = index_from(given, "controls");
  if (controls > 0xffff) {
    throw Error(ErrorCode::kLimitExceeded, std::to_string(controls) + " controls is above the limit of 65535");
  }
  return static_cast<uint16_t>(controls);
}

void add_gate(ProgramBuilder& b, const py::object& given, const py::object& qubits, const py::object& params,
              const py::object& controls) {
  Scratch scratch;
  scratch.read_qubits(qubits);
  scratch.read_angles(params);
  b.gate(gate_from(given).id, scratch.qubits, scratch.angles, controls_from(controls));
}

void add_unitary(ProgramBuilder& b, const py::object& matrix, const py::object& qubits, const py::object& controls) {
  Scratch scratch;
  scratch.read_qubits(qubits);
  const auto array = MatrixArray::ensure(matrix);
  if (!array) throw py::error_already_set();
  b.unitary(matrix_entries(array), scratch.qubits, controls_from(controls));
}

void add_barrier(ProgramBuilder& b, const py::object& qubits) {
  Scratch scratch;
  if (qubits.is_none()) {
    for (uint32_t q = 0; q < b.num_qubits(); ++q) scratch.qubits.push_back(q);
  } else {
    scratch.read_qubits(qubits);
  }
  b.barrier(scratch.qubits);
}

void add_special(ProgramBuilder& b, long code, const Items& op, Scratch& scratch, uint16_t controls) {
  switch (code) {
    case kMeasureCode: {
      const Items bits(op.size() > 2 ? op[2] : py::handle(py::tuple()), "bits are a sequence of integers");
      if (scratch.qubits.size() != bits.size()) throw py::value_error("a measurement needs as many bits as qubits");
      for (size_t i = 0; i < bits.size(); ++i) b.measure(scratch.qubits[i], index_from(bits[i], "bit"));
      return;
    }
    case kResetCode:
      for (const uint32_t q : scratch.qubits) b.reset(q);
      return;
    case kBarrierCode:
      return b.barrier(scratch.qubits);
    case kUnitaryCode: {
      const Items params(op.size() > 2 ? op[2] : py::handle(py::tuple()), "params of a unitary are (matrix,)");
      if (params.size() != 1) throw py::value_error("params of a unitary are (matrix,)");
      const auto array = MatrixArray::ensure(params[0]);
      if (!array) throw py::error_already_set();
      return b.unitary(matrix_entries(array), scratch.qubits, controls);
    }
    default:
      throw Error(ErrorCode::kUnknownGate, "operation " + std::to_string(code) + " is not a gate, nor -1..-4");
  }
}

void add_operation(ProgramBuilder& b, py::handle given, Scratch& scratch) {
  const Items op(given, "an operation is (gate, qubits, params[, controls])");
  if (op.size() < 2 || op.size() > 4) throw py::value_error("an operation is (gate, qubits, params[, controls])");
  scratch.read_qubits(op[1]);
  const uint16_t controls = op.size() > 3 ? controls_from(op[3]) : 0;
  PyObject* code = op[0].ptr();
  if (PyLong_Check(code)) {
    int overflow = 0;
    const long number = PyLong_AsLongAndOverflow(code, &overflow);
    if (overflow == 0 && number < 0) return add_special(b, number, op, scratch, controls);
  }
  if (op.size() > 2) {
    scratch.read_angles(op[2]);
  } else {
    scratch.angles.clear();
  }
  b.gate(gate_from(op[0]).id, scratch.qubits, scratch.angles, controls);
}

// All operations or none; an error says which one.
void extend(ProgramBuilder& b, const py::object& operations) {
  const Items ops(operations, "extend() takes a sequence of operations");
  const auto mark = b.mark();
  Scratch scratch;
  size_t i = 0;
  try {
    for (; i < ops.size(); ++i) add_operation(b, ops[i], scratch);
  } catch (const Error& error) {
    b.rewind(mark);
    throw Error(error.code(), "operation " + std::to_string(i) + ": " + error.what());
  } catch (...) {
    b.rewind(mark);
    throw;
  }
}

}  // namespace

void bind_builder(py::module_& m) {
  m.attr("MEASURE") = kMeasureCode;
  m.attr("RESET") = kResetCode;
  m.attr("BARRIER") = kBarrierCode;
  m.attr("UNITARY") = kUnitaryCode;
  py::class_<ProgramBuilder> builder(m, "Builder", "Builds a Program instruction by instruction.");
  builder
      .def(py::init([](const py::object& qubits, const py::object& bits) {
             return ProgramBuilder(index_from(qubits, "num_qubits"), index_from(bits, "num_bits"));
           }),
           py::arg("num_qubits"), py::arg("num_bits") = 0)
      .def_property_readonly("num_qubits", &ProgramBuilder::num_qubits)
      .def_property_readonly("num_bits", &ProgramBuilder::num_bits)
      .def("parameter", &ProgramBuilder::parameter, py::arg("name") = "", "A new parameter slot; returns its index.")
      .def(
          "register",
          [](ProgramBuilder& b, std::string_view name, const py::object& first, const py::object& size) {
            b.add_register(name, index_from(first, "first bit"), index_from(size, "size"));
          },
          py::arg("name"), py::arg("first"), py::arg("size"), "Names `size` bits from `first`.")
      .def("global_phase", &ProgramBuilder::global_phase, py::arg("radians"), "Adds to the global phase.")
      .def("gate", &add_gate, py::arg("gate"), py::arg("qubits"), py::arg("params") = py::tuple(),
           py::arg("controls") = 0, "Adds a gate; `controls` further controls come first in `qubits`.")
      .def("unitary", &add_unitary, py::arg("matrix"), py::arg("qubits"), py::arg("controls") = 0,
           "Adds a 1- or 2-qubit matrix, first target least significant.")
      .def(
          "measure",
          [](ProgramBuilder& b, const py::object& qubit, const py::object& bit) {
            b.measure(index_from(qubit, "qubit"), index_from(bit, "bit"));
          },
          py::arg("qubit"), py::arg("bit"))
      .def(
          "reset", [](ProgramBuilder& b, const py::object& qubit) { b.reset(index_from(qubit, "qubit")); },
          py::arg("qubit"))
      .def("barrier", &add_barrier, py::arg("qubits") = py::none(), "On all qubits when none are named.")
      .def("extend", &extend, py::arg("operations"),
           "Adds (gate, qubits, params[, controls]) tuples, all or none; MEASURE takes bits as params, UNITARY "
           "(matrix,).")
      .def("finish", &ProgramBuilder::finish, "The Program so far; the builder stays usable.");
  bind_dynamic(builder);
}

}  // namespace qfw::program
