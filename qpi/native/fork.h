// Threads do not survive a fork(): what a parent opened is refused in its child, in words, instead of waiting for ever.
#pragma once

#include <cstdint>

namespace qfw::qpi {

uint64_t fork_generation() noexcept;  // how many fork()s this process is away from the first one that asked

class ForkGuard {
 public:
  ForkGuard() noexcept : generation_(fork_generation()) {}
  bool forked() const noexcept { return generation_ != fork_generation(); }
  void check(const char* what) const;  // throws kClosed in a child

 private:
  const uint64_t generation_;
};

}  // namespace qfw::qpi
