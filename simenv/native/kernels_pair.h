// The kernels on two states, for derivatives; a part of kernels_impl.h, included there inside its namespaces.

// out[row * dim + column] += the sum over all else of conj(left[row]) * right[column], rows and columns over the bits
// of the targets in ascending order; only where all controls are 1. Lanes as in `dense`: HIGH targets above them, LOW
// a mask of targets within.
constexpr uint64_t kSpan = sizeof(Real) == 4 ? 64 : 1 << 20;  // groups summed before the sums go into doubles

template <unsigned HIGH, unsigned LOW>
void transfer(const void* left_data, const void* right_data, unsigned bits, const unsigned* high, uint64_t controls,
              double* out) {
  constexpr unsigned kRows = 1u << HIGH, kPerms = 1u << low_count(LOW), kDim = kRows * kPerms;
  const Real *left = reals(left_data), *right = reals(right_data);
  const uint64_t on = controls >> kLaneBits, lane_controls = controls & kLaneMask;
  uint64_t fixed = controls, offset[kRows] = {};
  for (unsigned k = 0; k < HIGH; ++k) {
    fixed |= uint64_t{1} << high[k];
    for (unsigned r = 0; r < kRows; ++r)
      if (r >> k & 1) offset[r] |= 2 * kLanes * (uint64_t{1} << (high[k] - kLaneBits));
  }
  const Groups groups(bits, fixed);
  for (unsigned row = 0; row < kRows; ++row) {
    uint64_t g = 0;
    for (uint64_t left_over = groups.count; left_over != 0;) {
      Vec re[kRows][kPerms] = {}, im[kRows][kPerms] = {};
      const uint64_t span = left_over < kSpan ? left_over : kSpan;
      left_over -= span;
      for (uint64_t n = span; n != 0; --n, g = groups.next(g)) {
        const uint64_t at = 2 * kLanes * (g | on);
        const Vec a = load(left + at + offset[row]), b = load(left + at + offset[row] + kLanes);
        for (unsigned s = 0; s < kRows; ++s) {
          Vec r[kPerms], i[kPerms];
          permuted<LOW>(load(right + at + offset[s]), r);
          permuted<LOW>(load(right + at + offset[s] + kLanes), i);
          for (unsigned p = 0; p < kPerms; ++p) {
            re[s][p] = re[s][p] + a * r[p] + b * i[p];
            im[s][p] = im[s][p] + a * i[p] - b * r[p];
          }
        }
      }
      for (unsigned l = 0; l < kLanes; ++l) {
        if ((l & lane_controls) != lane_controls) continue;
        unsigned c = 0;  // the lane's own low target bits
        while (spread(LOW, c) != (l & LOW)) ++c;
        for (unsigned s = 0; s < kRows; ++s)
          for (unsigned p = 0; p < kPerms; ++p) {
            double* to = out + 2 * ((row * kPerms + c) * kDim + s * kPerms + (c ^ p));
            to[0] += re[s][p][l];
            to[1] += im[s][p][l];
          }
      }
    }
  }
}

void transfer1(const void* left, const void* right, unsigned bits, unsigned target, uint64_t controls, double* out) {
  if (target >= kLaneBits) return transfer<1, 0>(left, right, bits, &target, controls, out);
  with_lanes(1u << target, [&]<unsigned LOW>() {
    if constexpr (low_count(LOW) == 1) transfer<0, LOW>(left, right, bits, nullptr, controls, out);
  });
}

void transfer2_ascending(const void* left, const void* right, unsigned bits, unsigned a, unsigned b, uint64_t controls,
                         double* out) {
  const unsigned high[2] = {a, b};
  if (a >= kLaneBits) return transfer<2, 0>(left, right, bits, high, controls, out);
  with_lanes(b >= kLaneBits ? 1u << a : 1u << a | 1u << b, [&]<unsigned LOW>() {
    if constexpr (low_count(LOW) == 1) transfer<1, LOW>(left, right, bits, high + 1, controls, out);
    if constexpr (low_count(LOW) == 2) transfer<0, LOW>(left, right, bits, nullptr, controls, out);
  });
}

void transfer2(const void* left, const void* right, unsigned bits, unsigned a, unsigned b, uint64_t controls,
               double* out) {
  if (a < b) return transfer2_ascending(left, right, bits, a, b, controls, out);
  double ordered[32] = {};
  transfer2_ascending(left, right, bits, b, a, controls, ordered);
  for (unsigned r = 0; r < 4; ++r)
    for (unsigned c = 0; c < 4; ++c) {
      const unsigned from = 4 * ((r & 1) << 1 | r >> 1) + ((c & 1) << 1 | c >> 1);
      out[2 * (4 * r + c)] += ordered[2 * from];
      out[2 * (4 * r + c) + 1] += ordered[2 * from + 1];
    }
}

// Imaginary parts of conj(left) * right of one group.
inline Vec cross(const void* left, const void* right, uint64_t g) {
  const Real *p = reals(left) + 2 * kLanes * g, *q = reals(right) + 2 * kLanes * g;
  return load(p) * load(q + kLanes) - load(p + kLanes) * load(q);
}

double cross_sum(const void* left, const void* right, unsigned bits, uint64_t mask) {
  const Mask in = lanes_where(mask & kLaneMask, mask & kLaneMask);
  const Groups groups(bits, mask);
  Wide sum{};
  for (uint64_t g = 0, n = groups.count; n != 0; --n, g = groups.next(g))
    sum = sum + widen(select(in, cross(left, right, g | groups.fixed), Vec{}));
  double total = 0.0;
  for (unsigned l = 0; l < kLanes; ++l) total += sum[l];
  return total;
}

void crosses(const void* left, const void* right, size_t first, size_t count, double* out) {
  for (size_t g = first >> kLaneBits, end = (first + count) >> kLaneBits; g < end; ++g, out += kLanes)
    store_wide(out, widen(cross(left, right, g)));
}

void add_flipped(const void* from, size_t first, size_t count, uint64_t flip, bool imaginary, const double* weights,
                 void* to) {
  const uint64_t other = flip >> kLaneBits;
  with_lanes(static_cast<unsigned>(flip & kLaneMask), [&]<unsigned X>() {
    const double* weight = weights;
    for (size_t g = first >> kLaneBits, end = (first + count) >> kLaneBits; g < end; ++g, weight += kLanes) {
      const Real* q = reals(from) + 2 * kLanes * (g ^ other);
      Real* p = reals(to) + 2 * kLanes * g;
      const Vec w = load_narrow(weight), r = permute<X>(load(q)), i = permute<X>(load(q + kLanes));
      store(p, load(p) + w * (imaginary ? i : r));
      store(p + kLanes, load(p + kLanes) + w * (imaginary ? -r : i));
    }
  });
}
