// A Program as the simulator runs it: few kinds of operations on masks, matrices worked out ahead where no parameter
// is in them, measurements sorted into those that must happen in the middle and those read at the end.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "program/native/program.h"
#include "simenv/native/kernels.h"

namespace qfw::simenv {

enum class Kind : uint8_t {
  kPhase,   // multiplies where all bits of `mask` are 1; every diagonal gate is a product of these
  kFlip,    // X on a
  kSwap,    // a and b
  kDense1,  // 2x2 on a
  kDense2,  // 4x4 on a (least significant) and b
};

struct PlanOp {
  Kind kind = Kind::kPhase;
  Shape shape = Shape::kGeneral;
  bool dynamic = false;  // coefficients in the row's pool, not in the plan's
  uint8_t a = 0, b = 0;
  uint32_t at = 0;    // offset of the coefficients in the pool: 2, 8 or 32 doubles
  uint64_t mask = 0;  // controls; kPhase: all bits
};

constexpr uint32_t kNowhere = 0xffffffffu;

// How a gate with parameters fills the row's pool.
struct Recipe {
  const program::Instruction* source = nullptr;
  bool diagonal = false;
  // Diagonal: where the factor of each subset of the targets goes (kNowhere: it is 1). Else: at[0] is the matrix.
  std::array<uint32_t, 4> at{kNowhere, kNowhere, kNowhere, kNowhere};
};

struct Event {  // a measurement or reset in the middle, after the first `after` operations
  uint32_t after = 0;
  uint32_t qubit = 0;
  uint32_t bit = kNowhere;  // kNowhere: not kept
  bool reset = false;
};

struct FinalBit {  // read from the final state
  uint32_t qubit = 0;
  uint32_t bit = 0;
};

struct Plan {
  unsigned qubits = 0;
  uint32_t bits = 0;
  std::vector<PlanOp> ops;
  std::vector<double> constants;  // the pool of constant coefficients
  std::vector<Recipe> recipes;
  uint32_t row_doubles = 2;  // size of the row's pool; its first two are the global phase factor
  program::Complex global{1.0, 0.0};
  std::vector<Event> events;
  std::vector<FinalBit> final_bits;
  bool has_reset = false;  // one that is not on a fresh qubit

  void evaluate(std::span<const double> row, double* pool) const;  // fills row_doubles doubles
};

Plan make_plan(const program::Program& program);

}  // namespace qfw::simenv
