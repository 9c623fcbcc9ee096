// Between the streams of one context and its session: hands out task ids, keeps within the session's credit window,
// and brings each completion to the operation it belongs to, in O(1).
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "qpi/native/operation.h"
#include "qpi/native/task.h"
#include "qpm/api/native/session.h"

namespace qfw::qpi {

struct StreamState {
  qpm::StreamId id = 0;
  qpm::Order order = qpm::Order::kParallel;
  bool closed = false;
  size_t outstanding = 0;  // operations submitted and not delivered
  Operation* first = nullptr;
  Operation* last = nullptr;
  std::mutex sequence;  // held from numbering to hand-over, so that a sequential stream keeps its order
};

// What a submission carries for each operation.
struct Request {
  std::vector<Task> tasks;  // one, or a group
  UserContext context;
};

class Router : public std::enable_shared_from_this<Router> {
 public:
  static std::shared_ptr<Router> over(std::shared_ptr<qpm::Session> session);
  ~Router();

  // The live session; throws kClosed after close() or in a child of fork().
  std::shared_ptr<qpm::Session> session();

  std::shared_ptr<StreamState> open(std::span<const qpm::DeviceId> devices, qpm::Order order);
  void close(StreamState& stream);  // cancels what is unfinished; idempotent

  // Submits requests as operations, in as few messages as the window allows, helping the runtime while it waits for
  // credit. Returns the ids of those submitted: all, or fewer (none, too) when `credit` passed or the connection broke
  // in between. Submitted requests are moved from. A group whose first piece is out waits for credit until `whole`;
  // what is then unsent fails. Throws when nothing could be submitted for another reason than credit.
  std::vector<OperationId> submit(const std::shared_ptr<StreamState>& stream, std::span<Request> requests,
                                  const std::shared_ptr<Receiver>& receiver, Deadline credit, Deadline whole);
  qpm::Failure no_credit() const;  // what to say when submit() returned nothing

  // Waits until `count` more tasks may be submitted (at most the whole window). False at the deadline.
  bool wait_credit(size_t count, Deadline deadline);

  void cancel(StreamState& stream, OperationId operation);  // kNotFound when it is not outstanding
  void cancel_all(StreamState& stream);
  bool wait(StreamState& stream, Deadline deadline);  // until nothing is outstanding

  std::vector<size_t> unfinished(OperationId operation);  // indices of its tasks that have no result yet

  bool help();  // lends this thread to the runtime; never throws
  uint32_t window() const noexcept { return window_; }
  size_t outstanding() const;
  void close();  // cancels everything; waiting calls end with kClosed; idempotent

 private:
  struct Slot {
    qpm::TaskId id = 0;
    Operation* operation = nullptr;
    uint32_t index = 0;
    bool done = false;
    uint64_t convert_ns = 0;
    uint64_t tools_ns = 0;
  };
  struct Garbage;
  using Lock = std::unique_lock<std::mutex>;

  explicit Router(std::shared_ptr<qpm::Session> session);
  void check_alive() const;
  void check_open(const StreamState* stream) const;
  void on_completions(std::vector<qpm::Completion>&& completions);
  void store(Slot& slot, qpm::Result&& result, Clock::time_point now, Garbage& garbage);
  void finish(Operation* operation, Garbage& garbage);
  void deliver(Operation* operation, Garbage& garbage);
  void link(Operation* operation);
  void unlink(Operation* operation);
  Slot* find(qpm::TaskId id);
  Slot& allocate();
  void free_slots(Operation* operation);
  void grow();
  bool await(Lock& lock, Deadline deadline, const StreamState* stream, size_t credit);
  Operation* admit(const std::shared_ptr<StreamState>& stream, Request& request,
                   const std::shared_ptr<Receiver>& receiver);
  void number(Operation* operation, Task& task, std::vector<qpm::Task>& message);
  bool hand_over(Lock& lock, std::vector<qpm::Task>&& message, qpm::Failure& failure);
  void withdraw(std::span<const OperationId> ids, Garbage& garbage);
  size_t send_singles(Lock& lock, const std::shared_ptr<StreamState>& stream, std::span<Request> requests,
                      const std::shared_ptr<Receiver>& receiver, std::vector<OperationId>& ids, Garbage& garbage);
  OperationId send_group(Lock& lock, const std::shared_ptr<StreamState>& stream, Request& request,
                         const std::shared_ptr<Receiver>& receiver, Deadline deadline, Garbage& garbage);
  static qpm::Result failed(const qpm::Failure& failure);
  qpm::Failure full() const;

  const uint64_t generation_;  // of fork(): a child may not use its parent's session
  uint32_t window_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // credit came back, a stream ran empty, or closed
  size_t waiters_ = 0;
  size_t wanted_ = 0;  // the least credit a waiter needs
  std::shared_ptr<qpm::Session> session_;
  bool closed_ = false;
  size_t outstanding_ = 0;  // tasks
  std::vector<Slot> ring_;  // slot of id: id & (size - 1)
  size_t used_ = 0;
  qpm::TaskId next_id_ = 0;
  qpm::StreamId next_stream_ = 0;
};

}  // namespace qfw::qpi
