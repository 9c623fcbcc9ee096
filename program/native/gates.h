// The gate table: ONE row per gate. Parsers, adapters, kernels, docs and tests read it.
// A row's matrix has qubit 0 (the first named) as the least significant index bit, controls not included.
#pragma once

#include <complex>
#include <cstdint>
#include <span>
#include <string_view>

namespace qfw::program {

using Complex = std::complex<double>;

// Stable numbers: they are in program bytes. The rows are in gates.def, in this order.
enum class GateId : uint16_t {
#define QFW_GATE(id, number, ...) id = number,
#include "program/native/gates.def"
#undef QFW_GATE
  kCount
};

enum GateFlags : uint32_t {
  kDiagonal = 1u << 0,      // matrix is diagonal
  kPermutation = 1u << 1,   // one non-zero entry per row (may carry phases)
  kSelfInverse = 1u << 2,
  kNegateParams = 1u << 3,  // the inverse is the same gate with every parameter negated
  kHermitian = kSelfInverse,
};

struct Gate {
  GateId id;
  std::string_view name;       // OpenQASM 3 (stdgates) name
  uint8_t qubits;              // all qubits, the row's own controls included
  uint8_t params;
  uint8_t controls;            // how many of the qubits, the first ones, are controls of `base`
  GateId base;                 // the gate without those controls (itself when controls == 0)
  uint32_t flags;
  GateId inverse;              // used when neither kSelfInverse nor kNegateParams
  std::string_view qiskit;     // class name in qiskit.circuit.library, empty when there is none
  std::string_view pennylane;  // operation name, empty when there is none
  std::string_view qasm2;      // qelib1 name, empty when there is none
  std::string_view qir;        // __quantum__qis__ stem, empty when there is none
  std::string_view help;
  // Writes the (2^k x 2^k) row-major matrix of `base`, k = qubits - controls.
  void (*matrix)(const double* params, Complex* out);
};

std::span<const Gate> gates() noexcept;               // all rows, ordered by id
const Gate& gate(GateId id);                          // throws kUnknownGate
const Gate* find_gate(std::string_view name) noexcept;  // by OpenQASM 3 name

}  // namespace qfw::program
