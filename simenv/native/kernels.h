// The inner loops over amplitudes, one table of functions per SIMD level and precision, all made from kernels_impl.h.
//
// Layout: amplitudes lie in groups of `lanes`; a group is its `lanes` real parts, then its `lanes` imaginary parts.
// Amplitude i: group g = i >> lane_bits, lane l = i & (lanes - 1); real part at data[2 * lanes * g + l], imaginary part
// `lanes` further. A state has at least one whole group; the amplitudes that pad it are zero and stay zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simenv/native/simulator.h"

namespace qfw::simenv {

enum class Shape : uint8_t {
  kGeneral = 0,
  kReal = 1,   // all entries real (ry, h)
  kCross = 2,  // diagonal real, the rest imaginary (rx)
};

constexpr unsigned kMaxLayerBits = 16;

// A diagonal made of factors of single bits and of pairs of bits: amplitude i is multiplied by `one`, by single[q] for
// every set bit q of i, and by pair[p][q], p < q, for every two set bits. (re, im) each; only what the masks name is
// read.
struct PhaseTable {
  double one[2];
  uint64_t singles;                  // bits with a factor
  uint64_t partners[kMaxLayerBits];  // of bit p: the higher bits q with a factor pair[p][q]
  double single[kMaxLayerBits][2];
  double pair[kMaxLayerBits][kMaxLayerBits][2];
};

// `data` holds 2^bits amplitudes, of doubles or floats as the table says; everything else is double. Masks and targets
// are bit positions of the amplitude's index; a gate acts where all bits of `controls` are 1. Matrices are row-major
// (re, im) pairs, the first target least significant.
struct Kernels {
  SimdLevel level;
  unsigned lane_bits;
  unsigned scalar_bytes;  // of a real or imaginary part: 8, or 4 in single precision
  // Multiplies the amplitudes whose index has all bits of `mask` by factor[0] + i factor[1].
  void (*phase)(void* data, unsigned bits, uint64_t mask, const double* factor);
  void (*flip)(void* data, unsigned bits, unsigned target, uint64_t controls);
  void (*swap)(void* data, unsigned bits, unsigned a, unsigned b, uint64_t controls);
  void (*dense1)(void* data, unsigned bits, unsigned target, uint64_t controls, const double* matrix, Shape shape);
  void (*dense2)(void* data, unsigned bits, unsigned a, unsigned b, uint64_t controls, const double* matrix);
  void (*layer)(void* data, unsigned bits, const PhaseTable& table);  // bits <= kMaxLayerBits
  // Sum of |amplitude|^2 over [first, first + count), both multiples of the lanes; only those with all bits of `mask`.
  double (*norm)(const void* data, size_t first, size_t count, uint64_t mask);
  // out[i] = |amplitude(first + i)|^2
  void (*norms)(const void* data, size_t first, size_t count, double* out);
  // out[i] = conj(left[j ^ flip]) * right[j], j = first + i: real parts, or imaginary parts. `flip` may reach anywhere
  // in `left`.
  void (*overlaps)(const void* left, const void* right, size_t first, size_t count, uint64_t flip, bool imaginary,
                   double* out);
  // Sum over j in [first, first + count), j without the highest bit of `flip`, of (-1)^popcount(j & z) times the real
  // (or imaginary) part of conj(amplitude(j ^ flip)) * amplitude(j).
  double (*signed_sum)(const void* data, size_t first, size_t count, uint64_t flip, uint64_t z, bool imaginary);
  // In place, n a power of two, at least the lanes: out[z] = the sum over j of (-1)^popcount(j & z) in[j]; and
  // out[z] = the sum of in[j] over the j with all bits of z.
  void (*walsh_hadamard)(double* values, size_t n);
  void (*superset_sums)(double* values, size_t n);
  // To (re, im) pairs of doubles: in place when to == from, in double precision alone.
  void (*interleave)(const void* from, size_t amplitudes, double* to);

  // On two states (simenv/native/gradient). For r and c over the targets' bits: out (dim x dim complex, row-major)
  // [r][c] += the sum over all else of conj(left) at r times right at c, where all bits of `controls` are 1.
  void (*transfer1)(const void* left, const void* right, unsigned bits, unsigned target, uint64_t controls,
                    double* out);
  void (*transfer2)(const void* left, const void* right, unsigned bits, unsigned a, unsigned b, uint64_t controls,
                    double* out);
  // The imaginary part of conj(left[i]) * right[i]: summed over all i with all bits of `mask`, or one by one.
  double (*cross_sum)(const void* left, const void* right, unsigned bits, uint64_t mask);
  void (*crosses)(const void* left, const void* right, size_t first, size_t count, double* out);
  // to[j] += weights[j - first] * from[j ^ flip], times -i when `imaginary`, for j in [first, first + count).
  void (*add_flipped)(const void* from, size_t first, size_t count, uint64_t flip, bool imaginary,
                      const double* weights, void* to);
};

// A level that this CPU lacks gives the best it has.
const Kernels& kernels(SimdLevel level, Precision precision = Precision::kDouble) noexcept;

inline size_t bytes_per_amplitude(const Kernels& k) noexcept { return size_t{2} * k.scalar_bytes; }

// Where the real part of an amplitude lies, counted in parts.
inline size_t real_index(const Kernels& k, uint64_t i) noexcept {
  const uint64_t lanes = uint64_t{1} << k.lane_bits;
  return (i >> k.lane_bits) * 2 * lanes + (i & (lanes - 1));
}

}  // namespace qfw::simenv
