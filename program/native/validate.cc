// Checks of values that the decoder and the builder share.
#include <cmath>

#include "program/native/decode.h"

namespace qfw::program {
namespace {

// Length of the UTF-8 sequence a lead byte announces, 0 when it cannot lead.
size_t sequence_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

}  // namespace

// Refuses overlong forms, surrogates, code points above U+10FFFF, and NUL (C strings carry these names).
bool valid_utf8(std::string_view text) noexcept {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  for (size_t i = 0; i < text.size();) {
    const unsigned char lead = at(i);
    const size_t length = sequence_length(lead);
    if (lead == 0 || length == 0 || length > text.size() - i) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((at(i + k) & 0xc0) != 0x80) return false;
    }
    if (length > 2) {
      const unsigned char second = at(i + 1);
      if (lead == 0xe0 && second < 0xa0) return false;
      if (lead == 0xed && second > 0x9f) return false;
      if (lead == 0xf0 && second < 0x90) return false;
      if (lead == 0xf4 && second > 0x8f) return false;
    }
    i += length;
  }
  return true;
}

bool is_unitary(std::span<const Complex> matrix, size_t dim) noexcept {
  for (const Complex& entry : matrix) {
    if (!std::isfinite(entry.real()) || !std::isfinite(entry.imag())) return false;
  }
  for (size_t i = 0; i < dim; ++i) {
    for (size_t j = i; j < dim; ++j) {
      double re = i == j ? -1.0 : 0.0;
      double im = 0.0;
      for (size_t k = 0; k < dim; ++k) {
        const Complex a = matrix[i * dim + k];
        const Complex b = matrix[j * dim + k];
        re += a.real() * b.real() + a.imag() * b.imag();
        im += a.imag() * b.real() - a.real() * b.imag();
      }
      if (!(std::abs(re) <= kUnitaryTolerance && std::abs(im) <= kUnitaryTolerance)) return false;
    }
  }
  return true;
}

}  // namespace qfw::program
