#include "simenv/native/buffer.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "program/native/error.h"

namespace qfw::simenv {

Buffer::Buffer(size_t doubles) : size_(doubles) {
  const size_t bytes = (doubles * sizeof(double) + 63) / 64 * 64;
  if (bytes >= 2 * kHugePage) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p != MAP_FAILED) {
      advise_huge(p, bytes);
      data_ = static_cast<double*>(p);
      mapped_ = bytes;
    }
  } else {
    data_ = static_cast<double*>(std::aligned_alloc(64, bytes == 0 ? 64 : bytes));
  }
  if (data_ == nullptr)
    throw Error(ErrorCode::kResourceExhausted, "the system refused " + std::to_string(bytes) + " bytes of memory",
                true);
}

Buffer::~Buffer() {
  if (mapped_ != 0) {
    munmap(data_, mapped_);
  } else {
    std::free(data_);
  }
}

void advise_huge(void* begin, size_t bytes) noexcept {
  constexpr uintptr_t kPage = 4096;
  const uintptr_t first = (reinterpret_cast<uintptr_t>(begin) + kPage - 1) / kPage * kPage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(begin) + bytes) / kPage * kPage;
#ifdef MADV_HUGEPAGE
  if (end > first + kHugePage) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#endif
}

}  // namespace qfw::simenv
