// Memory of states and scratch space: aligned for the widest vectors, on huge pages where they help.
#pragma once

#include <cstddef>
#include <utility>

namespace qfw::simenv {

// Move-only array of doubles, 64-byte aligned; large ones are zeroed pages, small ones are not initialised.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t doubles);  // throws Error(kResourceExhausted)
  ~Buffer();
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }

  double* data() noexcept { return data_; }
  const double* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }
  bool zeroed() const noexcept { return mapped_ != 0; }  // as made

 private:
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_, other.mapped_);
  }

  double* data_ = nullptr;
  size_t size_ = 0;
  size_t mapped_ = 0;  // bytes, 0: from the heap
};

constexpr size_t kHugePage = size_t{1} << 21;
void advise_huge(void* begin, size_t bytes) noexcept;  // asks for huge pages in the whole pages inside

}  // namespace qfw::simenv
