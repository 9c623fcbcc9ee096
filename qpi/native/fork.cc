#include "qpi/native/fork.h"

#include <pthread.h>

#include <atomic>
#include <string>

#include "program/native/error.h"

namespace qfw::qpi {
namespace {

std::atomic<uint64_t> generation{0};

}  // namespace

uint64_t fork_generation() noexcept {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1); });
  (void)registered;
  return generation.load(std::memory_order_relaxed);
}

void ForkGuard::check(const char* what) const {
  if (forked())
    throw Error(ErrorCode::kClosed,
                std::string(what) + " was made before a fork(), whose child it is of no use to: connect anew there");
}

}  // namespace qfw::qpi
