#include "simenv/native/sample.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

namespace qfw::simenv {

namespace {

// Puts the final bits of basis state `index` into copies of one key.
class KeyWriter {
 public:
  KeyWriter(std::span<const FinalBit> bits, const uint64_t* key, Tally& tally)
      : base_(key, key + tally.words()), tally_(tally) {
    for (const FinalBit& f : bits) {
      base_[f.bit / 64] &= ~(uint64_t{1} << f.bit % 64);
      if (!runs_.empty() && runs_.back().continues(f)) {
        runs_.back().mask = runs_.back().mask << 1 | 1;
      } else {
        runs_.push_back({f.qubit, f.bit / 64, f.bit % 64, 1});
      }
    }
    scratch_ = base_;
  }

  void add(uint64_t index, uint64_t count) {
    std::copy(base_.begin(), base_.end(), scratch_.begin());
    for (const Run& run : runs_) scratch_[run.word] |= (index >> run.qubit & run.mask) << run.shift;
    tally_.add(scratch_.data(), count);
  }

 private:
  struct Run {  // neighbouring qubits into neighbouring bits of one word
    uint32_t qubit, word, shift;
    uint64_t mask;

    bool continues(const FinalBit& f) const {
      const uint32_t length = static_cast<uint32_t>(std::popcount(mask));
      return f.qubit == qubit + length && f.bit / 64 == word && f.bit % 64 == shift + length;
    }
  };

  std::vector<Run> runs_;
  std::vector<uint64_t> base_, scratch_;
  Tally& tally_;
};

// `n` sorted uniforms in (0, scale): running sums of exponential gaps (L. Devroye, "Non-Uniform Random Variate
// Generation", V.3.1).
std::vector<double> sorted_uniforms(uint64_t n, double scale, Random& random, const Stop& stop) {
  std::vector<double> points(n);
  double sum = 0.0;
  for (uint64_t i = 0; i < n; ++i) {
    points[i] = sum -= std::log(random.uniform());
    if ((i & 0xffff) == 0xffff) stop.check();
  }
  sum -= std::log(random.uniform());
  const double by = scale / sum;
  for (double& p : points) p *= by;
  return points;
}

struct Hit {
  uint64_t index, count;
};

constexpr size_t kTile = 64;

double sum_of(const double* v, size_t n) {
  double sums[4] = {};
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (size_t k = 0; k < 4; ++k) sums[k] += v[i + k];
  for (; i < n; ++i) sums[0] += v[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// The first of the tile's sums, which ascend, that is above `point`; the last one is.
size_t first_above(const double* sums, double point) {
  size_t i = 0;
  for (size_t half = kTile / 2; half != 0; half /= 2) i += sums[i + half - 1] <= point ? half : 0;
  return i;
}

// The points [at, end) that fall into one block of weights, whose sums begin at `sum`.
void find_hits(const double* weights, size_t count, uint64_t base, double sum, const double* at, const double* end,
               std::vector<Hit>& hits) {
  for (size_t tile = 0; tile < count && at != end; tile += kTile) {
    const size_t stop = std::min(count, tile + kTile);
    const double here = sum_of(weights + tile, stop - tile);
    if (here == 0.0) continue;
    const double after = sum + here;
    if (*at >= after) {
      sum = after;
      continue;
    }
    double sums[kTile];  // up to and with each weight; those that are not there are never reached
    std::fill(std::copy(weights + tile, weights + stop, sums), sums + kTile, 0.0);
    for (double& s : sums) s = sum += s;
    while (at != end && *at < sums[kTile - 1]) {
      const size_t i = first_above(sums, *at);
      const double* from = at++;
      while (at != end && *at < sums[i]) ++at;
      hits.push_back({base + tile + i, static_cast<uint64_t>(at - from)});
    }
    sum = after;
  }
  if (at == end) return;
  size_t last = count - 1;  // takes what rounding left over
  while (last > 0 && weights[last] == 0.0) --last;
  hits.push_back({base + last, static_cast<uint64_t>(end - at)});
}

// Few basis states, many shots: one binomial for each state, conditional on those before.
void sample_multinomial(const double* weights, size_t count, uint64_t shots, Random& random, KeyWriter& keys) {
  double rest = 0.0;
  for (size_t i = count; i-- > 0;) rest += weights[i];
  size_t last = count;
  while (last > 0 && weights[last - 1] == 0.0) --last;
  for (size_t i = 0; i < last && shots != 0; ++i) {
    const uint64_t here = i + 1 == last ? shots : random.binomial(shots, weights[i] / rest);
    if (here != 0) keys.add(i, here);
    shots -= here;
    rest -= weights[i];
  }
}

void collect_hits(Comm& comm, const std::vector<std::vector<Hit>>& hits, KeyWriter& keys) {
  std::vector<Hit> mine;
  for (const auto& block : hits) mine.insert(mine.end(), block.begin(), block.end());
  collect(comm, std::as_bytes(std::span(mine)), sizeof(Hit), [&](unsigned, size_t, std::span<const std::byte> piece) {
    for (size_t at = 0; at < piece.size(); at += sizeof(Hit)) {
      Hit hit;
      std::memcpy(&hit, piece.data() + at, sizeof hit);
      keys.add(hit.index, hit.count);
    }
  });
}

}  // namespace

bool sample(State& state, std::span<const FinalBit> bits, uint64_t shots, uint64_t seed, const uint64_t* key,
            Tally& tally, const Stop& stop) {
  Comm* comm = state.comm();
  const bool root = comm == nullptr || comm->root();
  KeyWriter keys(bits, key, tally);
  if (bits.empty()) {
    keys.add(0, shots);
    return root;
  }
  state.straighten(stop);
  const Kernels& k = state.kernels();
  Random random(seed, Purpose::kShots);
  if (state.all_qubits() <= 8 && uint64_t{1} << state.all_qubits() <= shots / 4) {
    std::vector<double> weights(state.size());
    k.norms(state.at(0), 0, state.size(), weights.data());
    if (comm != nullptr) weights = comm->all_gather(weights);
    sample_multinomial(weights.data(), weights.size(), shots, random, keys);
    return root;
  }
  const size_t blocks = state.blocks(), each = std::min<uint64_t>(state.size(), uint64_t{1} << state.block_bits());
  std::vector<double> sums(blocks);
  state.for_blocks(
      blocks, [&](size_t b) { sums[b] = k.norm(state.at(b * each), 0, std::max(each, size_t{1} << k.lane_bits), 0); });
  stop.check();
  if (comm != nullptr) sums = comm->all_gather(sums);
  std::vector<double> starts(sums.size() + 1, 0.0);
  for (size_t b = 0; b < sums.size(); ++b) starts[b + 1] = starts[b] + sums[b];
  const std::vector<double> points = sorted_uniforms(shots, starts.back(), random, stop);
  const size_t skipped = state.offset() / each;  // blocks of ranks before
  std::vector<std::vector<Hit>> hits(blocks);
  state.for_blocks(blocks, [&](size_t own) {
    const size_t b = skipped + own;
    const double* begin = points.data();
    const double* from = std::lower_bound(begin, begin + shots, starts[b]);
    const double* to = b + 1 == sums.size() ? begin + shots : std::lower_bound(from, begin + shots, starts[b + 1]);
    if (from == to) return;
    std::vector<double> weights(each);
    k.norms(state.at(own * each), 0, each, weights.data());
    find_hits(weights.data(), each, b * each, starts[b], from, to, hits[own]);
  });
  stop.check();
  if (comm != nullptr) {
    collect_hits(*comm, hits, keys);
    return root;
  }
  for (const auto& block : hits)
    for (const Hit& hit : block) keys.add(hit.index, hit.count);
  return root;
}

}  // namespace qfw::simenv
