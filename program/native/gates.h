// The gate table: ONE row per gate. Parsers, adapters, kernels, docs and tests read it.
// A row's matrix has qubit 0 (the first named) as the least significant index bit, controls not included.
#pragma once

#include <complex>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace qfw::program {

using Complex = std::complex<double>;

constexpr uint32_t kNoParameter = 0xffffffffu;
constexpr uint32_t kFirstVariable = 0x80000000u;  // from here on a slot names a float variable of the program

// offset + scale * row[parameter]; a constant when parameter == kNoParameter. Radians.
struct Angle {
  double offset = 0.0;
  double scale = 0.0;
  uint32_t parameter = kNoParameter;

  bool constant() const noexcept { return parameter == kNoParameter; }
  bool of_variable() const noexcept { return parameter >= kFirstVariable && parameter != kNoParameter; }
  uint32_t variable() const noexcept { return parameter - kFirstVariable; }
  double value(std::span<const double> row) const noexcept {
    return constant() ? offset : offset + scale * row[parameter];
  }
};

constexpr size_t kMaxGateParams = 4;  // of any row
constexpr size_t kMaxGateQubits = 3;

// Stable numbers: they are in program bytes. The rows are in gates.def, in this order.
enum class GateId : uint16_t {
#define QFW_GATE(id, number, ...) id = number,
#include "program/native/gates.def"
#undef QFW_GATE
  kCount
};

enum GateFlags : uint32_t {
  kDiagonal = 1u << 0,     // matrix is diagonal
  kPermutation = 1u << 1,  // one non-zero entry per row (may carry phases)
  kSelfInverse = 1u << 2,
  kNegateParams = 1u << 3,  // the inverse is the same gate with every parameter negated
  kNegateFirst = 1u << 4,   // the inverse is the same gate with its first parameter negated
  kNegateSwap12 = 1u << 5,  // ... with every parameter negated, then parameters 1 and 2 exchanged
  kNegateSwap02 = 1u << 6,  // ... with every parameter negated, then parameters 0 and 2 exchanged
  kHermitian = kSelfInverse,
};

struct Gate {
  GateId id;
  std::string_view name;  // OpenQASM 3 (stdgates) name
  uint8_t qubits;         // all qubits, the row's own controls included
  uint8_t params;
  uint8_t controls;  // how many of the qubits, the first ones, are controls of `base`
  GateId base;       // the gate without those controls (itself when there is no such row, as for cu)
  uint32_t flags;
  GateId inverse;              // another row, unless one of the inverse flags says how parameters change; see invert()
  std::string_view qiskit;     // class name in qiskit.circuit.library, empty when there is none
  std::string_view pennylane;  // operation name, empty when there is none
  std::string_view qasm2;      // qelib1 name, empty when there is none
  std::string_view qir;        // __quantum__qis__ stem, empty when there is none
  std::string_view help;
  // Writes the (2^k x 2^k) row-major matrix of `base`, k = qubits - controls.
  void (*matrix)(const double* params, Complex* out);
};

struct Alias {  // another name of a row
  std::string_view name;
  GateId gate;
};

std::span<const Alias> aliases() noexcept;
std::span<const Gate> gates() noexcept;                 // all rows, ordered by id
const Gate& gate(GateId id);                            // throws kUnknownGate
const Gate& gate(std::string_view name);                // throws kUnknownGate, naming the nearest
const Gate* find_gate(std::string_view name) noexcept;  // by name or alias; null when there is none

// The row-major matrix with every control included: `extra_controls` first (least significant), then the row's own
// controls, then the base's qubits. InvalidArgument on the number of parameters, LimitExceeded above 10 qubits.
std::vector<Complex> full_matrix(const Gate& row, std::span<const double> params, uint32_t extra_controls = 0);

// Turns the angles (row.params of them) into those of the inverse gate, whose id it returns. Works on affine angles.
GateId invert(const Gate& row, std::span<Angle> angles);

}  // namespace qfw::program
