#include "simenv/native/tally.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "simenv/native/rng.h"

namespace qfw::simenv {

void Tally::add(const uint64_t* key, uint64_t count) {
  if (!counts_.empty() && std::equal(key, key + words_, keys_.end() - words_)) {
    counts_.back() += count;
    return;
  }
  keys_.insert(keys_.end(), key, key + words_);
  counts_.push_back(count);
}

void Tally::sort_and_merge() {
  const size_t n = counts_.size(), w = words_;
  const auto less = [&](size_t a, size_t b) {  // as numbers: the highest word first
    for (size_t k = w; k-- > 0;)
      if (keys_[a * w + k] != keys_[b * w + k]) return keys_[a * w + k] < keys_[b * w + k];
    return false;
  };
  bool ascending = true;
  for (size_t i = 1; i < n && ascending; ++i) ascending = less(i - 1, i);
  if (ascending) return;
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), less);
  std::vector<uint64_t> keys, counts;
  keys.reserve(n * w);
  counts.reserve(n);
  for (size_t at = 0; at < n; ++at) {
    const size_t i = order[at];
    if (at != 0 && !less(order[at - 1], i)) {
      counts.back() += counts_[i];
      continue;
    }
    keys.insert(keys.end(), keys_.begin() + static_cast<ptrdiff_t>(i * w),
                keys_.begin() + static_cast<ptrdiff_t>((i + 1) * w));
    counts.push_back(counts_[i]);
  }
  keys_ = std::move(keys);
  counts_ = std::move(counts);
}

// Byte by byte, so that the packing does not depend on the machine's byte order.
void Tally::write_key(size_t entry, uint8_t* to) const {
  const uint64_t* key = keys_.data() + entry * words_;
  for (size_t b = 0; b < row_bytes_; ++b) to[b] = static_cast<uint8_t>(key[b / 8] >> (b % 8 * 8));
}

void Tally::finish(uint64_t seed, bool memory, bool counts, const Stop& stop, Outcome& out) {
  sort_and_merge();
  const size_t n = counts_.size();
  std::vector<uint8_t> packed(n * row_bytes_);
  for (size_t i = 0; i < n; ++i) write_key(i, packed.data() + i * row_bytes_);
  if (memory) {
    const uint64_t shots = std::accumulate(counts_.begin(), counts_.end(), uint64_t{0});
    std::vector<uint32_t> order;  // which key each shot has
    order.reserve(shots);
    for (size_t i = 0; i < n; ++i) order.insert(order.end(), counts_[i], static_cast<uint32_t>(i));
    Random random(seed, Purpose::kOrder);
    for (size_t i = shots; i > 1; --i) {
      std::swap(order[i - 1], order[random.below(i)]);
      if ((i & 0xffff) == 0) stop.check();
    }
    stop.check();
    out.memory.resize(shots * row_bytes_);
    for (size_t i = 0; i < shots; ++i)
      std::copy_n(packed.data() + order[i] * row_bytes_, row_bytes_, out.memory.data() + i * row_bytes_);
  }
  if (counts) {
    out.count_keys = std::move(packed);
    out.counts = std::move(counts_);
  }
}

}  // namespace qfw::simenv
