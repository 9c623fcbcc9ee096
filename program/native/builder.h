// Builds a Program gate by gate. Every call checks its own arguments and throws Error with value and limit.
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

  // Where instructions and phase stand; rewind() forgets what was added since (parameters and registers stay).
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
