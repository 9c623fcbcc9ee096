// What the ranks that share one simulation say to each other. Every rank carries out the same program and calls these
// in the same order; what one of them throws must be thrown on all, or end the job.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace qfw::simenv {

class Comm {
 public:
  // 2^rank_bits ranks share the state; `neighbours` of them, this one included, share this one's machine.
  Comm(unsigned rank, unsigned rank_bits, unsigned neighbours)
      : rank_(rank), rank_bits_(rank_bits), neighbours_(neighbours) {}
  virtual ~Comm() = default;

  unsigned rank() const noexcept { return rank_; }
  unsigned rank_bits() const noexcept { return rank_bits_; }
  unsigned ranks() const noexcept { return 1u << rank_bits_; }
  unsigned neighbours() const noexcept { return neighbours_; }
  bool root() const noexcept { return rank_ == 0; }

  // Sends and receives at the same time; either side may be empty. The partner calls it with the sizes swapped.
  virtual void swap(unsigned partner, std::span<const std::byte> send, std::span<std::byte> receive) = 0;
  // Every rank's values, rank by rank, the same on all. Throws on all when one has been told to stop.
  virtual std::vector<double> all_gather(std::span<const double> mine) = 0;

  struct Traffic {           // of states that are evolved or measured, not of results that are collected
    uint64_t exchanges = 0;  // in which ranks swap parts of their slices, or send all of them
    uint64_t bytes = 0;      // of amplitudes, sent by all ranks together; the same on all
  };
  Traffic traffic;

 private:
  unsigned rank_, rank_bits_, neighbours_;
};

constexpr size_t kPieceBytes = size_t{4} << 20;  // of messages

// Sums over all ranks, in their order.
std::vector<double> sum_over(Comm& comm, std::span<const double> mine);
// Every rank's `mine` on rank 0, in order: calls take(rank, offset in its bytes, piece); `take` is not called
// elsewhere. Pieces hold whole items of `item` bytes.
template <class Take>
void collect(Comm& comm, std::span<const std::byte> mine, size_t item, const Take& take) {
  const double size = static_cast<double>(mine.size());
  const std::vector<double> sizes = comm.all_gather({&size, 1});
  const size_t each = kPieceBytes / item * item;
  if (!comm.root()) {
    for (size_t at = 0; at < mine.size(); at += each)
      comm.swap(0, mine.subspan(at, std::min(each, mine.size() - at)), {});
    return;
  }
  take(0u, size_t{0}, mine);
  std::vector<std::byte> piece;
  for (unsigned r = 1; r < comm.ranks(); ++r) {
    const size_t total = static_cast<size_t>(sizes[r]);
    for (size_t at = 0; at < total; at += each) {
      piece.resize(std::min(each, total - at));
      comm.swap(r, {}, piece);
      take(r, at, std::span<const std::byte>(piece));
    }
  }
}

}  // namespace qfw::simenv
