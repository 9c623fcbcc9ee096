#include "simenv/native/records.h"

#include <algorithm>
#include <numeric>

#include "simenv/native/rng.h"
#include "simenv/native/simulator.h"

namespace qfw::simenv {

void Records::add(const uint64_t* key, uint64_t seed, uint64_t shots) {
  keys_.insert(keys_.end(), key, key + words_);
  seeds_.push_back(seed);
  shots_.push_back(shots);
}

void Records::add_all(const Records& other) {
  keys_.insert(keys_.end(), other.keys_.begin(), other.keys_.end());
  seeds_.insert(seeds_.end(), other.seeds_.begin(), other.seeds_.end());
  shots_.insert(shots_.end(), other.shots_.begin(), other.shots_.end());
  std::vector<size_t> order(size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto compare = [&](size_t a, size_t b) {
    return std::lexicographical_compare_three_way(key(a), key(a) + words_, key(b), key(b) + words_);
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return compare(a, b) < 0; });
  Records merged(words_);
  for (size_t at = 0; at < order.size(); ++at) {
    const size_t i = order[at];
    if (at != 0 && compare(order[at - 1], i) == 0) {
      merged.shots_.back() += shots_[i];
    } else {
      merged.add(key(i), seeds_[i], shots_[i]);
    }
  }
  *this = std::move(merged);
}

uint64_t Records::total() const noexcept { return std::accumulate(shots_.begin(), shots_.end(), uint64_t{0}); }

void Records::set_bit(uint32_t bit, bool value) noexcept {
  const uint64_t mask = uint64_t{1} << bit % 64;
  for (size_t at = bit / 64; at < keys_.size(); at += words_) keys_[at] = value ? keys_[at] | mask : keys_[at] & ~mask;
}

void Records::advance_seeds(uint64_t part) noexcept {
  for (uint64_t& seed : seeds_) seed = derive_seed(seed, part);
}

std::pair<Records, Records> Records::split(double p) const {
  std::pair<Records, Records> out{Records(words_), Records(words_)};
  for (size_t i = 0; i < size(); ++i) {
    const uint64_t ones = Random(seeds_[i], Purpose::kBranch).binomial(shots_[i], p);
    if (ones != shots_[i]) out.first.add(key(i), seeds_[i], shots_[i] - ones);
    if (ones != 0) out.second.add(key(i), seeds_[i], ones);
  }
  return out;
}

}  // namespace qfw::simenv
