#include "simenv/native/expect.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

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
      state.kernels().overlaps(state.at(0), state.at(0), at, n, terms[0].x, terms[0].imaginary, overlap);
    }
    state.kernels().walsh_hadamard(overlap, n);
    const uint64_t index = state.offset() | at;
    for (const Term& t : terms)
      total += (std::popcount(index & t.z) & 1 ? -t.weight : t.weight) * overlap[t.z & (n - 1)];
  }
  return total;
}

// An amplitude and its partner j ^ x give the same share: one of them is summed, twice.
double single_sum(const State& state, const Term& term, size_t first, size_t count) {
  const double sum = state.kernels().signed_sum(state.at(0), first, count, term.x, term.z, term.imaginary);
  const double weight = std::popcount(state.offset() & term.z) & 1 ? -term.weight : term.weight;
  return (term.x == 0 ? weight : 2.0 * weight) * sum;
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

namespace {

// Terms that flip positions of the slice alone.
double local_sum(const State& state, std::span<const Term> terms, const Stop& stop) {
  const size_t blocks = state.blocks(), each = size_t{1} << state.block_bits();
  if (blocks == 1) return block_sum(state, terms, 0, each);
  std::vector<double> sums(blocks, 0.0);
  state.for_blocks(blocks, [&](size_t b) {
    if (stop.requested()) return;
    sums[b] = block_sum(state, terms, b * each, each);
  });
  stop.check();
  double total = 0.0;
  for (double s : sums) total += s;
  return total;
}

// A piece of another rank's slice, and the terms that lead there.
struct Piece {
  std::span<const Term> terms;
  const void* theirs;
  uint64_t first, count;  // the piece is [first, first + count) of their slice
  // A term leads from index i of the piece to index i ^ low of the piece of ours that begins at `ours`.
  uint64_t low(const Term& term) const noexcept { return term.x & (count - 1); }
  uint64_t ours(const State& state, const Term& term) const noexcept {
    return first ^ (term.x & (state.size() - 1) & ~(count - 1));
  }
};

// Terms that flip rank bits: for each set of these, the partner's slice goes by once, whatever the number of terms.
// Calls body(piece) for those pieces that are not all zero. `one_sided`: also where our own slice is zero.
template <class Body>
void for_pieces(const State& state, std::span<const Term> crossing, bool one_sided, const Body& body) {
  for (size_t i = 0; i < crossing.size();) {
    const uint64_t ranks = crossing[i].x >> state.qubits();
    size_t j = i + 1;
    while (j < crossing.size() && crossing[j].x >> state.qubits() == ranks) ++j;
    const unsigned partner = state.comm()->rank() ^ static_cast<unsigned>(ranks);
    bool send = !state.is_zero(state.comm()->rank()), receive = !state.is_zero(partner);
    if (!one_sided) send = receive = send && receive;
    state.count_slices(static_cast<unsigned>(ranks), one_sided);
    for (uint64_t first = 0; (send || receive) && first < state.size(); first += state.piece()) {
      const void* theirs = state.swap_piece(partner, first, state.piece(), send, receive);
      if (receive) body(Piece{crossing.subspan(i, j - i), theirs, first, state.piece()});
    }
    i = j;
  }
}

size_t block_of(const State& state, const Piece& piece) {
  return std::min<size_t>(piece.count, size_t{1} << state.block_bits());
}

// One group over the tile at index `at` of a piece. The kernel gives conj(ours) theirs, which is the complex conjugate
// of what a term asks for.
double crossing_tile(const State& state, const Piece& piece, std::span<const Term> group, size_t at, size_t n) {
  alignas(64) double overlap[size_t{1} << kTileBits];
  const Term& one = group[0];
  const uint64_t ours = piece.ours(state, one), low = piece.low(one);
  state.kernels().overlaps(state.at(ours), piece.theirs, at, n, low, one.imaginary, overlap);
  state.kernels().walsh_hadamard(overlap, n);
  const uint64_t index = state.offset() | (ours + (at ^ low));  // its bits within the tile: those of `low` alone
  double total = 0.0;
  for (const Term& t : group) total += (std::popcount(index & t.z) & 1 ? -t.weight : t.weight) * overlap[t.z & (n - 1)];
  return one.imaginary ? -total : total;
}

double crossing_sum(const State& state, std::span<const Term> terms) {
  double total = 0.0;
  for_pieces(state, terms, false, [&](const Piece& piece) {
    const size_t each = block_of(state, piece), n = std::min(each, size_t{1} << kTileBits);
    std::vector<double> sums(piece.count / each, 0.0);
    state.for_blocks(sums.size(), [&](size_t b) {
      for_groups(piece.terms, [&](std::span<const Term> group) {
        for (size_t at = b * each; at < (b + 1) * each; at += n) sums[b] += crossing_tile(state, piece, group, at, n);
      });
    });
    for (double s : sums) total += s;
  });
  return total;
}

// The terms that flip no rank bit; they come first.
std::span<const Term> local_terms(const State& state, const Terms& terms) {
  const auto end = std::partition_point(terms.sorted.begin(), terms.sorted.end(),
                                        [&](const Term& t) { return t.x >> state.qubits() == 0; });
  return {terms.sorted.begin(), end};
}

std::span<const Term> crossing_terms(const State& state, const Terms& terms) {
  return std::span(terms.sorted).subspan(local_terms(state, terms).size());
}

}  // namespace

double expectation(const State& state, const program::PauliSum& sum, const Stop& stop) {
  const Terms terms(sum, state.layout());
  if (terms.sorted.empty()) return terms.identity;
  double total = local_sum(state, local_terms(state, terms), stop);
  if (state.comm() == nullptr) return terms.identity + total;
  total += crossing_sum(state, crossing_terms(state, terms));
  return terms.identity + sum_over(*state.comm(), {&total, 1})[0];
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

namespace {

void add_crossing(const State& from, std::span<const Term> terms, State& to) {
  for_pieces(from, terms, true, [&](const Piece& piece) {
    const size_t each = block_of(from, piece), n = std::min(each, size_t{1} << kTileBits);
    from.for_blocks(piece.count / each, [&](size_t b) {
      alignas(64) double weights[size_t{1} << kTileBits];
      for_groups(piece.terms, [&](std::span<const Term> group) {
        const uint64_t ours = piece.ours(from, group[0]);
        for (size_t at = b * each; at < (b + 1) * each; at += n) {
          fill_weights(from.kernels(), group, from.offset() | (ours + at), n, weights);
          from.kernels().add_flipped(piece.theirs, at, n, piece.low(group[0]), group[0].imaginary, weights,
                                     to.at(ours));
        }
      });
    });
  });
}

}  // namespace

void apply_sum(const program::PauliSum& sum, const State& from, State& to, const Stop& stop) {
  const Terms terms(sum, from.layout());
  const size_t each = size_t{1} << from.block_bits(), n = std::min(each, size_t{1} << kTileBits);
  if (from.comm() != nullptr) to.take_place_of(from);
  from.for_blocks(from.blocks(), [&](size_t b) {
    stop.check();
    alignas(64) double weights[size_t{1} << kTileBits];
    for (size_t at = b * each; at < (b + 1) * each; at += n) {
      std::memset(to.at(at), 0, n * to.bytes_each());
      if (terms.identity != 0.0) {
        std::fill(weights, weights + n, terms.identity);
        from.kernels().add_flipped(from.at(0), at, n, 0, false, weights, to.at(0));
      }
      for_groups(local_terms(from, terms), [&](std::span<const Term> group) {
        fill_weights(from.kernels(), group, from.offset() | at, n, weights);
        from.kernels().add_flipped(from.at(0), at, n, group[0].x, group[0].imaginary, weights, to.at(0));
      });
    }
  });
  if (from.comm() != nullptr) add_crossing(from, crossing_terms(from, terms), to);
}

namespace {

// This rank's share of the marginal distribution.
std::vector<double> marginal(const State& state, std::span<const uint32_t> qubits, const Stop& stop) {
  const size_t blocks = state.blocks(), each = std::min<uint64_t>(state.size(), uint64_t{1} << state.block_bits());
  std::vector<unsigned> positions;
  for (const uint32_t q : qubits) positions.push_back(state.layout().position(q));
  std::vector<double> out(size_t{1} << qubits.size(), 0.0);
  std::vector<double> weights(each);
  for (size_t b = 0; b < blocks; ++b) {  // in order: the same sums on any number of threads
    stop.check();
    state.kernels().norms(state.at(b * each), 0, each, weights.data());
    for (size_t i = 0; i < each; ++i) {
      size_t j = 0;
      for (size_t k = 0; k < positions.size(); ++k) j |= ((state.offset() | (b * each + i)) >> positions[k] & 1) << k;
      out[j] += weights[i];
    }
  }
  return out;
}

// On rank 0, every rank's numbers: added up, or one after another.
std::vector<double> on_root(Comm& comm, std::vector<double> mine, bool added) {
  const size_t size = mine.size();
  std::vector<double> out;
  if (comm.root()) out.assign(added ? size : size * comm.ranks(), 0.0);
  collect(comm, std::as_bytes(std::span(mine)), sizeof(double),
          [&](unsigned rank, size_t at, std::span<const std::byte> piece) {
            double* to = out.data() + (added ? 0 : rank * size) + at / sizeof(double);
            for (size_t i = 0; i < piece.size() / sizeof(double); ++i) {
              double value;
              std::memcpy(&value, piece.data() + i * sizeof(double), sizeof value);
              to[i] += value;
            }
          });
  return out;
}

}  // namespace

std::vector<double> probabilities(State& state, std::span<const uint32_t> qubits, const Stop& stop) {
  bool all = qubits.empty() || qubits.size() == state.all_qubits();
  for (size_t i = 0; i < qubits.size() && all; ++i) all = qubits[i] == i;
  std::vector<double> out;
  if (!all) {
    out = marginal(state, qubits, stop);
  } else {
    state.straighten(stop);
    const size_t blocks = state.blocks(), each = std::min<uint64_t>(state.size(), uint64_t{1} << state.block_bits());
    out.resize(state.size());
    state.for_blocks(blocks, [&](size_t b) { state.kernels().norms(state.at(b * each), 0, each, &out[b * each]); });
    stop.check();
  }
  return state.comm() == nullptr ? out : on_root(*state.comm(), std::move(out), !all);
}

}  // namespace qfw::simenv
