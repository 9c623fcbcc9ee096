// A least-recently-used table bounded by weight. Deterministic, so that the two ends of a connection that see the same
// operations in the same order hold the same keys. Not thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>

namespace qfw::qpm {

template <typename Key, typename Value, typename Hasher = std::hash<Key>>
class Lru {
 public:
  explicit Lru(uint64_t capacity) : capacity_(capacity) {}

  // The value, made the most recent; null when absent.
  Value* find(const Key& key) {
    auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return &found->second->value;
  }

  // Puts a value, then drops the oldest others until the weights fit (the newest always stays).
  Value& put(const Key& key, Value value, uint64_t weight) {
    erase(key);
    order_.push_front({key, std::move(value), weight});
    index_[key] = order_.begin();
    weight_ += weight;
    while (weight_ > capacity_ && order_.size() > 1) {
      const Key oldest = order_.back().key;
      erase(oldest);
    }
    return order_.front().value;
  }

  void erase(const Key& key) {
    auto found = index_.find(key);
    if (found == index_.end()) return;
    weight_ -= found->second->weight;
    order_.erase(found->second);
    index_.erase(found);
  }

  size_t size() const noexcept { return index_.size(); }
  uint64_t weight() const noexcept { return weight_; }
  uint64_t capacity() const noexcept { return capacity_; }

 private:
  struct Entry {
    Key key;
    Value value;
    uint64_t weight;
  };
  uint64_t capacity_;
  uint64_t weight_ = 0;
  std::list<Entry> order_;
  std::unordered_map<Key, typename std::list<Entry>::iterator, Hasher> index_;
};

}  // namespace qfw::qpm
