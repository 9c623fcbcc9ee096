// One state vector being evolved: memory, and the operations of a Plan applied to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "program/native/program.h"
#include "simenv/native/buffer.h"
#include "simenv/native/kernels.h"
#include "simenv/native/plan.h"
#include "simenv/native/stop.h"
#include "simenv/native/threads.h"

namespace qfw::simenv {

class State {
 public:
  // `keep`: the memory is to be taken out with take(). `pool` may be null.
  State(const Kernels& kernels, unsigned qubits, ThreadPool* pool, bool keep, const Stop& stop);

  void start(program::Complex factor);  // |0...0> times `factor`
  void copy_from(const State& other);
  // The operations of one segment of the plan; `row` is what Plan::evaluate made.
  void apply(const Plan& plan, size_t segment, const double* row, const Stop& stop);

  double norm(uint64_t mask) const;  // sum of |amplitude|^2 where all bits of `mask` are 1; in fixed blocks
  // Keeps the part where `qubit` reads `outcome`, scaled to norm 1; `probability` is that part's share.
  void project(uint32_t qubit, bool outcome, double probability);
  void flip(uint32_t qubit);
  // Whether no amplitude differs by more than `tolerance` once the other state has this one's global phase.
  bool same_up_to_phase(const State& other, double tolerance) const;

  std::vector<program::Complex> copy() const;  // the amplitudes in order
  std::vector<program::Complex> take();        // the amplitudes in order; the state is gone

  const Kernels& kernels() const noexcept { return kernels_; }
  unsigned qubits() const noexcept { return qubits_; }
  unsigned bits() const noexcept { return bits_; }  // qubits, or as many as fill one group of lanes
  uint64_t size() const noexcept { return uint64_t{1} << qubits_; }
  // Where an amplitude lies, its index a multiple of the lanes.
  const void* at(uint64_t index) const noexcept { return data_ + index * each_; }
  void* at(uint64_t index) noexcept { return data_ + index * each_; }
  size_t bytes_each() const noexcept { return each_; }  // of an amplitude
  ThreadPool* pool() const noexcept { return pool_; }

  // Calls body(block) for blocks [0, count): on the pool when it pays, in order on this thread otherwise.
  template <class Body>
  void for_blocks(size_t count, const Body& body) const {
    if (pool_ == nullptr || count == 1) {
      for (size_t i = 0; i < count; ++i) body(i);
    } else {
      pool_->parallel_for(count, body);
    }
  }
  // How the state is cut for reductions: blocks of 2^block_bits() amplitudes, whatever the number of threads.
  unsigned block_bits() const noexcept { return bits_ < kBlockBits ? bits_ : kBlockBits; }
  size_t blocks() const noexcept { return size_t{1} << (bits_ - block_bits()); }

 private:
  static constexpr unsigned kBlockBits = 14;

  void apply_window(const Plan& plan, const Window& window, const double* row, const Stop& stop);
  // One window's operations on one block of 2^bits amplitudes; `base` is the index of its first amplitude.
  void apply_block(const Plan& plan, const Window& window, const double* row, const Stop& stop, void* block,
                   unsigned bits, uint64_t base) const;

  const Kernels& kernels_;
  unsigned qubits_, bits_;
  ThreadPool* pool_;
  size_t each_ = bytes_per_amplitude(kernels_);  // bytes
  std::byte* data_ = nullptr;
  uint64_t touched_ = 0;  // qubits that may read 1: elsewhere every amplitude is zero
  bool fresh_ = true;     // the memory is zero
  Buffer buffer_;
  std::vector<program::Complex> kept_;  // the memory instead of buffer_ when it will be taken out
};

}  // namespace qfw::simenv
