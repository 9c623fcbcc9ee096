#include "program/native/builder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "program/native/decode.h"

namespace qfw::program {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

[[noreturn]] void over_limit(const char* what, uint64_t value, uint64_t limit) {
  throw Error(ErrorCode::kLimitExceeded,
              std::to_string(value) + " " + what + " is above the limit of " + std::to_string(limit));
}

std::string plural(uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

void check_finite(const char* what, double value) {
  if (!std::isfinite(value)) refuse(std::string(what) + " " + std::to_string(value) + " is not finite");
}

void check_name(const char* what, std::string_view name) {
  if (name.size() > kMaxNameBytes) {
    over_limit("bytes in a name", name.size(), kMaxNameBytes);
  }
  if (!valid_utf8(name)) refuse(std::string(what) + "'s name is not UTF-8 without NUL");
}

template <typename T>
void put(std::byte* base, uint64_t offset, const std::vector<T>& items) {
  if (!items.empty()) std::memcpy(base + offset, items.data(), items.size() * sizeof(T));
}

}  // namespace

struct ProgramBuilder::Impl {
  uint32_t num_qubits;
  uint32_t num_bits;
  double phase = 0.0;
  std::vector<format::InstructionRecord> instructions;
  std::vector<uint32_t> operands;
  std::vector<uint64_t> values;  // bit patterns of f64, or parameter indices
  std::vector<uint32_t> parameter_sizes;
  std::string parameter_names;
  std::vector<Register> registers;
  std::vector<uint32_t> stamp;  // per qubit, the last wide instruction that named it
  uint32_t stamps = 0;

  void check_qubit(uint32_t q) const {
    if (q >= num_qubits) {
      refuse("qubit " + std::to_string(q) + " is outside 0.." + std::to_string(num_qubits - 1));
    }
  }

  void check_qubits(std::span<const uint32_t> qubits) {
    for (const uint32_t q : qubits) check_qubit(q);
    const bool wide = qubits.size() > 8;
    if (wide && stamp.empty()) stamp.resize(num_qubits);
    ++stamps;
    for (size_t i = 0; i < qubits.size(); ++i) {
      const uint32_t q = qubits[i];
      const bool twice =
          wide ? stamp[q] == stamps : std::find(qubits.begin(), qubits.begin() + i, q) != qubits.begin() + i;
      if (twice) refuse("qubit " + std::to_string(q) + " is named twice");
      if (wide) stamp[q] = stamps;
    }
  }

  void add(Op op, uint8_t flags, uint16_t gate, std::span<const uint32_t> qubits) {
    if (instructions.size() >= kMaxInstructions) over_limit("instructions", instructions.size() + 1, kMaxInstructions);
    instructions.push_back({static_cast<uint8_t>(op), flags, gate, static_cast<uint32_t>(qubits.size())});
    operands.insert(operands.end(), qubits.begin(), qubits.end());
  }

  void add_value(double value) { values.push_back(std::bit_cast<uint64_t>(value)); }
};

ProgramBuilder::ProgramBuilder(uint32_t num_qubits, uint32_t num_bits) : impl_(new Impl{num_qubits, num_bits}) {
  if (num_qubits == 0) refuse("a program has at least 1 qubit, got 0");
  if (num_qubits > kMaxQubits) over_limit("qubits", num_qubits, kMaxQubits);
  if (num_bits > kMaxBits) over_limit("bits", num_bits, kMaxBits);
  impl_->instructions.reserve(32);
  impl_->operands.reserve(64);
  impl_->values.reserve(32);
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
    if (a.parameter >= b.parameter_sizes.size()) {
      refuse("parameter " + std::to_string(a.parameter) + " does not exist, the program has " +
             plural(b.parameter_sizes.size(), "parameter"));
    }
  }
  b.add(Op::kGate, affine ? format::kAffine : 0, static_cast<uint16_t>(id), qubits);
  for (const Angle& a : angles) {
    b.add_value(a.offset);
    if (!affine) continue;
    b.add_value(a.constant() ? 0.0 : a.scale);
    b.values.push_back(a.parameter);
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
  if (bit >= impl_->num_bits) {
    refuse("bit " + std::to_string(bit) + " does not exist, the program has " + plural(impl_->num_bits, "bit"));
  }
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
  return {impl_->instructions.size(), impl_->operands.size(), impl_->values.size(), impl_->phase};
}

void ProgramBuilder::rewind(const Mark& mark) noexcept {
  impl_->instructions.resize(mark.instructions);
  impl_->operands.resize(mark.operands);
  impl_->values.resize(mark.values);
  impl_->phase = mark.phase;
}

ProgramPtr ProgramBuilder::finish() const {
  const Impl& b = *impl_;
  if (b.operands.size() > UINT32_MAX) over_limit("operands", b.operands.size(), UINT32_MAX);
  if (b.values.size() > UINT32_MAX) over_limit("values", b.values.size(), UINT32_MAX);
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
                        .num_blocks = 1,
                        .num_variables = 0,
                        .num_instructions = static_cast<uint32_t>(b.instructions.size()),
                        .num_operands = static_cast<uint32_t>(b.operands.size()),
                        .num_values = static_cast<uint32_t>(b.values.size()),
                        .name_bytes = static_cast<uint32_t>(names.size()),
                        .global_phase = b.phase};
  const format::Layout layout(header);
  header.total_bytes = layout.total;
  std::unique_ptr<std::byte[]> bytes(new std::byte[layout.total]());
  const format::BlockRecord block{.num_instructions = header.num_instructions,
                                  .terminator = static_cast<uint32_t>(format::Terminator::kEnd)};
  std::memcpy(bytes.get(), &header, sizeof header);
  std::memcpy(bytes.get() + layout.blocks, &block, sizeof block);
  put(bytes.get(), layout.values, b.values);
  put(bytes.get(), layout.instructions, b.instructions);
  put(bytes.get(), layout.registers, registers);
  put(bytes.get(), layout.operands, b.operands);
  put(bytes.get(), layout.parameter_name_sizes, b.parameter_sizes);
  std::memcpy(bytes.get() + layout.names, names.data(), names.size());
  return Program::decode(std::move(bytes), layout.total);
}

}  // namespace qfw::program
