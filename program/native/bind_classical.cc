// Operands of classical instructions in Python, and the builder's calls for dynamic programs.
#include <pybind11/operators.h>

#include <bit>

#include "program/native/bind.h"
#include "program/native/builder.h"

namespace py = pybind11;

namespace qfw::program {
namespace {

template <typename Ref>
void bind_ref(py::module_& m, const char* name, const char* doc) {
  const std::string shown = name;
  py::class_<Ref>(m, name, doc)
      .def(py::init([shown](const py::object& index) { return Ref{index_from(index, shown.c_str())}; }),
           py::arg("index"))
      .def_property_readonly("index", [](const Ref& r) { return r.index; })
      .def("__index__", [](const Ref& r) { return r.index; })
      .def("__eq__",
           [](const Ref& r, const py::object& o) { return py::isinstance<Ref>(o) && o.cast<Ref>().index == r.index; })
      .def("__hash__", [shown](const Ref& r) { return py::hash(py::make_tuple(shown, r.index)); })
      .def("__repr__", [shown](const Ref& r) { return shown + "(" + std::to_string(r.index) + ")"; })
      .def("__reduce__", [](const py::object& self) {
        return py::make_tuple(py::type::of(self), py::make_tuple(self.attr("index")));
      });
}

int64_t integer_from(py::handle value) {
  int overflow = 0;
  const long long v = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
  if (overflow != 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "integer " + py::str(value).cast<std::string>() + " does not fit into 64 signed bits");
  }
  if (v == -1 && PyErr_Occurred()) throw py::error_already_set();
  return v;
}

uint64_t value_from(VariableType type, const py::object& value) {
  if (type == VariableType::kBoolean) {
    const int truth = PyObject_IsTrue(value.ptr());
    if (truth < 0) throw py::error_already_set();
    return static_cast<uint64_t>(truth);
  }
  if (type == VariableType::kFloat) return std::bit_cast<uint64_t>(value.cast<double>());
  const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!number) throw py::error_already_set();
  return std::bit_cast<uint64_t>(integer_from(number));
}

void compute(ProgramBuilder& b, std::string_view op, const py::object& destination, const py::args& operands) {
  std::vector<Operand> from;
  for (const py::handle o : operands) from.push_back(operand_from(o));
  b.compute(compute_named(op), index_from(destination, "variable"), from);
}

}  // namespace

Operand operand_from(py::handle value) {
  using Kind = Operand::Kind;
  if (py::isinstance<VariableRef>(value)) return {Kind::kVariable, {}, value.cast<VariableRef>().index, 0};
  if (py::isinstance<BitRef>(value)) return {Kind::kBit, {}, value.cast<BitRef>().index, 0};
  if (PyBool_Check(value.ptr())) return {Kind::kLiteral, VariableType::kBoolean, 0, value.ptr() == Py_True};
  if (PyFloat_Check(value.ptr())) {
    return {Kind::kLiteral, VariableType::kFloat, 0, std::bit_cast<uint64_t>(PyFloat_AS_DOUBLE(value.ptr()))};
  }
  const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!number) {
    PyErr_Clear();
    throw py::type_error("an operand is Var(i), Bit(i), a bool, an int or a float, got " +
                         py::repr(value).cast<std::string>());
  }
  return {Kind::kLiteral, VariableType::kInteger, 0, std::bit_cast<uint64_t>(integer_from(number))};
}

py::object value_to(VariableType type, uint64_t bits) {
  if (type == VariableType::kBoolean) return py::bool_(bits != 0);
  if (type == VariableType::kFloat) return py::float_(std::bit_cast<double>(bits));
  return py::int_(std::bit_cast<int64_t>(bits));
}

py::object operand_to(const Operand& o) {
  if (o.kind == Operand::Kind::kVariable) return py::cast(VariableRef{o.index});
  if (o.kind == Operand::Kind::kBit) return py::cast(BitRef{o.index});
  return value_to(o.type, o.value);
}

void bind_refs(py::module_& m) {
  bind_ref<VariableRef>(m, "Var", "A variable of a program, as an operand.");
  bind_ref<BitRef>(m, "Bit", "A classical bit of a program, as an operand: a boolean.");
}

void bind_dynamic(py::class_<ProgramBuilder>& builder) {
  using B = ProgramBuilder;
  builder
      .def(
          "variable",
          [](B& b, std::string_view kind, const py::object& initial) {
            const VariableType type = type_named(kind);
            return b.variable(type, value_from(type, initial));
          },
          py::arg("kind"), py::arg("initial") = 0, "A new variable, 'bool', 'int' or 'float'; returns its index.")
      .def("block", &B::block, "A new, empty block; returns its index.")
      .def(
          "enter", [](B& b, const py::object& block) { b.enter(index_from(block, "block")); }, py::arg("block"),
          "Instructions go to this block from now on; to block 0 at first.")
      .def(
          "jump", [](B& b, const py::object& block) { b.jump(index_from(block, "block")); }, py::arg("block"),
          "Ends the block: go to another one.")
      .def(
          "branch",
          [](B& b, const py::object& variable, const py::object& then_block, const py::object& else_block) {
            b.branch(index_from(variable, "variable"), index_from(then_block, "block"),
                     index_from(else_block, "block"));
          },
          py::arg("variable"), py::arg("then_block"), py::arg("else_block"),
          "Ends the block: go on by a boolean variable.")
      .def("end", &B::end, "Ends the block, and the program where it is reached.")
      .def("compute", &compute, py::arg("op"), py::arg("dest"),
           "dest = op(operands); an operand is a Var, a Bit, a bool, an int or a float.")
      .def(
          "read_bits",
          [](B& b, const py::object& dest, const py::object& first, const py::object& count) {
            b.read_bits(index_from(dest, "variable"), index_from(first, "first bit"), index_from(count, "count"));
          },
          py::arg("dest"), py::arg("first_bit"), py::arg("count"),
          "Reads up to 63 bits into an integer variable; `first_bit` is the least significant.")
      .def(
          "write_bit",
          [](B& b, const py::object& bit, const py::object& operand) {
            b.write_bit(index_from(bit, "bit"), operand_from(operand));
          },
          py::arg("bit"), py::arg("operand"), "Sets a classical bit to a boolean.");
}

}  // namespace qfw::program
