#include "program/native/decode.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "program/native/decoder.h"

namespace qfw::program {

using format::Header;
using format::InstructionRecord;

namespace {

void check_limit(const char* what, uint64_t value, uint64_t limit) {
  if (value > limit) {
    throw Error(ErrorCode::kLimitExceeded, "a program with " + std::to_string(value) + " " + what +
                                               " is above the limit of " + std::to_string(limit));
  }
}

}  // namespace

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
  check_limit("blocks", h.num_blocks, kMaxBlocks);
  check_limit("variables", h.num_variables, kMaxVariables);
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
size_t Decoder::count_values(const InstructionRecord& record) {
  const auto wants = [&](bool ok, const char* what) {
    if (!ok) bad(std::string(what) + " cannot have " + std::to_string(record.num_operands) + " operands");
  };
  const uint8_t allowed = record.op == 0 ? format::kAffine : record.op == 1 ? format::kTwoQubits : 0;
  const bool classical = record.op >= format::kFirstClassicalOp && record.op <= format::kLastClassicalOp;
  if (record.op > static_cast<uint8_t>(Op::kBarrier) && !classical) {
    bad("op " + std::to_string(record.op) + " is not 0..4 or 16..31");
  }
  if (record.flags & ~allowed) bad("flags " + std::to_string(record.flags) + " are not for this op");
  if (record.op != 0 && record.op != static_cast<uint8_t>(Op::kCompute) && record.gate != 0)
    bad("gate " + std::to_string(record.gate) + " on an op that is no gate");
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
    default:
      return count_literals(record);
  }
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
    operand_ = std::min<uint64_t>(operands, operands_.size());
  }
  operand_ = 0;
  if (operands != operands_.size() || values != values_.size()) {
    invalid("the instructions take " + std::to_string(operands) + " operands and " + std::to_string(values) +
            " values, the program holds " + std::to_string(operands_.size()) + " and " +
            std::to_string(values_.size()));
  }
  p_.angles.reserve(angles);
  p_.instructions.reserve(records.size());
  p_.classical.reserve(classical_);
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
    } else {
      check_slot(parameter);
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
    if (out.op >= Op::kCompute) {
      read_classical(record, out);
      continue;
    }
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
      return;
    default:
      return;
  }
}

void decode_parts(Parts& parts) { Decoder(parts).run(); }

}  // namespace qfw::program
