// The kernel of a layer of phases; a part of kernels_impl.h, included there inside its namespaces.
//
// A row of 2^kTileBits amplitudes is multiplied by a table of factors times one number. Going from row to row along the
// binary tree of the higher bits, those with a partner inside the row first, the table of a row is that of its parent
// times one table for the bit that was set: about two complex products an amplitude for any number of phases.

constexpr unsigned kTileBits = 7;

struct Tile {
  Real re[1u << kTileBits], im[1u << kTileBits];
};

struct Factor {
  double re, im;
};
inline Factor times(Factor x, Factor y) { return {x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re}; }
inline Factor factor_at(const double* c) { return {c[0], c[1]}; }
inline Factor single_of(const PhaseTable& t, unsigned q) {
  return t.singles >> q & 1 ? factor_at(t.single[q]) : Factor{1, 0};
}

// out[x] = first * the product over the set bits p of x of pair[p][q], x of `bits` bits.
void fill_pairs(const PhaseTable& t, unsigned q, unsigned bits, Factor first, Tile& out) {
  out.re[0] = static_cast<Real>(first.re);
  out.im[0] = static_cast<Real>(first.im);
  for (unsigned p = 0; p < bits; ++p) {
    const Factor f = t.partners[p] >> q & 1 ? factor_at(t.pair[p][q]) : Factor{1, 0};
    for (unsigned x = 0; x < 1u << p; ++x) {
      const Factor v = times({out.re[x], out.im[x]}, f);
      out.re[x + (1u << p)] = static_cast<Real>(v.re);
      out.im[x + (1u << p)] = static_cast<Real>(v.im);
    }
  }
}

class LayerWalk {
 public:
  LayerWalk(Real* data, unsigned bits, const PhaseTable& table)
      : data_(data), bits_(bits), tile_bits_(bits < kTileBits ? bits : kTileBits), t_(table) {}

  void run() {
    bool unit = t_.one[0] == 1.0 && t_.one[1] == 0.0 && (t_.singles & ((1u << tile_bits_) - 1)) == 0;
    Tile& root = stack_[bits_ - tile_bits_];
    root.re[0] = static_cast<Real>(t_.one[0]);
    root.im[0] = static_cast<Real>(t_.one[1]);
    for (unsigned q = 0; q < tile_bits_; ++q) {
      unit &= (t_.partners[q] & ((1u << tile_bits_) - 1)) == 0;
      Tile rest;
      fill_pairs(t_, q, q, single_of(t_, q), rest);
      for (unsigned x = 0; x < 1u << q; ++x) {
        const Factor v = times({root.re[x], root.im[x]}, {rest.re[x], rest.im[x]});
        root.re[x + (1u << q)] = static_cast<Real>(v.re);
        root.im[x + (1u << q)] = static_cast<Real>(v.im);
      }
    }
    for (unsigned q = tile_bits_; q < bits_; ++q)
      if (crosses(q)) {
        fill_pairs(t_, q, tile_bits_, Factor{1, 0}, of_bit_[levels_]);
        order_[levels_++] = q;
      }
    crossing_ = levels_;
    for (unsigned q = tile_bits_; q < bits_; ++q)
      if (!crosses(q)) order_[levels_++] = q;
    for (unsigned k = 0; k < levels_; ++k) {
      const unsigned q = order_[k];
      single_[k] = single_of(t_, q);
      for (unsigned other = tile_bits_; other < bits_; ++other) {
        const unsigned low = q < other ? q : other, high = q < other ? other : q;
        if (t_.partners[low] >> high & 1) partners_[k] |= uint64_t{1} << other;
      }
    }
    descend(0, 0, unit ? nullptr : &root, Factor{1, 0});
  }

 private:
  bool crosses(unsigned q) const {
    for (unsigned p = 0; p < tile_bits_; ++p)
      if (t_.partners[p] >> q & 1) return true;
    return false;
  }

  // The bits order_[0 .. level) are decided as in `row`; the factors so far are `now` (null: all 1) times `scale`.
  void descend(unsigned level, uint64_t row, const Tile* now, Factor scale) {
    if (level == levels_) return apply(row, now, scale);
    descend(level + 1, row, now, scale);
    const unsigned q = order_[level];
    scale = times(scale, single_[level]);
    for (uint64_t set = partners_[level] & row; set != 0; set &= set - 1) {
      const unsigned other = static_cast<unsigned>(__builtin_ctzll(set));
      scale = times(scale, factor_at(q < other ? t_.pair[q][other] : t_.pair[other][q]));
    }
    if (level < crossing_) {
      multiply(now, of_bit_[level], stack_[level]);
      now = &stack_[level];
    }
    descend(level + 1, row | uint64_t{1} << q, now, scale);
  }

  void multiply(const Tile* now, const Tile& with, Tile& out) const {
    for (unsigned x = 0; x < 1u << tile_bits_; x += kLanes) {
      const Vec a = load(with.re + x), b = load(with.im + x);
      const Vec r = now == nullptr ? broadcast(1.0) : load(now->re + x), i = now == nullptr ? Vec{} : load(now->im + x);
      store(out.re + x, r * a - i * b);
      store(out.im + x, r * b + i * a);
    }
  }

  void apply(uint64_t row, const Tile* factors, Factor scale) const {
    const bool scaled = scale.re != 1.0 || scale.im != 0.0;
    if (factors == nullptr && !scaled) return;
    const Vec sr = broadcast(scale.re), si = broadcast(scale.im);
    Real* p = data_ + 2 * row;
    for (unsigned x = 0; x < 1u << tile_bits_; x += kLanes, p += 2 * kLanes) {
      Vec a = sr, b = si;
      if (factors != nullptr) {
        const Vec c = load(factors->re + x), d = load(factors->im + x);
        a = c * sr - d * si;
        b = c * si + d * sr;
      }
      const Vec r = load(p), i = load(p + kLanes);
      store(p, r * a - i * b);
      store(p + kLanes, r * b + i * a);
    }
  }

  Real* data_;
  unsigned bits_, tile_bits_;
  const PhaseTable& t_;
  unsigned levels_ = 0, crossing_ = 0;  // bits above the tile; those with a partner in the tile come first
  unsigned order_[kMaxLayerBits];
  Factor single_[kMaxLayerBits];
  uint64_t partners_[kMaxLayerBits] = {};
  Tile of_bit_[kMaxLayerBits - kTileBits], stack_[kMaxLayerBits - kTileBits + 1];
};

void layer(void* data, unsigned bits, const PhaseTable& table) { LayerWalk(reals(data), bits, table).run(); }
