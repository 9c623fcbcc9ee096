// The kernels on two states, for derivatives; a part of kernels_impl.h, included there inside its namespaces.

// out[row * dim + column] += the sum over all else of conj(left[row]) * right[column], rows and columns over the bits
// of the targets in ascending order; only where all controls are 1. Lanes as in `dense`: HIGH targets above them, LOW
// a mask of targets within.
template <unsigned HIGH, unsigned LOW>
void transfer(const double* left, const double* right, unsigned bits, const unsigned* high, uint64_t controls,
              double* out) {
  constexpr unsigned kRows = 1u << HIGH, kPerms = 1u << low_count(LOW), kDim = kRows * kPerms;
  const uint64_t on = controls >> kLaneBits, lane_controls = controls & kLaneMask;
  uint64_t fixed = controls, offset[kRows] = {};
  for (unsigned k = 0; k < HIGH; ++k) {
    fixed |= uint64_t{1} << high[k];
    for (unsigned r = 0; r < kRows; ++r)
      if (r >> k & 1) offset[r] |= 2 * kLanes * (uint64_t{1} << (high[k] - kLaneBits));
  }
  const Groups groups(bits, fixed);
  for (unsigned row = 0; row < kRows; ++row) {
    Vec re[kRows][kPerms] = {}, im[kRows][kPerms] = {};
    for (uint64_t g = 0, n = groups.count; n != 0; --n, g = groups.next(g)) {
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

void transfer1(const double* left, const double* right, unsigned bits, unsigned target, uint64_t controls,
               double* out) {
  if (target >= kLaneBits) return transfer<1, 0>(left, right, bits, &target, controls, out);
  if (target == 0) return transfer<0, 1>(left, right, bits, nullptr, controls, out);
  if (target == 1) return transfer<0, 2>(left, right, bits, nullptr, controls, out);
  return transfer<0, 4>(left, right, bits, nullptr, controls, out);
}

void transfer2_ascending(const double* left, const double* right, unsigned bits, unsigned a, unsigned b,
                         uint64_t controls, double* out) {
  const unsigned high[2] = {a, b};
  if (a >= kLaneBits) return transfer<2, 0>(left, right, bits, high, controls, out);
  if (b >= kLaneBits) {
    if (a == 0) return transfer<1, 1>(left, right, bits, high + 1, controls, out);
    if (a == 1) return transfer<1, 2>(left, right, bits, high + 1, controls, out);
    return transfer<1, 4>(left, right, bits, high + 1, controls, out);
  }
  if (b == 1) return transfer<0, 3>(left, right, bits, nullptr, controls, out);
  if (a == 0) return transfer<0, 5>(left, right, bits, nullptr, controls, out);
  return transfer<0, 6>(left, right, bits, nullptr, controls, out);
}

void transfer2(const double* left, const double* right, unsigned bits, unsigned a, unsigned b, uint64_t controls,
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

double cross_sum(const double* left, const double* right, unsigned bits, uint64_t mask) {
  const Mask in = lanes_where(mask & kLaneMask, mask & kLaneMask);
  const Groups groups(bits, mask);
  Vec sum{};
  for (uint64_t g = 0, n = groups.count; n != 0; --n, g = groups.next(g)) {
    const uint64_t at = 2 * kLanes * (g | groups.fixed);
    sum = sum + load(left + at) * load(right + at + kLanes) - load(left + at + kLanes) * load(right + at);
  }
  sum = select(in, sum, Vec{});
  double total = 0.0;
  for (unsigned l = 0; l < kLanes; ++l) total += sum[l];
  return total;
}

void crosses(const double* left, const double* right, size_t first, size_t count, double* out) {
  for (size_t g = first >> kLaneBits, end = (first + count) >> kLaneBits; g < end; ++g, out += kLanes) {
    const size_t at = 2 * kLanes * g;
    store(out, load(left + at) * load(right + at + kLanes) - load(left + at + kLanes) * load(right + at));
  }
}

template <unsigned X>
void add_flipped_lanes(const double* from, size_t first, size_t count, uint64_t other, bool imaginary,
                       const double* weights, double* to) {
  for (size_t g = first >> kLaneBits, end = (first + count) >> kLaneBits; g < end; ++g, weights += kLanes) {
    const double* q = from + 2 * kLanes * (g ^ other);
    double* p = to + 2 * kLanes * g;
    const Vec w = load(weights), r = permute<X % kLanes>(load(q)), i = permute<X % kLanes>(load(q + kLanes));
    store(p, load(p) + w * (imaginary ? i : r));
    store(p + kLanes, load(p + kLanes) + w * (imaginary ? -r : i));
  }
}

void add_flipped(const double* from, size_t first, size_t count, uint64_t flip, bool imaginary, const double* weights,
                 double* to) {
  const uint64_t other = flip >> kLaneBits;
  switch (flip & kLaneMask) {
    case 0:
      return add_flipped_lanes<0>(from, first, count, other, imaginary, weights, to);
    case 1:
      return add_flipped_lanes<1>(from, first, count, other, imaginary, weights, to);
    case 2:
      return add_flipped_lanes<2>(from, first, count, other, imaginary, weights, to);
    case 3:
      return add_flipped_lanes<3>(from, first, count, other, imaginary, weights, to);
    case 4:
      return add_flipped_lanes<4>(from, first, count, other, imaginary, weights, to);
    case 5:
      return add_flipped_lanes<5>(from, first, count, other, imaginary, weights, to);
    case 6:
      return add_flipped_lanes<6>(from, first, count, other, imaginary, weights, to);
    default:
      return add_flipped_lanes<7>(from, first, count, other, imaginary, weights, to);
  }
}
