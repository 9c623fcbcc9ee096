#include "simenv/native/expect.h"

#include <algorithm>
#include <bit>

#include "simenv/native/pauli.h"

namespace qfw::simenv {

namespace {

// Terms of one group over the amplitudes [first, first + count), by a Walsh-Hadamard transform of each tile.
double transformed_sum(const State& state, std::span<const Term> terms, size_t first, size_t count) {
  alignas(64) double overlap[size_t{1} << kTileBits];
  const size_t n = std::min(count, size_t{1} << kTileBits);
  double total = 0.0;
  for (size_t at = first; at < first + count; at += n) {
    if (terms[0].x == 0) {
      state.kernels().norms(state.at(at), 0, n, overlap);
    } else {
      state.kernels().overlaps(state.at(0), at, n, terms[0].x, terms[0].imaginary, overlap);
    }
    state.kernels().walsh_hadamard(overlap, n);
    for (const Term& t : terms) total += (std::popcount(at & t.z) & 1 ? -t.weight : t.weight) * overlap[t.z & (n - 1)];
  }
  return total;
}

// An amplitude and its partner j ^ x give the same share: one of them is summed, twice.
double single_sum(const State& state, const Term& term, size_t first, size_t count) {
  const double sum = state.kernels().signed_sum(state.at(0), first, count, term.x, term.z, term.imaginary);
  return (term.x == 0 ? term.weight : 2.0 * term.weight) * sum;
}

double block_sum(const State& state, std::span<const Term> terms, size_t first, size_t count) {
  double total = 0.0;
  for_groups(terms, [&](std::span<const Term> group) {
    if (group.size() > kFewTerms) {
      total += transformed_sum(state, group, first, count);
    } else {
      for (const Term& term : group) total += single_sum(state, term, first, count);
    }
  });
  return total;
}

}  // namespace

double expectation(const State& state, const program::PauliSum& sum, const Stop& stop) {
  const Terms terms(sum);
  if (terms.sorted.empty()) return terms.identity;
  const size_t blocks = state.blocks(), each = size_t{1} << state.block_bits();
  if (blocks == 1) return terms.identity + block_sum(state, terms.sorted, 0, each);
  std::vector<double> sums(blocks, 0.0);
  state.for_blocks(blocks, [&](size_t b) {
    if (stop.requested()) return;
    sums[b] = block_sum(state, terms.sorted, b * each, each);
  });
  stop.check();
  double total = 0.0;
  for (double s : sums) total += s;
  return terms.identity + total;
}

std::vector<double> probabilities(const State& state, std::span<const uint32_t> qubits, const Stop& stop) {
  const size_t blocks = state.blocks(), each = std::min<uint64_t>(state.size(), uint64_t{1} << state.block_bits());
  bool all = qubits.empty() || qubits.size() == state.qubits();
  for (size_t i = 0; i < qubits.size() && all; ++i) all = qubits[i] == i;
  std::vector<double> out;
  if (all) {
    out.resize(state.size());
    state.for_blocks(blocks, [&](size_t b) { state.kernels().norms(state.at(b * each), 0, each, &out[b * each]); });
    stop.check();
    return out;
  }
  out.assign(size_t{1} << qubits.size(), 0.0);
  std::vector<double> weights(each);
  for (size_t b = 0; b < blocks; ++b) {  // in order: the same sums on any number of threads
    stop.check();
    state.kernels().norms(state.at(b * each), 0, each, weights.data());
    for (size_t i = 0; i < each; ++i) {
      size_t j = 0;
      for (size_t k = 0; k < qubits.size(); ++k) j |= ((b * each + i) >> qubits[k] & 1) << k;
      out[j] += weights[i];
    }
  }
  return out;
}

}  // namespace qfw::simenv
