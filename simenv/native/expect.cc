#include "simenv/native/expect.h"

#include <algorithm>
#include <bit>
#include <tuple>

namespace qfw::simenv {

namespace {

// A Pauli string as masks: it maps |j> to i^(number of Y) (-1)^popcount(j & z) |j ^ x>. Its mean is
//   sum over j of conj(a[j ^ x]) a[j] (-1)^popcount(j & z) i^y,
// which is real: with y even the real parts count, with y odd the imaginary ones.
struct Term {
  uint64_t x = 0, z = 0;
  bool imaginary = false;
  double weight = 0.0;  // coefficient with the sign of i^y, or of i^(y+1) for the imaginary parts

  auto group() const { return std::make_tuple(x, imaginary); }
};

Term term_of(const program::PauliTerm& from) {
  Term term;
  unsigned y = 0;
  for (const auto& f : from.factors) {
    const uint64_t bit = uint64_t{1} << f.qubit;
    if (f.pauli != program::Pauli::kZ) term.x |= bit;
    if (f.pauli != program::Pauli::kX) term.z |= bit;
    if (f.pauli == program::Pauli::kY) ++y;
  }
  term.imaginary = y % 2 == 1;
  // i^y w: y = 0: w', 2: -w'; 1: i (i w'') = -w'', 3: +w'', w' and w'' the real and imaginary parts.
  term.weight = y % 4 == 0 || y % 4 == 3 ? from.coefficient : -from.coefficient;
  return term;
}

constexpr unsigned kTileBits = 10;

// In place: out[z] = sum over j of (-1)^popcount(j & z) in[j].
void walsh_hadamard(double* v, size_t n) {
  for (size_t half = 1; half < n; half *= 2)
    for (size_t base = 0; base < n; base += 2 * half)
      for (size_t j = base; j < base + half; ++j) {
        const double a = v[j], b = v[j + half];
        v[j] = a + b;
        v[j + half] = a - b;
      }
}

// Above this many terms with one X mask, one transform gives them all.
constexpr size_t kFewTerms = 4;

// Terms of one group over the amplitudes [first, first + count), by a Walsh-Hadamard transform of each tile.
double transformed_sum(const State& state, std::span<const Term> terms, size_t first, size_t count) {
  alignas(64) double overlap[size_t{1} << kTileBits];
  const size_t n = std::min(count, size_t{1} << kTileBits);
  double total = 0.0;
  for (size_t at = first; at < first + count; at += n) {
    if (terms[0].x == 0) {
      state.kernels().norms(state.data() + 2 * at, 0, n, overlap);
    } else {
      state.kernels().overlaps(state.data(), at, n, terms[0].x, terms[0].imaginary, overlap);
    }
    walsh_hadamard(overlap, n);
    for (const Term& t : terms) total += (std::popcount(at & t.z) & 1 ? -t.weight : t.weight) * overlap[t.z & (n - 1)];
  }
  return total;
}

// An amplitude and its partner j ^ x give the same share: one of them is summed, twice.
double single_sum(const State& state, const Term& term, size_t first, size_t count) {
  const double sum = state.kernels().signed_sum(state.data(), first, count, term.x, term.z, term.imaginary);
  return (term.x == 0 ? term.weight : 2.0 * term.weight) * sum;
}

double block_sum(const State& state, std::span<const Term> terms, size_t first, size_t count) {
  double total = 0.0;
  for (size_t i = 0; i < terms.size();) {
    size_t j = i + 1;
    while (j < terms.size() && terms[j].group() == terms[i].group()) ++j;
    if (j - i > kFewTerms) {
      total += transformed_sum(state, terms.subspan(i, j - i), first, count);
    } else {
      for (const Term& term : terms.subspan(i, j - i)) total += single_sum(state, term, first, count);
    }
    i = j;
  }
  return total;
}

}  // namespace

double expectation(const State& state, const program::PauliSum& sum, const Stop& stop) {
  std::vector<Term> terms;
  terms.reserve(sum.terms.size());
  double identity = 0.0;
  for (const auto& t : sum.terms) {
    if (t.factors.empty()) {
      identity += t.coefficient;
    } else {
      terms.push_back(term_of(t));
    }
  }
  if (terms.empty()) return identity;
  std::sort(terms.begin(), terms.end(),
            [](const Term& a, const Term& b) { return std::tuple(a.group(), a.z) < std::tuple(b.group(), b.z); });
  const size_t blocks = state.blocks(), each = size_t{1} << state.block_bits();
  if (blocks == 1) return identity + block_sum(state, terms, 0, each);
  std::vector<double> sums(blocks, 0.0);
  state.for_blocks(blocks, [&](size_t b) {
    if (stop.requested()) return;
    sums[b] = block_sum(state, terms, b * each, each);
  });
  stop.check();
  double total = 0.0;
  for (double s : sums) total += s;
  return identity + total;
}

std::vector<double> probabilities(const State& state, std::span<const uint32_t> qubits, const Stop& stop) {
  const size_t blocks = state.blocks(), each = std::min<uint64_t>(state.size(), uint64_t{1} << state.block_bits());
  bool all = qubits.empty() || qubits.size() == state.qubits();
  for (size_t i = 0; i < qubits.size() && all; ++i) all = qubits[i] == i;
  std::vector<double> out;
  if (all) {
    out.resize(state.size());
    state.for_blocks(blocks,
                     [&](size_t b) { state.kernels().norms(state.data() + 2 * b * each, 0, each, &out[b * each]); });
    stop.check();
    return out;
  }
  out.assign(size_t{1} << qubits.size(), 0.0);
  std::vector<double> weights(each);
  for (size_t b = 0; b < blocks; ++b) {  // in order: the same sums on any number of threads
    stop.check();
    state.kernels().norms(state.data() + 2 * b * each, 0, each, weights.data());
    for (size_t i = 0; i < each; ++i) {
      size_t j = 0;
      for (size_t k = 0; k < qubits.size(); ++k) j |= ((b * each + i) >> qubits[k] & 1) << k;
      out[j] += weights[i];
    }
  }
  return out;
}

}  // namespace qfw::simenv
