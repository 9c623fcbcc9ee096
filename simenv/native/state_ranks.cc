// What State does together with other ranks.
#include <algorithm>
#include <bit>
#include <cstring>

#include "simenv/native/block.h"
#include "simenv/native/distribute.h"
#include "simenv/native/state.h"

namespace qfw::simenv {

using program::Complex;

// The amplitudes of a slice whose index reads `value` at the bits of `mask`, in order.
struct State::Part {
  uint64_t mask, value;
  const Kernels& kernels;
  unsigned bits;  // of the slice

  uint64_t count() const noexcept { return uint64_t{1} << (bits - static_cast<unsigned>(std::popcount(mask))); }

  // Whether each aligned `count` amplitudes lie together; then where.
  bool together(uint64_t count) const noexcept { return mask == 0 || count <= uint64_t{1} << std::countr_zero(mask); }
  uint64_t index(uint64_t i) const noexcept { return deposit(i, ~mask & ((uint64_t{1} << bits) - 1)) | value; }

  // Calls copy(data in the slice, data in the message, bytes) for what is contiguous of [first, first + count).
  template <class Copy>
  void for_runs(std::byte* slice, uint64_t first, uint64_t count, std::byte* message, const Copy& copy) const {
    const unsigned run_bits = mask == 0 ? bits : static_cast<unsigned>(std::countr_zero(mask));
    const uint64_t each = bytes_per_amplitude(kernels);
    if (run_bits >= kernels.lane_bits) {
      const uint64_t run = std::min(uint64_t{1} << run_bits, count);
      for (uint64_t i = first; i < first + count; i += run, message += run * each)
        copy(slice + index(i) * each, message, run * each);
      return;
    }
    const size_t scalar = kernels.scalar_bytes, imaginary = scalar << kernels.lane_bits;
    for (uint64_t i = first; i < first + count; ++i, message += each) {
      std::byte* real = slice + real_index(kernels, index(i)) * scalar;
      copy(real, message, scalar);
      copy(real + imaginary, message + scalar, scalar);
    }
  }
};

namespace {

std::byte* room(Buffer& buffer, size_t bytes) {
  const size_t doubles = (bytes + sizeof(double) - 1) / sizeof(double);
  if (buffer.size() < doubles) buffer = Buffer(doubles);
  return reinterpret_cast<std::byte*>(buffer.data());
}

}  // namespace

uint64_t State::piece() const noexcept { return std::min<uint64_t>(size(), std::bit_floor(kPieceBytes / each_)); }

void State::swap_part(unsigned partner, const Part& part, bool send, bool receive) {
  const uint64_t total = part.count(), piece = std::min(total, this->piece());
  const size_t bytes = piece * each_;
  const bool direct = piece >= uint64_t{1} << kernels_.lane_bits && part.together(piece);
  std::byte* in = room(received_, bytes);
  if (!receive) std::memset(in, 0, bytes);  // what the partner has is zero
  for (uint64_t first = 0; first < total; first += piece) {
    const std::byte* from = data_ + part.index(first) * each_;
    if (send && !direct) {
      std::byte* out = room(sent_, bytes);
      from = out;
      part.for_runs(data_, first, piece, out,
                    [](std::byte* slice, std::byte* message, size_t n) { std::memcpy(message, slice, n); });
    }
    comm_->swap(partner, {from, send ? bytes : 0}, {in, receive ? bytes : 0});
    part.for_runs(data_, first, piece, in,
                  [](std::byte* slice, std::byte* message, size_t n) { std::memcpy(slice, message, n); });
  }
}

// Of all ranks together: a rank sends the parts that its own bits, and those that the part's positions read, do not
// make zero, but for the part that it keeps.
uint64_t State::bytes_of(const Exchange& change) const noexcept {
  const size_t m = change.pairs.size();
  uint64_t parts = 0;
  for (unsigned rank = 0; rank < comm_->ranks(); ++rank) {
    if (is_zero(rank)) continue;
    uint64_t own = 0, sent = 1;
    for (size_t i = 0; i < m; ++i) {
      const auto& [p, q] = change.pairs[i];
      own |= ((uint64_t{rank} << qubits_) >> q & 1) << p;
      if (touched_ >> p & 1) sent *= 2;
    }
    parts += sent - ((own & ~touched_) == 0 ? 1 : 0);
  }
  return parts * (size() >> m) * each_;
}

// The ranks that differ in these rank bits alone each hold a part for every other: the part whose positions read what
// the other's bits are. Two such parts change places, where they lie.
void State::exchange(const Exchange& change) {
  comm_->traffic.exchanges += 1;
  comm_->traffic.bytes += bytes_of(change);
  const size_t m = change.pairs.size();
  for (unsigned x = 1; x < 1u << m; ++x) {
    uint64_t mask = 0, mine = 0, theirs = 0, partner = offset_;
    for (size_t i = 0; i < m; ++i) {
      const auto& [p, q] = change.pairs[i];
      const uint64_t own = offset_ >> q & 1, other = own ^ (x >> i & 1);
      mask |= uint64_t{1} << p;
      mine |= other << p;
      theirs |= own << p;
      partner ^= uint64_t{x >> i & 1} << q;
    }
    const bool send = ((offset_ | mine) & ~touched_) == 0, receive = ((partner | theirs) & ~touched_) == 0;
    if (send || receive)
      swap_part(static_cast<unsigned>(partner >> qubits_), {mask, mine, kernels_, qubits_}, send, receive);
  }
  touched_ = change.moved(touched_);
  for (const auto& [p, q] : change.pairs) layout_.exchange(p, q);
}

void State::flip(uint32_t qubit) {
  const unsigned position = layout_.position(qubit);
  if (position < qubits_ || comm_ == nullptr) {
    kernels_.flip(data_, bits_, position, 0);
  } else {
    const unsigned partner = comm_->rank() ^ 1u << (position - qubits_);
    const bool send = !is_zero(comm_->rank()), receive = !is_zero(partner);
    count_slices(comm_->rank() ^ partner, true);
    if (send || receive) swap_part(partner, {0, 0, kernels_, qubits_}, send, receive);
  }
  touched_ |= uint64_t{1} << position;
}

void State::count_slices(unsigned partners, bool always) const noexcept {
  comm_->traffic.exchanges += 1;
  for (unsigned rank = 0; rank < comm_->ranks(); ++rank)
    if (!is_zero(rank) && (always || !is_zero(rank ^ partners))) comm_->traffic.bytes += size() * each_;
}

const void* State::swap_piece(unsigned partner, uint64_t first, uint64_t count, bool send, bool receive) const {
  const size_t bytes = count * each_;
  std::byte* in = room(received_, bytes);
  comm_->swap(partner, {static_cast<const std::byte*>(at(first)), send ? bytes : 0}, {in, receive ? bytes : 0});
  return in;
}

void State::straighten(const Stop& stop) {
  if (comm_ != nullptr) arrange(Layout::straight(all_qubits()), stop);
}

// First the rank bits: a qubit that is wanted there comes from the slice, by way of it when it lies at another rank
// bit.
void State::arrange(const Layout& wanted, const Stop& stop) {
  if (comm_ == nullptr || layout_ == wanted) return;
  for (;;) {
    Exchange change;
    uint8_t astray = 0;
    for (size_t q = 0; q < wanted.at.size(); ++q) {
      if (wanted.at[q] < qubits_ || layout_.at[q] == wanted.at[q]) continue;
      if (layout_.at[q] < qubits_) {
        change.pairs.emplace_back(layout_.at[q], wanted.at[q]);
      } else {
        astray = layout_.at[q];
      }
    }
    if (change.pairs.empty() && astray == 0) break;
    if (change.pairs.empty()) change.pairs.emplace_back(static_cast<uint8_t>(qubits_ - 1), astray);
    exchange(change);
  }
  if (layout_ == wanted) return;
  const Plan plan = permute(layout_, wanted, qubits_);
  apply(plan, 0, nullptr, stop);
}

std::vector<Complex> State::gather() const {
  std::vector<Complex> out;
  if (comm_->root()) {
    out.reserve(size() << comm_->rank_bits());
    advise_huge(out.data(), (size() << comm_->rank_bits()) * sizeof(Complex));
    out.resize(size() << comm_->rank_bits());
  }
  const std::span<const std::byte> mine(data_, size() * each_);
  collect(*comm_, mine, each_ << kernels_.lane_bits, [&](unsigned rank, size_t at, std::span<const std::byte> piece) {
    const size_t count = piece.size() / each_, first = rank * size() + at / each_;
    kernels_.interleave(piece.data(), count, reinterpret_cast<double*>(out.data() + first));
  });
  return out;
}

}  // namespace qfw::simenv
