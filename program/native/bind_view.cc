// Program and its instructions in Python.
#include <pybind11/stl.h>

#include <algorithm>

#include "program/native/bind.h"
#include "program/native/program.h"

namespace py = pybind11;

namespace qfw::program {
namespace {

constexpr const char* kOpNames[] = {"gate", "unitary", "measure", "reset", "barrier"};
constexpr const char* kClassicalNames[] = {"compute", "read_bits", "write_bit"};
constexpr size_t kReleaseAbove = 1 << 16;  // bytes; decoding less is quicker than handing the global lock over

// Keeps the program alive that the instruction's spans point into.
struct InstructionView {
  ProgramPtr program;
  const Instruction* instruction;
};

py::bytes raw_bytes(const Program& p) { return {reinterpret_cast<const char*>(p.bytes().data()), p.bytes().size()}; }

std::string hex_hash(const Program& p) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const uint8_t byte : p.hash()) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

ProgramPtr decode(const py::buffer& data) {
  const py::buffer_info info = data.request();
  const auto size = static_cast<size_t>(info.size) * static_cast<size_t>(info.itemsize);
  if (info.ndim > 1 || (info.ndim == 1 && info.strides[0] != info.itemsize)) {
    throw py::type_error("program bytes must be contiguous");
  }
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(info.ptr), size);
  if (size <= kReleaseAbove) return Program::decode(bytes);
  const py::gil_scoped_release release;
  return Program::decode(bytes);
}

py::tuple indices(std::span<const uint32_t> values) {
  py::tuple out(values.size());
  for (size_t i = 0; i < values.size(); ++i) out[i] = py::int_(values[i]);
  return out;
}

py::list angles_of(const InstructionView& view) {
  py::list out;
  for (const Angle& a : view.instruction->angles) {
    out.append(py::make_tuple(a.offset, a.scale, slot_to(a)));
  }
  return out;
}

// As Builder.gate and Builder.extend take them.
py::tuple params_of(const InstructionView& view) {
  const auto angles = view.instruction->angles;
  py::tuple out(angles.size());
  for (size_t i = 0; i < angles.size(); ++i) out[i] = angle_to(angles[i]);
  return out;
}

py::object matrix_of(const InstructionView& view) {
  const auto matrix = view.instruction->matrix;
  if (matrix.empty()) return py::none();
  const py::ssize_t dim = matrix.size() == 4 ? 2 : 4;
  py::array_t<Complex> out({dim, dim});
  std::copy(matrix.begin(), matrix.end(), out.mutable_data());
  return out;
}

const char* op_of(const InstructionView& view) {
  const Op op = view.instruction->op;
  if (op >= Op::kCompute) return kClassicalNames[static_cast<size_t>(op) - static_cast<size_t>(Op::kCompute)];
  return kOpNames[static_cast<size_t>(op)];
}

std::string name_of(const InstructionView& view) {
  const Instruction& i = *view.instruction;
  if (i.op == Op::kCompute) return std::string(compute_row(i.classical->op).name);
  return i.op == Op::kGate ? std::string(gate(i.gate).name) : op_of(view);
}

py::tuple bits_of(const InstructionView& view) {
  const Instruction& i = *view.instruction;
  if (i.op != Op::kReadBits) return indices(i.bits);
  py::tuple out(i.classical->bits);
  for (uint32_t k = 0; k < i.classical->bits; ++k) out[k] = py::int_(i.classical->first + k);
  return out;
}

py::object variable_of(const InstructionView& view) {
  const Op op = view.instruction->op;
  if (op != Op::kCompute && op != Op::kReadBits) return py::none();
  return py::int_(view.instruction->classical->variable);
}

py::tuple operands_of(const InstructionView& view) {
  const Classical* c = view.instruction->classical;
  py::tuple out(c == nullptr ? 0 : c->count);
  for (size_t i = 0; i < out.size(); ++i) out[i] = operand_to(c->operands[i]);
  return out;
}

py::list views_of(const ProgramPtr& program, std::span<const Instruction> instructions) {
  py::list out;
  for (const Instruction& i : instructions) out.append(InstructionView{program, &i});
  return out;
}

// Keeps the program alive that the block lies in.
struct BlockView {
  ProgramPtr program;
  const Block* block;
};

py::list blocks_of(const ProgramPtr& program) {
  py::list out;
  for (const Block& b : program->blocks()) out.append(BlockView{program, &b});
  return out;
}

py::tuple terminator_of(const BlockView& view) {
  const Block& b = *view.block;
  switch (b.terminator) {
    case Terminator::kJump:
      return py::make_tuple("jump", b.target);
    case Terminator::kBranch:
      return py::make_tuple("branch", b.condition, b.target, b.target_else);
    default:
      return py::make_tuple("end");
  }
}

py::list variables_of(const Program& p) {
  py::list out;
  for (const Variable& v : p.variables()) {
    out.append(py::make_tuple(py::str(std::string(type_name(v.type))), value_to(v.type, v.initial)));
  }
  return out;
}

std::string describe(const Program& p) {
  return "<Program " + std::to_string(p.num_qubits()) + " qubits, " + std::to_string(p.num_bits()) + " bits, " +
         std::to_string(p.num_parameters()) + " parameters, " + std::to_string(p.instructions().size()) +
         " instructions, " + hex_hash(p).substr(0, 12) + ">";
}

py::list registers_of(const Program& p) {
  py::list out;
  for (const Register& r : p.registers()) out.append(py::make_tuple(r.name, r.first, r.size));
  return out;
}

py::tuple parameters_of(const Program& p) {
  py::tuple out(p.parameters().size());
  for (size_t i = 0; i < p.parameters().size(); ++i) out[i] = py::str(p.parameters()[i]);
  return out;
}

void bind_instruction(py::module_& m) {
  using View = const InstructionView&;
  py::class_<InstructionView>(m, "Instruction", "One instruction of a Program.")
      .def_property_readonly("op", &op_of,
                             "'gate', 'unitary', 'measure', 'reset', 'barrier', 'compute', 'read_bits' or 'write_bit'.")
      .def_property_readonly("name", &name_of, "The gate's OpenQASM 3 name, the computation's name, else the op.")
      .def_property_readonly(
          "gate_id",
          [](View v) -> py::object {
            if (v.instruction->op != Op::kGate) return py::none();
            return py::int_(static_cast<int>(v.instruction->gate));
          },
          "The gate's number, None unless op is 'gate'.")
      .def_property_readonly(
          "controls", [](View v) { return int{v.instruction->controls}; },
          "Controls beyond the gate's own; they come first in `qubits`.")
      .def_property_readonly("qubits", [](View v) { return indices(v.instruction->qubits); })
      .def_property_readonly("bits", &bits_of, "Measured into, read or written.")
      .def_property_readonly("variable", &variable_of, "The variable that is computed or read into, else None.")
      .def_property_readonly("operands", &operands_of, "Var, Bit, bool, int, float: of a classical instruction.")
      .def_property_readonly("angles", &angles_of, "A list of (offset, scale, parameter, Var or None).")
      .def_property_readonly("params", &params_of, "The angles as Builder takes them.")
      .def_property_readonly("matrix", &matrix_of, "The matrix of a unitary, without its controls; else None.")
      .def("__repr__", [](View v) {
        return "<Instruction " + name_of(v) + " " + py::repr(indices(v.instruction->qubits)).cast<std::string>() + ">";
      });
}

void bind_block(py::module_& m) {
  py::class_<BlockView>(m, "Block", "A straight run of instructions, and where to go then.")
      .def_property_readonly("instructions",
                             [](const BlockView& v) { return views_of(v.program, v.block->instructions); })
      .def_property_readonly("terminator", &terminator_of,
                             "('end',), ('jump', block) or ('branch', variable, then_block, else_block).")
      .def("__len__", [](const BlockView& v) { return v.block->instructions.size(); });
}

}  // namespace

void bind_view(py::module_& m) {
  bind_instruction(m);
  bind_block(m);
  py::class_<Program, std::shared_ptr<Program>>(m, "Program", "An immutable, validated quantum program.")
      .def(py::init([](const py::buffer& data) { return std::const_pointer_cast<Program>(decode(data)); }),
           py::arg("data"), "The same as decode().")
      .def_static("decode", &decode, py::arg("data"), "Reads program bytes. InvalidProgram, UnknownGate, Unsupported.")
      .def_property_readonly("bytes", &raw_bytes)
      .def_property_readonly("hash", &hex_hash, "SHA-256 of the bytes, in hexadecimal.")
      .def_property_readonly("num_qubits", &Program::num_qubits)
      .def_property_readonly("num_bits", &Program::num_bits)
      .def_property_readonly("num_parameters", &Program::num_parameters)
      .def_property_readonly("parameters", &parameters_of, "Names, '' where unnamed.")
      .def_property_readonly("registers", &registers_of, "A list of (name, first bit, size).")
      .def_property_readonly("num_instructions", [](const Program& p) { return p.instructions().size(); })
      .def_property_readonly(
          "instructions", [](const ProgramPtr& p) { return views_of(p, p->instructions()); },
          "Of all blocks, in order.")
      .def_property_readonly("blocks", &blocks_of, "Block 0 is the entry.")
      .def_property_readonly("variables", &variables_of, "A list of (kind, initial value).")
      .def_property_readonly("dynamic", &Program::dynamic,
                             "Whether it has several blocks, variables or classical instructions.")
      .def_property_readonly("global_phase", &Program::global_phase)
      .def_property_readonly("terminal_measurements", &Program::terminal_measurements,
                             "Whether the program can be sampled from one final state.")
      .def("__len__", [](const Program& p) { return p.instructions().size(); })
      .def("__eq__",
           [](const Program& p, const py::object& o) {
             return py::isinstance<Program>(o) && p.hash() == o.cast<const Program&>().hash();
           })
      .def("__hash__", [](const Program& p) { return static_cast<py::ssize_t>(HashKey{}(p.hash()) >> 2); })
      .def("__repr__", &describe)
      .def("__reduce__", [](const py::object& self) {
        return py::make_tuple(py::type::of(self), py::make_tuple(self.attr("bytes")));
      });
}

}  // namespace qfw::program
