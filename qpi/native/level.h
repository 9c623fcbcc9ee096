// An eventfd that polls readable exactly while something is so. Made when first asked for; the owner's lock guards it.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "program/native/error.h"

namespace qfw::qpi {

class Level {
 public:
  Level() = default;
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  ~Level() {
    if (fd_ >= 0) ::close(fd_);
  }

  // `now`: whether it is so at this moment. Throws kResourceExhausted, naming `what` the descriptor is for.
  int fd(bool now, const char* what) {
    if (fd_ < 0) {
      fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
      if (fd_ < 0)
        throw Error(ErrorCode::kResourceExhausted, std::string("no eventfd for ") + what + ": " + std::strerror(errno));
      set(now);
    }
    return fd_;
  }

  void set(bool now) noexcept {
    if (fd_ < 0 || set_ == now) return;
    set_ = now;
    uint64_t one = 1;
    const auto done = set_ ? ::write(fd_, &one, sizeof one) : ::read(fd_, &one, sizeof one);
    (void)done;  // neither can fail: the counter is 0 or 1
  }

 private:
  int fd_ = -1;
  bool set_ = false;
};

}  // namespace qfw::qpi
