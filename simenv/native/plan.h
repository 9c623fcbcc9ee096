// A Program as the simulator runs it: few kinds of operations on masks, matrices worked out ahead where no parameter
// is in them, measurements sorted into those that must happen in the middle and those read at the end.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "program/native/program.h"
#include "simenv/native/kernels.h"
#include "simenv/native/layout.h"

namespace qfw::simenv {

enum class Kind : uint8_t {
  kPhase,   // multiplies where all bits of the mask are 1; every diagonal gate is a product of these
  kFlip,    // X on a
  kSwap,    // a and b
  kDense1,  // 2x2 on a
  kDense2,  // 4x4 on a (least significant) and b
  kLayer,   // many phases of one or two bits at once; `at` is the index in Plan::layers
};

struct PlanOp {
  Kind kind = Kind::kPhase;
  Shape shape = Shape::kGeneral;
  bool dynamic = false;  // coefficients in the row's pool, not in the plan's
  bool joint = false;    // a phase that comes with others of the same gate
  uint8_t a = 0, b = 0;
  uint32_t at = 0;       // offset of the coefficients in the pool: 2, 8 or 32 doubles
  uint64_t mask = 0;     // controls; kPhase: all bits
  uint64_t outside = 0;  // in a window: the part of the mask on qubits outside, a mask of the amplitude's index

  bool diagonal() const noexcept { return kind == Kind::kPhase || kind == Kind::kLayer; }
  uint64_t targets() const noexcept {
    if (diagonal()) return 0;
    const bool two = kind == Kind::kSwap || kind == Kind::kDense2;
    return uint64_t{1} << a | (two ? uint64_t{1} << b : 0);
  }
};

// What can be told of a matrix of 1, 2 or 4 rows.
struct Form {
  Kind kind = Kind::kDense1;
  Shape shape = Shape::kGeneral;
  unsigned factors = 0;  // kPhase: bit s is set when the factor of the subset s of the targets is not 1
};
Form form_of(const program::Complex* matrix, unsigned dim);

constexpr uint32_t kNowhere = 0xffffffffu;

// How a gate with parameters fills the row's pool.
struct Recipe {
  const program::Instruction* source = nullptr;
  bool diagonal = false;
  // Diagonal: where the factor of each subset of the targets goes (kNowhere: it is 1). Else: at[0] is the matrix.
  std::array<uint32_t, 4> at{kNowhere, kNowhere, kNowhere, kNowhere};
};

// How a fused operation fills the row's pool: the product of its members, the first one acting first.
struct Product {
  Kind kind = Kind::kDense1;  // kPhase, kDense1 or kDense2
  uint8_t a = 0, b = 0;
  uint32_t at = 0;
  uint32_t first = 0, last = 0;  // in Plan::members
};

struct Layer {
  uint32_t first = 0, last = 0;  // in Plan::terms, which are phases
};

struct Event {  // a measurement or reset in the middle, between two segments
  uint32_t qubit = 0;
  uint32_t bit = kNowhere;  // kNowhere: not kept
  bool reset = false;
};

struct FinalBit {  // read from the final state
  uint32_t qubit = 0;
  uint32_t bit = 0;
};

// Operations [first, last) that need `locals` only (and controls and phases anywhere): they are applied together to
// one block of 2^locals.size() amplitudes after the other; their bit positions are indices into `locals`.
struct Window {
  uint32_t first = 0, last = 0;
  uint64_t targets = 0;          // qubits acted on otherwise than by phases and controls
  std::vector<uint8_t> locals;   // ascending qubits; empty: all, in order
  uint32_t exchange = kNowhere;  // in Plan::exchanges: what ranks do before it

  // Qubits that may read 1 afterwards, in a state or slice of so many qubits; elsewhere every amplitude is zero.
  uint64_t touched(uint64_t before, unsigned qubits) const noexcept {
    return before | (locals.empty() ? (uint64_t{1} << qubits) - 1 : targets);
  }
};

// Between ranks: the qubits at positions of the slice change places with those at bits of the rank (see Layout).
struct Exchange {
  std::vector<std::pair<uint8_t, uint8_t>> pairs;

  uint64_t moved(uint64_t mask) const noexcept;  // a mask of positions, afterwards
};

struct Segment {  // what lies between two events
  uint32_t first_op = 0, last_op = 0;
  uint32_t first_window = 0, last_window = 0;
};

struct Plan {
  unsigned qubits = 0;
  uint32_t bits = 0;
  std::vector<Segment> segments;  // events.size() + 1
  std::vector<Event> events;
  std::vector<Window> windows;
  std::vector<PlanOp> ops;
  std::vector<Layer> layers;
  std::vector<PlanOp> terms;      // of the layers
  std::vector<double> constants;  // the pool of constant coefficients
  std::vector<Recipe> recipes;
  std::vector<Product> products;
  std::vector<PlanOp> members;  // of the products
  uint32_t row_doubles = 2;     // size of the row's pool; its first two are the global phase factor
  program::Complex global{1.0, 0.0};
  std::vector<FinalBit> final_bits;
  bool has_reset = false;  // one that is not on a fresh qubit

  // Of a plan for a slice of a state that 2^rank_bits ranks share (simenv/native/distribute): `qubits` is the slice's
  // width, and the operations act on positions.
  unsigned rank_bits = 0;
  std::vector<Exchange> exchanges;
  Layout from, to;

  void evaluate(std::span<const double> row, double* pool) const;  // fills row_doubles doubles

  uint32_t room(uint32_t doubles) {  // in the row's pool
    const uint32_t at = row_doubles;
    row_doubles += doubles;
    return at;
  }
  uint32_t constant(const program::Complex* values, size_t count) {  // puts them into the constant pool
    const size_t at = constants.size();
    const double* from = reinterpret_cast<const double*>(values);
    constants.insert(constants.end(), from, from + 2 * count);
    return static_cast<uint32_t>(at);
  }
};

// Without windows. The second form: `gates` are what the plan points into.
Plan fused_plan(const program::Program& program);
Plan fused_plan(unsigned qubits, std::span<const program::Instruction> gates);
// With them. `block_bits`: blocks of a window, in qubits. 0: as fits the number of qubits.
Plan make_plan(const program::Program& program, unsigned block_bits = 0);

}  // namespace qfw::simenv
