// Builds a Program gate by gate. Every call checks its own arguments and throws Error with value and limit.
// Instructions go to the block entered last, block 0 at first; a program of several blocks ends each of them.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "program/native/program.h"

namespace qfw::program {

class ProgramBuilder {
 public:
  ProgramBuilder(uint32_t num_qubits, uint32_t num_bits);
  ~ProgramBuilder();
  ProgramBuilder(ProgramBuilder&&) noexcept;

  uint32_t num_qubits() const noexcept;
  uint32_t num_bits() const noexcept;

  uint32_t parameter(std::string_view name);  // a new parameter slot, returns its index
  void add_register(std::string_view name, uint32_t first, uint32_t size);
  void global_phase(double radians);  // adds

  // qubits: `controls` extra controls first, then the gate's own qubits. UnknownGate, InvalidArgument.
  void gate(GateId id, std::span<const uint32_t> qubits, std::span<const Angle> angles, uint16_t controls = 0);
  void unitary(std::span<const Complex> matrix, std::span<const uint32_t> qubits, uint16_t controls = 0);
  void measure(uint32_t qubit, uint32_t bit);
  void reset(uint32_t qubit);
  void barrier(std::span<const uint32_t> qubits);

  // Dynamic programs. An angle with slot kFirstVariable + v follows the float variable v.
  uint32_t variable(VariableType type, uint64_t initial = 0);  // `initial` as Variable::initial; returns its index
  uint32_t block();                                            // a new, empty block; returns its index
  void enter(uint32_t block);
  void jump(uint32_t block);
  void branch(uint32_t condition, uint32_t then_block, uint32_t else_block);
  void end();
  // Types as ComputeRule says; an integer literal beside floats becomes one.
  void compute(Compute op, uint32_t destination, std::span<const Operand> operands);
  void read_bits(uint32_t destination, uint32_t first, uint32_t count);  // bit `first` is the least significant
  void write_bit(uint32_t bit, Operand value);

  // Where instructions of the block and the phase stand; rewind() forgets what was added since (parameters and
  // registers stay), as long as the same block is entered and not ended.
  struct Mark {
    size_t instructions, operands, values;
    double phase;
  };
  Mark mark() const noexcept;
  void rewind(const Mark& mark) noexcept;

  // Encodes and decodes again (the one validation path). The builder stays usable.
  ProgramPtr finish() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qfw::program
