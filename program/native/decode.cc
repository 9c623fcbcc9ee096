#include "program/native/decode.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace qfw::program {
namespace {

using format::BlockRecord;
using format::Header;
using format::InstructionRecord;
using format::RegisterRecord;
using format::VariableRecord;

[[noreturn]] void invalid(const std::string& message) { throw Error(ErrorCode::kInvalidProgram, message); }

void check_limit(const char* what, uint64_t value, uint64_t limit) {
  if (value > limit) {
    throw Error(ErrorCode::kLimitExceeded, "a program with " + std::to_string(value) + " " + what +
                                               " is above the limit of " + std::to_string(limit));
  }
}

class Decoder {
 public:
  explicit Decoder(Parts& parts) : p_(parts) {}

  void run() {
    read_header();
    check_padding();
    count_words();
    read_names();
    fill_instructions();
    check_blocks();
  }

 private:
  template <typename T>
  std::span<const T> section(uint64_t offset, uint64_t count) const {
    return {reinterpret_cast<const T*>(p_.bytes.get() + offset), count};
  }

  [[noreturn]] void bad(const std::string& message) const {
    invalid("instruction " + std::to_string(index_) + ": " + message);
  }

  void read_header();
  void check_padding() const;
  void check_zero(const char* what, uint64_t from, uint64_t to) const;
  void count_words();
  size_t count_values(const InstructionRecord& record) const;
  void read_names();
  void read_registers(std::string_view names);
  void fill_instructions();
  void read_gate(const InstructionRecord& record, Instruction& out);
  void read_constant_angles(size_t count);
  void read_affine_angles(size_t count);
  void read_unitary(const InstructionRecord& record, Instruction& out);
  void read_measure(Instruction& out);
  void check_qubits(std::span<const uint32_t> qubits);
  void check_many_distinct(std::span<const uint32_t> qubits);
  void follow(const Instruction& instruction);
  void check_blocks() const;
  void check_variables() const;

  // What has happened to a qubit so far, for terminal_measurements.
  enum class Seen : uint8_t { kNothing, kUsed, kMeasured };

  Parts& p_;
  format::Layout layout_{Header{}};
  std::span<const uint32_t> operands_;
  std::span<const double> values_;
  size_t index_ = 0;    // of the instruction being read
  size_t operand_ = 0;  // cursors into the pools
  size_t value_ = 0;
  bool watched_ = false;         // something is measured or reset
  std::vector<uint32_t> stamp_;  // per qubit, the last wide instruction that named it (plus 1)
  std::vector<Seen> seen_;
  std::vector<bool> written_;
};

void Decoder::read_header() {
  if (p_.size < sizeof(Header)) {
    invalid("a program of " + std::to_string(p_.size) + " bytes is shorter than its header of " +
            std::to_string(sizeof(Header)));
  }
  std::memcpy(&p_.header, p_.bytes.get(), sizeof(Header));
  const Header& h = p_.header;
  if (h.magic != format::kMagic) invalid("bytes that do not start with 'QFWP' are not a program");
  if (h.version != format::kVersion) {
    throw Error(ErrorCode::kUnsupported,
                "program format version " + std::to_string(h.version) + "; this build reads version 1");
  }
  if (h.flags != 0) invalid("header flags " + std::to_string(h.flags) + ", must be 0");
  if (h.num_qubits == 0) invalid("a program has at least 1 qubit, got 0");
  check_limit("qubits", h.num_qubits, kMaxQubits);
  check_limit("bits", h.num_bits, kMaxBits);
  check_limit("parameters", h.num_parameters, kMaxParameters);
  check_limit("instructions", h.num_instructions, kMaxInstructions);
  if (!std::isfinite(h.global_phase)) invalid("global phase " + std::to_string(h.global_phase) + " is not finite");
  layout_ = format::Layout(h);
  if (h.total_bytes != layout_.total || p_.size != layout_.total) {
    invalid("the header describes " + std::to_string(layout_.total) + " bytes and says " +
            std::to_string(h.total_bytes) + ", got " + std::to_string(p_.size));
  }
  operands_ = section<uint32_t>(layout_.operands, h.num_operands);
  values_ = section<double>(layout_.values, h.num_values);
}

void Decoder::check_zero(const char* what, uint64_t from, uint64_t to) const {
  for (uint64_t i = from; i < to; ++i) {
    if (p_.bytes[i] != std::byte{0}) invalid(std::string("padding after the ") + what + " is not zero");
  }
}

void Decoder::check_padding() const {
  const Header& h = p_.header;
  check_zero("operands", layout_.operands + uint64_t{h.num_operands} * 4, layout_.parameter_name_sizes);
  check_zero("name sizes", layout_.parameter_name_sizes + uint64_t{h.num_parameters} * 4, layout_.names);
  check_zero("names", layout_.names + h.name_bytes, layout_.total);
}

// Value words a record takes; checks its op, flags, gate id and arity.
size_t Decoder::count_values(const InstructionRecord& record) const {
  const auto wants = [&](bool ok, const char* what) {
    if (!ok) bad(std::string(what) + " cannot have " + std::to_string(record.num_operands) + " operands");
  };
  const uint8_t allowed = record.op == 0 ? format::kAffine : record.op == 1 ? format::kTwoQubits : 0;
  if (record.op >= format::kFirstClassicalOp && record.op <= format::kLastClassicalOp) {
    throw Error(ErrorCode::kUnsupported, "instruction " + std::to_string(index_) + ": classical instructions");
  }
  if (record.op > static_cast<uint8_t>(Op::kBarrier)) bad("op " + std::to_string(record.op) + " is not 0..4");
  if (record.flags & ~allowed) bad("flags " + std::to_string(record.flags) + " are not for this op");
  if (record.op != 0 && record.gate != 0) bad("gate " + std::to_string(record.gate) + " on an op that is no gate");
  switch (static_cast<Op>(record.op)) {
    case Op::kGate: {
      const Gate& row = gate(GateId{record.gate});
      wants(record.num_operands >= row.qubits && record.num_operands <= row.qubits + 0xffffu, row.name.data());
      if (record.flags && row.params == 0) bad("an affine gate without parameters");
      return record.flags ? row.params * size_t{3} : row.params;
    }
    case Op::kUnitary: {
      const uint32_t targets = record.flags ? 2 : 1;
      wants(record.num_operands >= targets && record.num_operands <= targets + 0xffffu, "unitary");
      return record.flags ? 32 : 8;
    }
    case Op::kMeasure:
      wants(record.num_operands == 2, "measure");
      return 0;
    case Op::kReset:
      wants(record.num_operands == 1, "reset");
      return 0;
    case Op::kBarrier:
      return 0;
  }
  return 0;
}

// The first pass: every record is well formed and the pools hold exactly the words the records take.
void Decoder::count_words() {
  uint64_t operands = 0;
  uint64_t values = 0;
  size_t angles = 0;
  const auto records = section<InstructionRecord>(layout_.instructions, p_.header.num_instructions);
  for (index_ = 0; index_ < records.size(); ++index_) {
    const InstructionRecord& record = records[index_];
    const size_t words = count_values(record);
    if (record.op == 0) angles += record.flags ? words / 3 : words;
    watched_ |= record.op == static_cast<uint8_t>(Op::kMeasure) || record.op == static_cast<uint8_t>(Op::kReset);
    operands += record.num_operands;
    values += words;
  }
  if (operands != operands_.size() || values != values_.size()) {
    invalid("the instructions take " + std::to_string(operands) + " operands and " + std::to_string(values) +
            " values, the program holds " + std::to_string(operands_.size()) + " and " +
            std::to_string(values_.size()));
  }
  p_.angles.reserve(angles);
  p_.instructions.reserve(records.size());
}

void Decoder::read_names() {
  const Header& h = p_.header;
  const auto sizes = section<uint32_t>(layout_.parameter_name_sizes, h.num_parameters);
  const auto registers = section<RegisterRecord>(layout_.registers, h.num_registers);
  uint64_t total = 0;
  for (const uint32_t size : sizes) total += size;
  for (const RegisterRecord& record : registers) total += record.name_size;
  if (total != h.name_bytes) {
    invalid("names take " + std::to_string(total) + " bytes, the header says " + std::to_string(h.name_bytes));
  }
  std::string_view names(reinterpret_cast<const char*>(p_.bytes.get() + layout_.names), h.name_bytes);
  p_.parameters.reserve(sizes.size());
  for (const uint32_t size : sizes) {
    const std::string_view name = names.substr(0, size);
    if (size > kMaxNameBytes) invalid("a parameter's name of " + std::to_string(size) + " bytes, the limit is 1024");
    if (!valid_utf8(name)) invalid("a parameter's name is not UTF-8");
    p_.parameters.emplace_back(name);
    names.remove_prefix(size);
  }
  if (!registers.empty()) read_registers(names);
}

void Decoder::read_registers(std::string_view names) {
  const Header& h = p_.header;
  p_.registers.reserve(h.num_registers);
  for (const RegisterRecord& record : section<RegisterRecord>(layout_.registers, h.num_registers)) {
    const std::string_view name = names.substr(0, record.name_size);
    names.remove_prefix(record.name_size);
    if (name.empty() || name.size() > kMaxNameBytes) {
      invalid("a register's name of " + std::to_string(name.size()) + " bytes, must be 1..1024");
    }
    if (!valid_utf8(name)) invalid("a register's name is not UTF-8");
    if (record.size == 0 || record.reserved != 0) invalid("register '" + std::string(name) + "' is empty");
    if (uint64_t{record.first} + record.size > h.num_bits) {
      invalid("register '" + std::string(name) + "' ends at bit " +
              std::to_string(uint64_t{record.first} + record.size) + ", the program has " + std::to_string(h.num_bits));
    }
    p_.registers.push_back({std::string(name), record.first, record.size});
  }
  std::vector<const Register*> order;
  for (const Register& r : p_.registers) order.push_back(&r);
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->first < b->first; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1]->first + order[i - 1]->size > order[i]->first) {
      invalid("registers '" + order[i - 1]->name + "' and '" + order[i]->name + "' overlap");
    }
  }
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->name < b->name; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1]->name == order[i]->name) invalid("two registers are named '" + order[i]->name + "'");
  }
}

void Decoder::check_qubits(std::span<const uint32_t> qubits) {
  const uint32_t limit = p_.header.num_qubits;
  for (const uint32_t q : qubits) {
    if (q >= limit) bad("qubit " + std::to_string(q) + " is outside 0.." + std::to_string(limit - 1));
  }
  if (qubits.size() > 8) return check_many_distinct(qubits);
  for (size_t i = 1; i < qubits.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (qubits[i] == qubits[j]) bad("qubit " + std::to_string(qubits[i]) + " is named twice");
    }
  }
}

void Decoder::check_many_distinct(std::span<const uint32_t> qubits) {
  if (stamp_.empty()) stamp_.resize(p_.header.num_qubits);
  const auto mark = static_cast<uint32_t>(index_ + 1);
  for (const uint32_t q : qubits) {
    if (stamp_[q] == mark) bad("qubit " + std::to_string(q) + " is named twice");
    stamp_[q] = mark;
  }
}

void Decoder::read_constant_angles(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const double value = values_[value_++];
    if (!std::isfinite(value)) bad("angle " + std::to_string(value) + " is not finite");
    p_.angles.push_back({value, 0.0, kNoParameter});
  }
}

void Decoder::read_affine_angles(size_t count) {
  bool any = false;
  for (size_t i = 0; i < count; ++i) {
    uint64_t parameter;
    const Angle word{values_[value_], values_[value_ + 1], 0};
    std::memcpy(&parameter, &values_[value_ + 2], sizeof parameter);
    value_ += 3;
    if (!std::isfinite(word.offset) || !std::isfinite(word.scale)) bad("an angle's offset or scale is not finite");
    if (parameter == kNoParameter) {
      if (std::bit_cast<uint64_t>(word.scale) != 0) bad("a constant angle has a scale");
    } else if (parameter >= p_.header.num_parameters) {
      bad("parameter " + std::to_string(parameter) + " of " + std::to_string(p_.header.num_parameters));
    } else {
      any = true;
    }
    p_.angles.push_back({word.offset, word.scale, static_cast<uint32_t>(parameter)});
  }
  if (!any) bad("an affine gate without a parameter slot");
}

void Decoder::read_gate(const InstructionRecord& record, Instruction& out) {
  const Gate& row = gates()[record.gate];
  out.gate = row.id;
  out.controls = static_cast<uint16_t>(record.num_operands - row.qubits);
  if (row.params == 0) return;
  const size_t first = p_.angles.size();
  if (record.flags & format::kAffine) {
    read_affine_angles(row.params);
  } else {
    read_constant_angles(row.params);
  }
  out.angles = {p_.angles.data() + first, row.params};
}

void Decoder::read_unitary(const InstructionRecord& record, Instruction& out) {
  const size_t targets = record.flags & format::kTwoQubits ? 2 : 1;
  const size_t dim = size_t{1} << targets;
  out.controls = static_cast<uint16_t>(record.num_operands - targets);
  out.matrix = {reinterpret_cast<const Complex*>(values_.data() + value_), dim * dim};
  value_ += 2 * dim * dim;
  if (!is_unitary(out.matrix, dim)) bad("the matrix is not unitary to 1e-8");
}

void Decoder::read_measure(Instruction& out) {
  out.bits = out.qubits.subspan(1);
  out.qubits = out.qubits.first(1);
  if (out.bits[0] >= p_.header.num_bits) {
    bad("bit " + std::to_string(out.bits[0]) + " is outside the program's " + std::to_string(p_.header.num_bits));
  }
}

// The second pass: reads the words that count_words() has found to be there.
void Decoder::fill_instructions() {
  const auto records = section<InstructionRecord>(layout_.instructions, p_.header.num_instructions);
  if (watched_) {
    seen_.resize(p_.header.num_qubits);
    written_.resize(p_.header.num_bits);
  }
  for (index_ = 0; index_ < records.size(); ++index_) {
    const InstructionRecord& record = records[index_];
    Instruction& out = p_.instructions.emplace_back();
    out.op = static_cast<Op>(record.op);
    out.qubits = operands_.subspan(operand_, record.num_operands);
    operand_ += record.num_operands;
    if (out.op == Op::kGate) read_gate(record, out);
    if (out.op == Op::kUnitary) read_unitary(record, out);
    if (out.op == Op::kMeasure) read_measure(out);
    check_qubits(out.qubits);
    if (watched_ && p_.terminal_measurements) follow(out);
  }
}

void Decoder::follow(const Instruction& instruction) {
  bool& terminal = p_.terminal_measurements;
  switch (instruction.op) {
    case Op::kBarrier:
      return;
    case Op::kMeasure:
      seen_[instruction.qubits[0]] = Seen::kMeasured;
      terminal = !written_[instruction.bits[0]];
      written_[instruction.bits[0]] = true;
      return;
    case Op::kReset:
      terminal = seen_[instruction.qubits[0]] == Seen::kNothing;
      return;
    case Op::kGate:
    case Op::kUnitary:
      for (const uint32_t q : instruction.qubits) {
        terminal &= seen_[q] != Seen::kMeasured;
        seen_[q] = Seen::kUsed;
      }
  }
}

void Decoder::check_variables() const {
  for (const VariableRecord& v : section<VariableRecord>(layout_.variables, p_.header.num_variables)) {
    if (v.type > static_cast<uint32_t>(format::VariableType::kBoolean) || v.reserved != 0) {
      invalid("a variable of type " + std::to_string(v.type) + ", must be 0..2");
    }
    if (v.type == static_cast<uint32_t>(format::VariableType::kBoolean) && v.initial > 1) {
      invalid("a boolean variable starts as " + std::to_string(v.initial));
    }
  }
}

// Valid blocks, of which today only a single straight one is carried out.
void Decoder::check_blocks() const {
  const Header& h = p_.header;
  check_variables();
  uint64_t instructions = 0;
  bool plain = h.num_blocks == 1 && h.num_variables == 0;
  const auto variables = section<VariableRecord>(layout_.variables, h.num_variables);
  for (const BlockRecord& b : section<BlockRecord>(layout_.blocks, h.num_blocks)) {
    instructions += b.num_instructions;
    const auto terminator = static_cast<format::Terminator>(b.terminator);
    const bool jumps = terminator == format::Terminator::kJump;
    const bool branches = terminator == format::Terminator::kBranch;
    plain &= terminator == format::Terminator::kEnd;
    if (b.terminator > static_cast<uint32_t>(format::Terminator::kBranch)) {
      invalid("a block's terminator is " + std::to_string(b.terminator) + ", must be 0..2");
    }
    if (b.reserved[0] | b.reserved[1] | b.reserved[2]) invalid("a block's reserved words are not zero");
    if ((jumps || branches) ? b.target >= h.num_blocks : b.target != 0) invalid("a block's target is not a block");
    if (branches ? b.target_else >= h.num_blocks : b.target_else != 0) invalid("a block's target is not a block");
    if (branches ? b.condition >= variables.size() || variables[b.condition].type != 2 : b.condition != 0) {
      invalid("a block's condition is not a boolean variable");
    }
  }
  if (h.num_blocks == 0 || instructions != h.num_instructions) {
    invalid("blocks hold " + std::to_string(instructions) + " instructions, the program " +
            std::to_string(h.num_instructions));
  }
  if (!plain) throw Error(ErrorCode::kUnsupported, "programs with several blocks or classical variables");
}

}  // namespace

void decode_parts(Parts& parts) { Decoder(parts).run(); }

}  // namespace qfw::program
