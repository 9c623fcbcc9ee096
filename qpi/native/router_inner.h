// The router's inner records. Used by router*.cc only.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "qpi/native/router.h"

namespace qfw::qpi {

// What must be destroyed only after the lock is gone: destroying a caller's context may run the caller's code.
struct Router::Garbage {
  std::vector<OperationPtr> operations;
  std::vector<std::shared_ptr<Receiver>> receivers;
  std::vector<Stream> streams;
};

struct Router::Submission {
  const Stream& stream;
  const Receivers& receivers;
  size_t unowned = 0;  // places reserved with the receivers that no operation has yet
  std::vector<OperationId> ids;
  Garbage garbage;
};

// Until `reached`, lending this thread to the runtime; false at the deadline. `credit`: how much of it is waited for,
// 0: something else. Throws kClosed when `open` is given and it, or the context, closes.
template <class Reached>
bool Router::await(Lock& lock, Deadline deadline, size_t credit, const StreamState* open, const Reached& reached) {
  while (!reached()) {
    if (open) check_open(open);
    if (deadline.passed()) return false;
    auto live = session_;
    lock.unlock();
    const bool helped = live && live->help();
    live.reset();
    lock.lock();
    if (helped || reached() || (open && (closed_ || open->closed))) continue;
    if (waiters_++ == 0) wanted_ = window_ + size_t{1};
    if (credit) wanted_ = std::min(wanted_, credit);
    const bool more = deadline.sleep(changed_, lock);
    --waiters_;
    if (!more && !reached()) return false;
  }
  return true;
}

}  // namespace qfw::qpi
