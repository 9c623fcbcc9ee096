// The decoder's inside: decode.cc has the header and the instructions, decode_names.cc names and registers,
// decode_classical.cc variables, classical instructions and blocks.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "program/native/decode.h"
#include "program/native/error.h"

namespace qfw::program {

[[noreturn]] inline void invalid(const std::string& message) { throw Error(ErrorCode::kInvalidProgram, message); }

class Decoder {
  using Header = format::Header;
  using InstructionRecord = format::InstructionRecord;

 public:
  explicit Decoder(Parts& parts) : p_(parts) {}

  void run() {
    read_header();
    check_padding();
    read_variables();
    count_words();
    read_names();
    fill_instructions();
    read_blocks();
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
  size_t count_values(const InstructionRecord& record);
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
  void read_variables();
  void check_slot(uint64_t slot) const;
  size_t count_literals(const InstructionRecord& record);
  void read_classical(const InstructionRecord& record, Instruction& out);
  uint32_t read_destination();
  Operand read_operand();
  void read_blocks();
  Block read_block(const format::BlockRecord& record, size_t index) const;

  // What has happened to a qubit so far, for terminal_measurements.
  enum class Seen : uint8_t { kNothing, kUsed, kMeasured };

  Parts& p_;
  format::Layout layout_{Header{}};
  std::span<const uint32_t> operands_;
  std::span<const double> values_;
  size_t index_ = 0;    // of the instruction being read
  size_t operand_ = 0;  // cursors into the pools
  size_t value_ = 0;
  size_t classical_ = 0;         // classical instructions seen
  bool watched_ = false;         // something is measured or reset
  std::vector<uint32_t> stamp_;  // per qubit, the last wide instruction that named it (plus 1)
  std::vector<Seen> seen_;
  std::vector<bool> written_;
};

}  // namespace qfw::program
