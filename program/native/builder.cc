#include "program/native/builder.h"

#include <cmath>
#include <cstring>

#include "program/native/builder_impl.h"

namespace qfw::program {
namespace {

void check_finite(const char* what, double value) {
  if (!std::isfinite(value)) refuse(std::string(what) + " " + std::to_string(value) + " is not finite");
}

void check_name(const char* what, std::string_view name) {
  if (name.size() > kMaxNameBytes) {
    over_limit("bytes in a name", name.size(), kMaxNameBytes);
  }
  if (!valid_utf8(name)) refuse(std::string(what) + "'s name is not UTF-8 without NUL");
}

// Returns the offset after what it put.
template <typename T>
uint64_t put(std::byte* base, uint64_t offset, const std::vector<T>& items) {
  if (!items.empty()) std::memcpy(base + offset, items.data(), items.size() * sizeof(T));
  return offset + items.size() * sizeof(T);
}

}  // namespace

ProgramBuilder::ProgramBuilder(uint32_t num_qubits, uint32_t num_bits) : impl_(new Impl{num_qubits, num_bits}) {
  if (num_qubits == 0) refuse("a program has at least 1 qubit, got 0");
  if (num_qubits > kMaxQubits) over_limit("qubits", num_qubits, kMaxQubits);
  if (num_bits > kMaxBits) over_limit("bits", num_bits, kMaxBits);
  Body& entry = impl_->blocks.emplace_back();
  entry.instructions.reserve(32);
  entry.operands.reserve(64);
  entry.values.reserve(32);
}

ProgramBuilder::~ProgramBuilder() = default;
ProgramBuilder::ProgramBuilder(ProgramBuilder&&) noexcept = default;

uint32_t ProgramBuilder::num_qubits() const noexcept { return impl_->num_qubits; }
uint32_t ProgramBuilder::num_bits() const noexcept { return impl_->num_bits; }

uint32_t ProgramBuilder::parameter(std::string_view name) {
  check_name("a parameter", name);
  const size_t index = impl_->parameter_sizes.size();
  if (index >= kMaxParameters) over_limit("parameters", index + 1, kMaxParameters);
  impl_->parameter_sizes.push_back(static_cast<uint32_t>(name.size()));
  impl_->parameter_names += name;
  return static_cast<uint32_t>(index);
}

void ProgramBuilder::add_register(std::string_view name, uint32_t first, uint32_t size) {
  check_name("a register", name);
  if (name.empty()) refuse("a register needs a name");
  const uint64_t end = uint64_t{first} + size;
  const std::string shown = "register '" + std::string(name) + "'";
  if (size == 0) refuse(shown + " has 0 bits, must have at least 1");
  if (end > impl_->num_bits) {
    refuse(shown + " ends at bit " + std::to_string(end) + ", the program has " + plural(impl_->num_bits, "bit"));
  }
  for (const Register& r : impl_->registers) {
    if (r.name == name) refuse(shown + " exists already");
    if (r.first < end && first < r.first + r.size) refuse(shown + " overlaps register '" + r.name + "'");
  }
  impl_->registers.push_back({std::string(name), first, size});
}

void ProgramBuilder::global_phase(double radians) {
  check_finite("global phase", impl_->phase + radians);
  impl_->phase += radians;
}

void ProgramBuilder::gate(GateId id, std::span<const uint32_t> qubits, std::span<const Angle> angles,
                          uint16_t controls) {
  const Gate& row = program::gate(id);
  Impl& b = *impl_;
  if (qubits.size() != size_t{row.qubits} + controls) {
    refuse("gate '" + std::string(row.name) + "' acts on " + plural(row.qubits, "qubit") +
           (controls ? " and " + plural(controls, "further control") : "") + ", got " + plural(qubits.size(), "qubit"));
  }
  if (angles.size() != row.params) {
    refuse("gate '" + std::string(row.name) + "' takes " + plural(row.params, "parameter") + ", got " +
           std::to_string(angles.size()));
  }
  b.check_qubits(qubits);
  bool affine = false;
  for (const Angle& a : angles) {
    check_finite("angle", a.offset);
    if (a.constant()) continue;
    affine = true;
    check_finite("an angle's scale", a.scale);
    if (a.of_variable()) {
      if (b.type_of(a.variable()) != VariableType::kFloat) {
        refuse("an angle of variable " + std::to_string(a.variable()) + ", which is no float");
      }
    } else if (a.parameter >= b.parameter_sizes.size()) {
      refuse("parameter " + std::to_string(a.parameter) + " does not exist, the program has " +
             plural(b.parameter_sizes.size(), "parameter"));
    }
  }
  b.add(Op::kGate, affine ? format::kAffine : 0, static_cast<uint16_t>(id), qubits);
  for (const Angle& a : angles) {
    b.add_value(a.offset);
    if (!affine) continue;
    b.add_value(a.constant() ? 0.0 : a.scale);
    b.body().values.push_back(a.parameter);
  }
}

void ProgramBuilder::unitary(std::span<const Complex> matrix, std::span<const uint32_t> qubits, uint16_t controls) {
  const size_t targets = qubits.size() - controls;
  if (qubits.size() < controls || (targets != 1 && targets != 2)) {
    refuse("a unitary acts on 1 or 2 qubits" + (controls ? " and " + plural(controls, "control") : std::string()) +
           ", got " + plural(qubits.size(), "qubit"));
  }
  const size_t dim = size_t{1} << targets;
  if (matrix.size() != dim * dim) {
    refuse("the matrix of a unitary on " + plural(targets, "qubit") + " has " + std::to_string(dim * dim) +
           " entries, got " + std::to_string(matrix.size()));
  }
  if (!is_unitary(matrix, dim)) refuse("the matrix is not finite and unitary to 1e-8");
  impl_->check_qubits(qubits);
  impl_->add(Op::kUnitary, targets == 2 ? format::kTwoQubits : 0, 0, qubits);
  for (const Complex& entry : matrix) {
    impl_->add_value(entry.real());
    impl_->add_value(entry.imag());
  }
}

void ProgramBuilder::measure(uint32_t qubit, uint32_t bit) {
  impl_->check_qubit(qubit);
  impl_->check_bit(bit);
  const uint32_t operands[] = {qubit, bit};
  impl_->add(Op::kMeasure, 0, 0, operands);
}

void ProgramBuilder::reset(uint32_t qubit) {
  impl_->check_qubit(qubit);
  impl_->add(Op::kReset, 0, 0, {&qubit, 1});
}

void ProgramBuilder::barrier(std::span<const uint32_t> qubits) {
  impl_->check_qubits(qubits);
  impl_->add(Op::kBarrier, 0, 0, qubits);
}

ProgramBuilder::Mark ProgramBuilder::mark() const noexcept {
  const Body& b = impl_->body();
  return {b.instructions.size(), b.operands.size(), b.values.size(), impl_->phase};
}

void ProgramBuilder::rewind(const Mark& mark) noexcept {
  Body& b = impl_->body();
  impl_->num_instructions -= b.instructions.size() - mark.instructions;
  b.instructions.resize(mark.instructions);
  b.operands.resize(mark.operands);
  b.values.resize(mark.values);
  impl_->phase = mark.phase;
}

ProgramPtr ProgramBuilder::finish() const {
  const Impl& b = *impl_;
  uint64_t operands = 0, values = 0;
  for (size_t i = 0; i < b.blocks.size(); ++i) {
    operands += b.blocks[i].operands.size();
    values += b.blocks[i].values.size();
    if (!b.blocks[i].ended && b.blocks.size() > 1) {
      refuse("block " + std::to_string(i) + " has no end: enter() it and call jump(), branch() or end()");
    }
  }
  if (operands > UINT32_MAX) over_limit("operands", operands, UINT32_MAX);
  if (values > UINT32_MAX) over_limit("values", values, UINT32_MAX);
  std::string names = b.parameter_names;
  std::vector<format::RegisterRecord> registers;
  for (const Register& r : b.registers) {
    registers.push_back({static_cast<uint32_t>(r.name.size()), r.first, r.size, 0});
    names += r.name;
  }
  format::Header header{.magic = format::kMagic,
                        .version = format::kVersion,
                        .flags = 0,
                        .total_bytes = 0,
                        .num_qubits = b.num_qubits,
                        .num_bits = b.num_bits,
                        .num_parameters = static_cast<uint32_t>(b.parameter_sizes.size()),
                        .num_registers = static_cast<uint32_t>(registers.size()),
                        .num_blocks = static_cast<uint32_t>(b.blocks.size()),
                        .num_variables = static_cast<uint32_t>(b.variables.size()),
                        .num_instructions = static_cast<uint32_t>(b.num_instructions),
                        .num_operands = static_cast<uint32_t>(operands),
                        .num_values = static_cast<uint32_t>(values),
                        .name_bytes = static_cast<uint32_t>(names.size()),
                        .global_phase = b.phase};
  const format::Layout layout(header);
  header.total_bytes = layout.total;
  std::unique_ptr<std::byte[]> bytes(new std::byte[layout.total]());
  std::memcpy(bytes.get(), &header, sizeof header);
  auto at = layout;
  for (const Body& body : b.blocks) {
    format::BlockRecord record = body.end;
    record.num_instructions = static_cast<uint32_t>(body.instructions.size());
    std::memcpy(bytes.get() + at.blocks, &record, sizeof record);
    at.blocks += sizeof record;
    at.values = put(bytes.get(), at.values, body.values);
    at.instructions = put(bytes.get(), at.instructions, body.instructions);
    at.operands = put(bytes.get(), at.operands, body.operands);
  }
  put(bytes.get(), layout.variables, b.variables);
  put(bytes.get(), layout.registers, registers);
  put(bytes.get(), layout.parameter_name_sizes, b.parameter_sizes);
  std::memcpy(bytes.get() + layout.names, names.data(), names.size());
  return Program::decode(std::move(bytes), layout.total);
}

}  // namespace qfw::program
