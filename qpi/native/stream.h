// A q-stream: an ordered or parallel sequence of operations bound to a mesh or a device.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "qpi/native/mesh.h"
#include "qpi/native/queue.h"
#include "qpi/native/router.h"

namespace qfw::qpi {

// Where the completions of a stream go, by kind; see Receivers for those that are left out.
struct Queues {
  std::shared_ptr<CompletionQueue> tasks, queries, barriers, errors;
};

class Stream {
 public:
  // Without a queue, completions are dropped as they come. A job's tasks go on when the stream is closed, and in a
  // daemon when the session ends.
  Stream(const Mesh& mesh, qpm::Order order, const Queues& queues, std::shared_ptr<Pipeline> pipeline = nullptr,
         const qpm::JobSpec* job = nullptr);
  ~Stream();  // close()
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Beyond the session's window these wait for credit until the deadline, then throw kResourceExhausted.
  // kInvalidArgument for a task that is wrong in itself; kClosed. On a mesh that takes all, each device gets the task.
  OperationId submit(Task task, UserContext context = {}, Deadline deadline = Deadline::never());
  // Several operations in one message; each request holds one task or a group with one completion. May submit fewer
  // than asked when the deadline passes in between; throws when it submitted none.
  std::vector<OperationId> submit_many(std::span<Request> requests, Deadline deadline = Deadline::never());

  // The same, but returns nothing when there was no credit in time. `placed`: the tasks say for which device of the
  // mesh they are.
  std::vector<OperationId> try_submit(std::span<Request> requests, Deadline credit, bool placed = false);

  // The devices (none: those of the stream) as they are when the query has its turn: at once in a parallel stream, when
  // all before it has ended in a sequential one. Throws as submit().
  OperationId query(std::vector<qpm::DeviceId> devices = {}, UserContext context = {},
                    Deadline deadline = Deadline::never());
  // Completes when everything submitted to the stream before has completed; what comes after waits for that.
  OperationId barrier(UserContext context = {}, Deadline deadline = Deadline::never());

  qpm::Failure no_credit() const { return router_->no_credit(); }
  int credit_fd() { return router_->credit_fd(); }
  void cancel(OperationId operation) { router_->cancel(*state_, operation); }
  void cancel_all() { router_->cancel_all(*state_); }
  bool wait(Deadline deadline) { return router_->wait(*state_, deadline); }  // until nothing is outstanding
  void close() { router_->close(*state_); }                                  // cancels what is unfinished; idempotent
  qpm::Order order() const noexcept { return state_->order; }

 private:
  OperationId submit(Request&& request, Deadline deadline);
  void expand(Request& request) const;

  std::shared_ptr<Router> router_;
  const std::vector<Device> devices_;
  const std::shared_ptr<Pipeline> pipeline_;
  Receivers receivers_;
  std::shared_ptr<StreamState> state_;
};

}  // namespace qfw::qpi
