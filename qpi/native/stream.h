// A q-stream: an ordered or parallel sequence of operations bound to a mesh.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "qpi/native/queue.h"
#include "qpi/native/router.h"

namespace qfw::qpi {

class Stream {
 public:
  // Without a queue, completions are dropped as they come.
  Stream(std::shared_ptr<Router> router, std::span<const qpm::DeviceId> devices, qpm::Order order,
         std::shared_ptr<CompletionQueue> completions);
  ~Stream();  // close()
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Beyond the session's window these wait for credit until the deadline, then throw kResourceExhausted.
  // kInvalidArgument for a task that is wrong in itself; kClosed.
  OperationId submit(Task task, UserContext context = {}, Deadline deadline = Deadline::never());
  // Several operations in one message; each request holds one task or a group with one completion. May submit fewer
  // than asked when the deadline passes in between; throws when it submitted none.
  std::vector<OperationId> submit_many(std::span<Request> requests, Deadline deadline = Deadline::never());

  // The same, but returns nothing when there was no credit in time; a group that is under way may take until `whole`.
  std::vector<OperationId> try_submit(std::span<Request> requests, Deadline credit, Deadline whole);

  qpm::Failure no_credit() const { return router_->no_credit(); }
  void cancel(OperationId operation) { router_->cancel(*state_, operation); }
  void cancel_all() { router_->cancel_all(*state_); }
  bool wait(Deadline deadline) { return router_->wait(*state_, deadline); }  // until nothing is outstanding
  void close() { router_->close(*state_); }                                  // cancels what is unfinished; idempotent
  qpm::Order order() const noexcept { return state_->order; }

 private:
  std::shared_ptr<Router> router_;
  std::shared_ptr<CompletionQueue> completions_;
  std::shared_ptr<StreamState> state_;
};

}  // namespace qfw::qpi
