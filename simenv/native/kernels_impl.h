// The kernels, written once. Included by kernels_{baseline,avx2,avx512}.cc, each compiled with its own machine flags
// QFW_LANES and QFW_REAL. Everything here has internal linkage and nothing of the standard library is instantiated:
// code made with wider instructions must never be merged by the linker into what other CPUs run.
#include <cstddef>
#include <cstdint>

#include "simenv/native/kernels.h"

namespace qfw::simenv {
namespace {

constexpr unsigned kLanes = QFW_LANES;
constexpr unsigned kLaneBits = kLanes == 16 ? 4 : kLanes == 8 ? 3 : kLanes == 4 ? 2 : 1;
constexpr unsigned kMaxLaneBits = 4;  // of any table
typedef QFW_REAL Real;
typedef Real Vec __attribute__((vector_size(sizeof(Real) * QFW_LANES)));
typedef double Wide __attribute__((vector_size(8 * QFW_LANES)));  // as many doubles: sums, and what goes out
typedef decltype(Vec{} < Vec{}) Mask;

inline Real* reals(void* p) { return static_cast<Real*>(p); }
inline const Real* reals(const void* p) { return static_cast<const Real*>(p); }

inline Vec load(const Real* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void store(Real* p, Vec v) { __builtin_memcpy(p, &v, sizeof v); }
inline Vec broadcast(double x) { return static_cast<Real>(x) - Vec{}; }
inline Wide widen(Vec v) { return __builtin_convertvector(v, Wide); }
inline void store_wide(double* p, const Wide& v) { __builtin_memcpy(p, &v, sizeof v); }
inline Vec load_narrow(const double* p) {
  Wide v;
  __builtin_memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, Vec);
}

// Lanes permuted by exclusive or with X. Chosen by the preprocessor: `if constexpr` does not keep every compiler from
// looking at the other widths.
template <unsigned X, class V>
inline V permute(V v) {
#if QFW_LANES == 16
  return __builtin_shufflevector(v, v, 0 ^ X, 1 ^ X, 2 ^ X, 3 ^ X, 4 ^ X, 5 ^ X, 6 ^ X, 7 ^ X, 8 ^ X, 9 ^ X, 10 ^ X,
                                 11 ^ X, 12 ^ X, 13 ^ X, 14 ^ X, 15 ^ X);
#elif QFW_LANES == 8
  return __builtin_shufflevector(v, v, 0 ^ X, 1 ^ X, 2 ^ X, 3 ^ X, 4 ^ X, 5 ^ X, 6 ^ X, 7 ^ X);
#elif QFW_LANES == 4
  return __builtin_shufflevector(v, v, 0 ^ X, 1 ^ X, 2 ^ X, 3 ^ X);
#else
  return __builtin_shufflevector(v, v, 0 ^ X, 1 ^ X);
#endif
}

// Calls f.operator()<X>() for the lane mask x.
template <unsigned X = 0, class F>
inline auto with_lanes(unsigned x, const F& f) {
  if constexpr (X + 1 == kLanes) {
    return f.template operator()<X>();
  } else {
    return x == X ? f.template operator()<X>() : with_lanes<X + 1>(x, f);
  }
}

// All ones in the lanes l with (l & mask) == value.
inline Mask lanes_where(uint64_t mask, uint64_t value) {
  Mask lane;
  for (unsigned l = 0; l < kLanes; ++l) lane[l] = static_cast<int>(l);
  return (lane & static_cast<int>(mask)) == static_cast<int>(value);
}
inline Vec select(Mask m, Vec yes, Vec no) { return m ? yes : no; }

constexpr uint64_t kLaneMask = kLanes - 1;

// The groups whose index has every bit of `fixed` zero, in ascending order.
struct Groups {
  uint64_t fixed, count;
  Groups(unsigned bits, uint64_t fixed_bits)
      : fixed(fixed_bits >> kLaneBits),
        count(
            uint64_t{1} << (bits - kLaneBits - static_cast<unsigned>(__builtin_popcountll(fixed_bits >> kLaneBits)))) {}
  uint64_t next(uint64_t g) const { return ((g | fixed) + 1) & ~fixed; }
};

void phase(void* data, unsigned bits, uint64_t mask, const double* factor) {
  const Mask in = lanes_where(mask & kLaneMask, mask & kLaneMask);
  const Vec fr = select(in, broadcast(factor[0]), broadcast(1.0)), fi = select(in, broadcast(factor[1]), Vec{});
  const Groups groups(bits, mask);
  for (uint64_t g = 0, n = groups.count; n != 0; --n, g = groups.next(g)) {
    Real* p = reals(data) + 2 * kLanes * (g | groups.fixed);
    const Vec r = load(p), i = load(p + kLanes);
    store(p, r * fr - i * fi);
    store(p + kLanes, r * fi + i * fr);
  }
}

template <unsigned X>
void flip_lanes(void* data, unsigned bits, uint64_t controls) {
  const Mask in = lanes_where(controls & kLaneMask, controls & kLaneMask);
  const Groups groups(bits, controls);
  for (uint64_t g = 0, n = groups.count; n != 0; --n, g = groups.next(g)) {
    Real* p = reals(data) + 2 * kLanes * (g | groups.fixed);
    const Vec r = load(p), i = load(p + kLanes);
    store(p, select(in, permute<X>(r), r));
    store(p + kLanes, select(in, permute<X>(i), i));
  }
}

inline void exchange(Real* p, Real* q, Mask in) {
  for (unsigned part = 0; part < 2; ++part, p += kLanes, q += kLanes) {
    const Vec x = load(p), y = load(q);
    store(p, select(in, y, x));
    store(q, select(in, x, y));
  }
}

void flip(void* data, unsigned bits, unsigned target, uint64_t controls) {
  if (target < kLaneBits) return with_lanes(1u << target, [&]<unsigned X>() { flip_lanes<X>(data, bits, controls); });
  const Mask in = lanes_where(controls & kLaneMask, controls & kLaneMask);
  const uint64_t bit = uint64_t{1} << (target - kLaneBits), on = controls >> kLaneBits;
  const Groups groups(bits, controls | uint64_t{1} << target);
  for (uint64_t g = 0, n = groups.count; n != 0; --n, g = groups.next(g))
    exchange(reals(data) + 2 * kLanes * (g | on), reals(data) + 2 * kLanes * (g | on | bit), in);
}

void swap(void* data, unsigned bits, unsigned a, unsigned b, uint64_t controls) {
  if (a < kLaneBits || b < kLaneBits) {
    const uint64_t bit_a = uint64_t{1} << a, bit_b = uint64_t{1} << b;
    flip(data, bits, b, bit_a);
    flip(data, bits, a, controls | bit_b);
    flip(data, bits, b, bit_a);
    return;
  }
  const Mask in = lanes_where(controls & kLaneMask, controls & kLaneMask);
  const uint64_t bit_a = uint64_t{1} << (a - kLaneBits), bit_b = uint64_t{1} << (b - kLaneBits);
  const uint64_t on = controls >> kLaneBits;
  const Groups groups(bits, controls | uint64_t{1} << a | uint64_t{1} << b);
  for (uint64_t g = 0, n = groups.count; n != 0; --n, g = groups.next(g))
    exchange(reals(data) + 2 * kLanes * (g | on | bit_a), reals(data) + 2 * kLanes * (g | on | bit_b), in);
}

// A matrix on `kHigh` targets above the lanes and the targets LOW (a mask) within them, one formula for every case:
//   out[r] = sum over s, p of C[r][s][p] * permute<p>(in[s]),
// r, s over the high targets' bits, p over the subsets of LOW; C holds one coefficient per lane.
constexpr unsigned low_count(unsigned low) { return low == 0 ? 0 : (low & 1) + low_count(low >> 1); }
constexpr unsigned spread(unsigned low, unsigned bits) {  // deposits `bits` at the set positions of `low`
  unsigned out = 0;
  for (unsigned q = 0, k = 0; q < kMaxLaneBits; ++q)
    if (low >> q & 1) out |= (bits >> k++ & 1) << q;
  return out;
}

template <unsigned HIGH, unsigned LOW>
struct Coefficients {
  static constexpr unsigned kRows = 1u << HIGH, kPerms = 1u << low_count(LOW), kDim = kRows * kPerms;
  Vec re[kRows][kRows][kPerms], im[kRows][kRows][kPerms];

  // In `matrix`, targets are in ascending order of their positions: low ones first.
  Coefficients(const double* matrix, uint64_t low_controls) {
    const Mask in = lanes_where(low_controls, low_controls);
    for (unsigned r = 0; r < kRows; ++r)
      for (unsigned s = 0; s < kRows; ++s)
        for (unsigned p = 0; p < kPerms; ++p) {
          Vec vr{}, vi{};
          for (unsigned c = 0; c < kPerms; ++c) {  // c: the lane's own low target bits
            const double* m = matrix + 2 * ((r * kPerms + c) * kDim + s * kPerms + (c ^ p));
            const Mask here = lanes_where(LOW, spread(LOW, c));
            vr = select(here, broadcast(m[0]), vr);
            vi = select(here, broadcast(m[1]), vi);
          }
          re[r][s][p] = select(in, vr, broadcast(r == s && p == 0 ? 1.0 : 0.0));
          im[r][s][p] = select(in, vi, Vec{});
        }
  }
};

template <unsigned LOW, unsigned P = 0>
inline void permuted(Vec v, Vec* out) {
  out[P] = permute<spread(LOW, P)>(v);
  if constexpr (P + 1 < (1u << low_count(LOW))) permuted<LOW, P + 1>(v, out);
}

// One term of the sum; the shape says which products are known to be zero.
template <Shape SHAPE>
inline void add_product(Vec cr, Vec ci, Vec xr, Vec xi, bool diagonal, Vec& r, Vec& i) {
  if (SHAPE == Shape::kGeneral) {
    r = r + cr * xr - ci * xi;
    i = i + cr * xi + ci * xr;
  } else if (SHAPE == Shape::kReal || diagonal) {
    r = r + cr * xr;
    i = i + cr * xi;
  } else {
    r = r - ci * xi;
    i = i + ci * xr;
  }
}

template <unsigned HIGH, unsigned LOW, Shape SHAPE>
void dense(void* data, unsigned bits, const unsigned* high, uint64_t controls, const double* matrix) {
  using C = Coefficients<HIGH, LOW>;
  const C c(matrix, controls & kLaneMask);
  const uint64_t on = controls >> kLaneBits;
  uint64_t fixed = controls, offset[C::kRows] = {};
  for (unsigned k = 0; k < HIGH; ++k) {
    fixed |= uint64_t{1} << high[k];
    for (unsigned r = 0; r < C::kRows; ++r)
      if (r >> k & 1) offset[r] |= 2 * kLanes * (uint64_t{1} << (high[k] - kLaneBits));
  }
  const Groups groups(bits, fixed);
  for (uint64_t g = 0, n = groups.count; n != 0; --n, g = groups.next(g)) {
    Real* p = reals(data) + 2 * kLanes * (g | on);
    Vec xr[C::kRows][C::kPerms], xi[C::kRows][C::kPerms];
    for (unsigned s = 0; s < C::kRows; ++s) {
      permuted<LOW>(load(p + offset[s]), xr[s]);
      permuted<LOW>(load(p + offset[s] + kLanes), xi[s]);
    }
    for (unsigned r = 0; r < C::kRows; ++r) {
      Vec re{}, im{};
      for (unsigned s = 0; s < C::kRows; ++s)
        for (unsigned q = 0; q < C::kPerms; ++q)
          add_product<SHAPE>(c.re[r][s][q], c.im[r][s][q], xr[s][q], xi[s][q], r == s && q == 0, re, im);
      store(p + offset[r], re);
      store(p + offset[r] + kLanes, im);
    }
  }
}

template <Shape SHAPE>
void dense1_shaped(void* data, unsigned bits, unsigned target, uint64_t controls, const double* matrix) {
  if (target >= kLaneBits) return dense<1, 0, SHAPE>(data, bits, &target, controls, matrix);
  with_lanes(1u << target, [&]<unsigned LOW>() {
    if constexpr (low_count(LOW) == 1) dense<0, LOW, SHAPE>(data, bits, nullptr, controls, matrix);
  });
}

void dense1(void* data, unsigned bits, unsigned target, uint64_t controls, const double* matrix, Shape shape) {
  if (shape == Shape::kReal) return dense1_shaped<Shape::kReal>(data, bits, target, controls, matrix);
  if (shape == Shape::kCross) return dense1_shaped<Shape::kCross>(data, bits, target, controls, matrix);
  return dense1_shaped<Shape::kGeneral>(data, bits, target, controls, matrix);
}

void dense2(void* data, unsigned bits, unsigned a, unsigned b, uint64_t controls, const double* matrix) {
  double ordered[32];
  if (a > b) {  // the lower position becomes the matrix's first target
    for (unsigned r = 0; r < 4; ++r)
      for (unsigned c = 0; c < 4; ++c) {
        const unsigned from = 4 * ((r & 1) << 1 | r >> 1) + ((c & 1) << 1 | c >> 1);
        ordered[2 * (4 * r + c)] = matrix[2 * from];
        ordered[2 * (4 * r + c) + 1] = matrix[2 * from + 1];
      }
    matrix = ordered;
    const unsigned t = a;
    a = b;
    b = t;
  }
  constexpr Shape kG = Shape::kGeneral;
  const unsigned high[2] = {a, b};
  if (a >= kLaneBits) return dense<2, 0, kG>(data, bits, high, controls, matrix);
  with_lanes(b >= kLaneBits ? 1u << a : 1u << a | 1u << b, [&]<unsigned LOW>() {
    if constexpr (low_count(LOW) == 1) dense<1, LOW, kG>(data, bits, high + 1, controls, matrix);
    if constexpr (low_count(LOW) == 2) dense<0, LOW, kG>(data, bits, nullptr, controls, matrix);
  });
}

#include "simenv/native/kernels_layer.h"
#include "simenv/native/kernels_pair.h"

constexpr size_t kFewGroups = 16;  // summed before the sum goes into doubles

double norm(const void* data, size_t first, size_t count, uint64_t mask) {
  const Mask in = lanes_where(mask & kLaneMask, mask & kLaneMask);
  const uint64_t on = mask >> kLaneBits;
  Wide sum{};
  for (size_t g = first >> kLaneBits, end = (first + count) >> kLaneBits; g < end; ++g) {
    if ((g & on) != on) continue;
    const Real* p = reals(data) + 2 * kLanes * g;
    const Vec r = load(p), i = load(p + kLanes);
    sum = sum + widen(select(in, r * r + i * i, Vec{}));
  }
  double total = 0.0;
  for (unsigned l = 0; l < kLanes; ++l) total += sum[l];
  return total;
}

void norms(const void* data, size_t first, size_t count, double* out) {
  if (count < kLanes) {  // a state narrower than one group
    const Real* p = reals(data);
    for (size_t i = 0; i < count; ++i) out[i] = p[i] * p[i] + p[i + kLanes] * p[i + kLanes];
    return;
  }
  for (size_t g = first >> kLaneBits, end = (first + count) >> kLaneBits; g < end; ++g, out += kLanes) {
    const Real* p = reals(data) + 2 * kLanes * g;
    const Vec r = load(p), i = load(p + kLanes);
    store_wide(out, widen(r * r + i * i));
  }
}

// conj(the amplitudes of group h on the left, their lanes permuted by X) times those of group g on the right: real or
// imaginary parts.
template <unsigned X>
inline Vec overlap(const Real* right, uint64_t g, const Real* left, uint64_t h, bool imaginary) {
  const Real *p = right + 2 * kLanes * g, *q = left + 2 * kLanes * h;
  const Vec r = load(p), i = load(p + kLanes), s = permute<X>(load(q)), t = permute<X>(load(q + kLanes));
  return imaginary ? s * i - t * r : s * r + t * i;
}

void overlaps(const void* left, const void* right, size_t first, size_t count, uint64_t flip, bool imaginary,
              double* out) {
  const uint64_t other = flip >> kLaneBits;
  with_lanes(static_cast<unsigned>(flip & kLaneMask), [&]<unsigned X>() {
    double* to = out;
    for (size_t g = first >> kLaneBits, end = (first + count) >> kLaneBits; g < end; ++g, to += kLanes)
      store_wide(to, widen(overlap<X>(reals(right), g, reals(left), g ^ other, imaginary)));
  });
}

constexpr uint64_t highest_bit(unsigned x) { return x >> 1 == 0 ? x : 2 * highest_bit(x >> 1); }

template <unsigned X>
double signed_sum_lanes(const Real* data, size_t first, size_t count, uint64_t flip, uint64_t z, bool imaginary) {
  const uint64_t other = flip >> kLaneBits, z_groups = z >> kLaneBits;
  const uint64_t half = other == 0 ? 0 : uint64_t{1} << (63 - __builtin_clzll(other));
  Wide sum{};
  for (size_t g = first >> kLaneBits, end = (first + count) >> kLaneBits; g < end;) {
    if ((g & half) != 0) {  // on to the next group without that bit
      g = (g | (half - 1)) + 1;
      continue;
    }
    size_t stop = end - g < kFewGroups ? end : g + kFewGroups;
    if (half != 0 && (g | (half - 1)) < stop) stop = (g | (half - 1)) + 1;
    Vec part{};
    for (; g < stop; ++g) {
      const Vec sign = broadcast(__builtin_parityll(g & z_groups) ? -1.0 : 1.0);
      part = part + sign * overlap<X>(data, g, data, g ^ other, imaginary);
    }
    sum = sum + widen(part);
  }
  // Within a group: the lanes' own signs, and only those without the highest bit when it lies there.
  const uint64_t skip = other != 0 || X == 0 ? 0 : highest_bit(X);
  double total = 0.0;
  for (unsigned l = 0; l < kLanes; ++l)
    if ((l & skip) == 0) total += __builtin_parityll(l & z) ? -sum[l] : sum[l];
  return total;
}

double signed_sum(const void* data, size_t first, size_t count, uint64_t flip, uint64_t z, bool imaginary) {
  return with_lanes(static_cast<unsigned>(flip & kLaneMask),
                    [&]<unsigned X>() { return signed_sum_lanes<X>(reals(data), first, count, flip, z, imaginary); });
}

// A transform goes bit by bit; x and y are the values whose indices differ in that bit, x where it is 0.
struct Walsh {
  static constexpr double kLow = 1.0, kHigh = -1.0, kOther = 1.0;  // x + y, x - y
};
struct Supersets {
  static constexpr double kLow = 1.0, kHigh = 1.0, kOther = 0.0;  // x + y, y
};

// The bits within a group of lanes: a low lane takes itself and the other, a high one kHigh itself and kOther the
// other.
template <class T, unsigned BIT = 1>
inline void transform_lanes(Wide& v) {
  if constexpr (BIT < kLanes) {
    Wide own{}, other{};
    for (unsigned l = 0; l < kLanes; ++l) {
      own[l] = l & BIT ? T::kHigh : T::kLow;
      other[l] = l & BIT ? T::kOther : 1.0;
    }
    v = own * v + other * permute<BIT>(v);
    transform_lanes<T, 2 * BIT>(v);
  }
}

template <class T>
void transform(double* values, size_t n) {
  Wide x, y;
  for (size_t i = 0; i < n; i += kLanes) {
    __builtin_memcpy(&x, values + i, sizeof x);
    transform_lanes<T>(x);
    store_wide(values + i, x);
  }
  for (size_t half = kLanes; half < n; half *= 2)
    for (size_t base = 0; base < n; base += 2 * half)
      for (double *p = values + base, *q = p + half, *end = q; p != end; p += kLanes, q += kLanes) {
        __builtin_memcpy(&x, p, sizeof x);
        __builtin_memcpy(&y, q, sizeof y);
        store_wide(p, x + y);
        store_wide(q, T::kOther * x + T::kHigh * y);
      }
}
void walsh_hadamard(double* values, size_t n) { transform<Walsh>(values, n); }
void superset_sums(double* values, size_t n) { transform<Supersets>(values, n); }

void interleave(const void* data, size_t amplitudes, double* to) {
  const Real* from = reals(data);
  for (size_t first = 0; first < amplitudes; first += kLanes, from += 2 * kLanes, to += 2 * kLanes) {
    double group[2 * kLanes];
    for (unsigned l = 0; l < kLanes; ++l) {
      group[2 * l] = from[l];
      group[2 * l + 1] = from[kLanes + l];
    }
    const size_t parts = amplitudes - first < kLanes ? 2 * (amplitudes - first) : size_t{2} * kLanes;
    for (size_t k = 0; k < parts; ++k) to[k] = group[k];
  }
}

}  // namespace
}  // namespace qfw::simenv

// clang-format off
#define QFW_KERNEL_TABLE(name, level)                                                                 \
  namespace qfw::simenv {                                                                             \
  extern const Kernels name;                                                                          \
  const Kernels name = {level, kLaneBits, sizeof(Real), phase, flip, swap, dense1, dense2, layer, norm, norms,      \
                        overlaps, signed_sum, walsh_hadamard, superset_sums, interleave, transfer1, transfer2, cross_sum, crosses,   \
                        add_flipped};                                                                 \
  }
// clang-format on
