#include "simenv/native/expect.h"

#include <algorithm>
#include <bit>
#include <cstring>

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

namespace {

// weights[i] = the sum over the group's terms of weight * (-1)^popcount((at + i) & z), for one tile.
void fill_weights(const Kernels& kernels, std::span<const Term> group, uint64_t at, size_t n, double* weights) {
  const double sign = group[0].imaginary ? -1.0 : 1.0;  // see Term: there the weight belongs to the other side
  const auto weight_of = [&](const Term& t) {
    return std::popcount(at & t.z) & 1 ? -sign * t.weight : sign * t.weight;
  };
  std::fill(weights, weights + n, 0.0);
  if (group.size() > kFewTerms) {
    for (const Term& t : group) weights[t.z & (n - 1)] += weight_of(t);
    kernels.walsh_hadamard(weights, n);
    return;
  }
  alignas(64) double one[size_t{1} << kTileBits];
  for (const Term& t : group) {
    one[0] = weight_of(t);
    for (size_t half = 1, bit = 0; half < n; half *= 2, ++bit) {
      const double turn = t.z >> bit & 1 ? -1.0 : 1.0;
      for (size_t i = 0; i < half; ++i) one[half + i] = turn * one[i];
    }
    for (size_t i = 0; i < n; ++i) weights[i] += one[i];
  }
}

}  // namespace

void apply_sum(const program::PauliSum& sum, const State& from, State& to, const Stop& stop) {
  const Terms terms(sum);
  const size_t each = size_t{1} << from.block_bits(), n = std::min(each, size_t{1} << kTileBits);
  from.for_blocks(from.blocks(), [&](size_t b) {
    stop.check();
    alignas(64) double weights[size_t{1} << kTileBits];
    for (size_t at = b * each; at < (b + 1) * each; at += n) {
      std::memset(to.at(at), 0, n * to.bytes_each());
      if (terms.identity != 0.0) {
        std::fill(weights, weights + n, terms.identity);
        from.kernels().add_flipped(from.at(0), at, n, 0, false, weights, to.at(0));
      }
      for_groups(terms.sorted, [&](std::span<const Term> group) {
        fill_weights(from.kernels(), group, at, n, weights);
        from.kernels().add_flipped(from.at(0), at, n, group[0].x, group[0].imaginary, weights, to.at(0));
      });
    }
  });
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
