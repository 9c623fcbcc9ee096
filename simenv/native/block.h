// Operations of a Plan applied to one block of amplitudes, and the blocks that a window cuts a state into.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simenv/native/kernels.h"
#include "simenv/native/plan.h"

namespace qfw::simenv {

// Coefficients of a Plan's operations: its constants and what Plan::evaluate made of a row; or the adjoints of both.
struct Coefficients {
  const double* constants;
  const double* row;

  const double* of(const PlanOp& op) const noexcept { return (op.dynamic ? row : constants) + op.at; }
};

// How the blocks of a window with `locals` lie in a state: each is made of `runs` pieces of `run` amplitudes.
struct Cut {
  Cut(const Window& window, unsigned qubits);

  uint64_t base(uint64_t block) const noexcept;  // the index of a block's first amplitude
  // True when the block at `from` can be worked on where it lies.
  bool whole(const void* from) const noexcept { return runs == 1 && reinterpret_cast<uintptr_t>(from) % 64 == 0; }
  // `each`: bytes of an amplitude.
  void gather(const void* from, void* block, size_t each) const noexcept;
  void scatter(const void* block, void* to, size_t each) const noexcept;

  unsigned width = 0;
  uint64_t count = 0;  // of blocks
  uint64_t run = 0, runs = 0;

 private:
  uint64_t high_ = 0, outside_ = 0;
};

// The low bits of `bits` at the set positions of `mask`, in order.
uint64_t deposit(uint64_t bits, uint64_t mask) noexcept;

std::byte* scratch(size_t bytes);  // of this thread, kept for the next block

// What a layer does to the block at `base` of a window: its terms with the bits outside filled in.
void fill_table(const Plan& plan, const Window& window, const Layer& layer, const Coefficients& coefficients,
                uint64_t base, PhaseTable& table);

// Any operation but a layer, whose controls outside of the block are met.
void apply_op(const Kernels& kernels, const PlanOp& op, const double* coefficients, void* block, unsigned bits);

}  // namespace qfw::simenv
