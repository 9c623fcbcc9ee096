// One state vector being evolved: memory, and the operations of a Plan applied to it. Or, with a Comm, this rank's
// slice of one: the rank's number is the top bits of an amplitude's index, and a layout says which qubits these are.
// Every rank calls the same functions in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "program/native/program.h"
#include "simenv/native/buffer.h"
#include "simenv/native/comm.h"
#include "simenv/native/kernels.h"
#include "simenv/native/plan.h"
#include "simenv/native/stop.h"
#include "simenv/native/threads.h"

namespace qfw::simenv {

class State {
 public:
  // `keep`: the memory is to be taken out with take(). `pool` may be null. `comm`: `qubits` is the slice's width;
  // throws on all ranks when one has no memory.
  State(const Kernels& kernels, unsigned qubits, ThreadPool* pool, bool keep, const Stop& stop, Comm* comm = nullptr);

  void start(program::Complex factor, const Layout& layout = {});  // |0...0> times `factor`
  void copy_from(const State& other);
  // The operations of one segment of the plan, which begins with this layout; `row` is what Plan::evaluate made.
  void apply(const Plan& plan, size_t segment, const double* row, const Stop& stop);

  double norm(uint64_t mask) const;  // sum of |amplitude|^2 where all qubits of `mask` are 1; in fixed blocks
  // Keeps the part where `qubit` reads `outcome`, scaled to norm 1; `probability` is that part's share.
  void project(uint32_t qubit, bool outcome, double probability);
  void flip(uint32_t qubit);
  // Of states with the same layout: whether no amplitude differs by more than `tolerance` once the other state has this
  // one's global phase.
  bool same_up_to_phase(const State& other, double tolerance) const;

  // The amplitudes in order; with ranks, after straighten(), all of them on rank 0 and none elsewhere.
  std::vector<program::Complex> copy() const;
  std::vector<program::Complex> take();  // the state is gone

  // What ranks do together.
  void exchange(const Exchange& change);
  void arrange(const Layout& wanted, const Stop& stop);
  void straighten(const Stop& stop);  // each qubit at its own position
  // Swaps [first, first + count) with the partner's: sends it unless `send` is false, and returns what the partner had
  // unless `receive` is false. Valid until the next call.
  const void* swap_piece(unsigned partner, uint64_t first, uint64_t count, bool send, bool receive) const;
  // Once for each time that ranks send their slices to those that differ in the bits `partners`; where the partner's is
  // zero, only when `always`.
  void count_slices(unsigned partners, bool always) const noexcept;
  bool is_zero(unsigned rank) const noexcept {  // the whole slice of that rank
    return ((uint64_t{rank} << qubits_) & ~touched_) != 0;
  }
  Comm* comm() const noexcept { return comm_; }
  const Layout& layout() const noexcept { return layout_; }
  uint64_t offset() const noexcept { return offset_; }  // index of the slice's first amplitude, in positions
  unsigned all_qubits() const noexcept { return qubits_ + (comm_ == nullptr ? 0 : comm_->rank_bits()); }
  uint64_t piece() const noexcept;          // amplitudes of a message, a power of two that divides size()
  void take_place_of(const State& other) {  // is written as a whole, in the other's layout
    layout_ = other.layout_;
    touched_ = ~uint64_t{0};
    fresh_ = false;
  }

  const Kernels& kernels() const noexcept { return kernels_; }
  unsigned qubits() const noexcept { return qubits_; }  // of the slice
  unsigned bits() const noexcept { return bits_; }      // qubits, or as many as fill one group of lanes
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

  void allocate(bool keep, const Stop& stop);
  struct Part;
  uint64_t bytes_of(const Exchange& change) const noexcept;
  void swap_part(unsigned partner, const Part& part, bool send, bool receive);
  std::vector<program::Complex> gather() const;

  const Kernels& kernels_;
  unsigned qubits_, bits_;
  ThreadPool* pool_;
  Comm* comm_;
  uint64_t offset_ = 0;
  Layout layout_;
  size_t each_ = bytes_per_amplitude(kernels_);  // bytes
  std::byte* data_ = nullptr;
  uint64_t touched_ = 0;  // qubits that may read 1: elsewhere every amplitude is zero
  bool fresh_ = true;     // the memory is zero
  Buffer buffer_;
  mutable Buffer sent_, received_;      // messages
  std::vector<program::Complex> kept_;  // the memory instead of buffer_ when it will be taken out
};

}  // namespace qfw::simenv
