// The built-in state-vector simulator: a Program is planned once (fused, scheduled), then run for rows of bindings.
// Reproducible: the same program, row, seed and SIMD level give the same bits on any number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "program/native/observable.h"
#include "program/native/program.h"
#include "simenv/native/stop.h"
#include "simenv/native/threads.h"

namespace qfw::simenv {

enum class SimdLevel : uint8_t { kScalar = 0, kAvx2 = 1, kAvx512 = 2 };

SimdLevel best_simd_level() noexcept;  // of this CPU; $QFW_SIMD=scalar|avx2|avx512 lowers it
std::string_view simd_name(SimdLevel level) noexcept;

// Of the amplitudes. Matrices are worked out, sums made and results given in double precision either way; with single
// precision amplitudes a result is good to about 1e-5, and takes half the memory.
enum class Precision : uint8_t { kDouble = 0, kSingle = 1 };
Precision precision_named(std::string_view name);  // "double" or "single"; else throws kInvalidArgument

constexpr uint64_t kDefaultMaxSteps = 1'000'000;
constexpr uint32_t kMaxSimulatedQubits = 40;  // beyond, kLimitExceeded; memory refuses earlier

class Comm;

struct Request {
  std::span<const double> row;  // parameter values, program.num_parameters() of them
  uint64_t shots = 0;           // 0: no sampling
  uint64_t seed = 0;            // of this row (already hashed from the task's seed and the row's index)
  bool memory = false;          // wants one packed word of bits per shot, in shot order
  bool counts = false;
  bool probabilities = false;
  bool statevector = false;
  std::span<const uint32_t> probability_qubits;    // empty: all; else marginal, first qubit least significant
  std::span<const program::PauliSum> observables;  // exact expectation values
  bool gradients = false;                          // their derivatives with respect to parameters of the program:
  std::span<const uint32_t> gradient_parameters;   // these, each once; empty: all
  Precision precision = Precision::kDouble;
  uint64_t max_steps = kDefaultMaxSteps;  // instructions that a shot of a dynamic program may take
  Comm* comm = nullptr;  // the ranks that run it together, each with the same request; null: this process alone
};

// With ranks, rank 0 has all of it, and the others expectation values and gradients alone.
// Packed bits: bit i of a shot is bit (i % 8) of byte (i / 8); (num_bits + 7) / 8 bytes a shot.
struct Outcome {
  std::vector<uint8_t> memory;      // shots * row_bytes
  std::vector<uint8_t> count_keys;  // counts.size() * row_bytes, ascending
  std::vector<uint64_t> counts;
  std::vector<double> probabilities;          // 2^k
  std::vector<program::Complex> statevector;  // 2^n, qubit 0 least significant; global phase included
  std::vector<double> expectations;           // one per observable
  std::vector<double> gradients;              // row-major: observables x parameters
};

// Where measurements stand at the end, they are left out of the evolution. In a program that measures or resets in the
// middle, or is dynamic, every measurement has happened: expectation values and probabilities are the exact means over
// all outcomes; there is no state vector and no gradient (kUnsupported).
class Simulator {
 public:
  // `rank_bits`: for 2^rank_bits ranks, at most most_rank_bits(qubits).
  explicit Simulator(program::ProgramPtr program, SimdLevel level = best_simd_level(), unsigned rank_bits = 0);
  ~Simulator();

  // Bytes a run needs at its peak, results included, and what the machine can give now. With ranks: on this rank, and
  // this rank's share of its machine.
  static uint64_t bytes_needed(const program::Program& program, const Request& request);
  static uint64_t bytes_available() noexcept;
  static void check_memory(const program::Program& program, const Request& request);  // throws kResourceExhausted

  // How a straight program is cut for ranks; zero of one with branches.
  struct Shares {
    uint64_t operations = 0;  // after fusion
    uint64_t crossing = 0;    // that act on the highest qubits, whose amplitudes lie on several ranks as they stand
    uint64_t exchanges = 0;   // that are made instead
  };
  Shares shares() const;

  // A rough duration of one row in nanoseconds, for dispatch (never a promise).
  static double estimate_ns(const program::Program& program, const Request& request) noexcept;

  // Thread-safe: one Simulator serves many runs at once. `pool` null: on the calling thread only.
  Outcome run(const Request& request, ThreadPool* pool, const Stop& stop) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The seed of one part (row, worker share) of a seeded whole; splitting never adds.
uint64_t derive_seed(uint64_t seed, uint64_t part) noexcept;

}  // namespace qfw::simenv
