// Between the streams of one context and its session: hands out task ids, keeps within the session's credit window,
// brings each completion to the operation it belongs to, in O(1), and holds back what must wait.
//
// Three files: router.cc (opening, completions, waiting, the end), router_submit.cc (what a caller's thread sends),
// router_backlog.cc (what waits for a barrier, its turn, or credit: one thread, started when there is such).
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "qpi/native/fork.h"
#include "qpi/native/level.h"
#include "qpi/native/operation.h"
#include "qpi/native/slots.h"
#include "qpi/native/stream_state.h"
#include "qpi/native/task.h"
#include "qpm/api/native/session.h"

namespace qfw::qpi {

class Router : public std::enable_shared_from_this<Router> {
 public:
  static std::shared_ptr<Router> over(std::shared_ptr<qpm::Session> session);
  ~Router();

  // The live session; throws kClosed after close() or in a child of fork().
  std::shared_ptr<qpm::Session> session();

  // A stream on any of the devices, or on all of them: then its operations have the tasks of each, by Task::place.
  std::shared_ptr<StreamState> open(std::span<const qpm::DeviceInfo> devices, qpm::Order order, bool all = false,
                                    const qpm::JobSpec* job = nullptr);
  void close(StreamState& stream);  // cancels what is unfinished; idempotent

  // Submits requests as operations, in as few messages as the window allows, helping the runtime while it waits for
  // credit. Returns the ids of those submitted: all, or fewer (none, too) when `credit` passed or the connection broke
  // in between. Submitted requests are moved from. What of a group does not fit the window follows by itself, as does
  // what stands behind a barrier. Throws when nothing could be submitted for another reason than credit.
  std::vector<OperationId> submit(const std::shared_ptr<StreamState>& stream, std::span<Request> requests,
                                  const Receivers& receivers, Deadline credit);
  qpm::Failure no_credit() const;  // what to say when submit() returned nothing
  int credit_fd();                 // readable exactly while a submission would find credit

  // Waits until `count` more tasks may be submitted (at most the whole window). False at the deadline.
  bool wait_credit(size_t count, Deadline deadline);

  void cancel(StreamState& stream, OperationId operation);  // kNotFound when it is not outstanding
  void cancel_all(StreamState& stream);
  void cancel_everything();                           // of all streams and runs
  bool wait(StreamState& stream, Deadline deadline);  // until nothing is outstanding

  std::vector<size_t> unfinished(StreamState& stream, OperationId operation);  // its tasks that have no result yet

  bool help();  // lends this thread to the runtime; never throws
  uint32_t window() const noexcept { return window_; }
  size_t outstanding() const;  // tasks
  void close();                // cancels everything; waiting calls end with kClosed; idempotent
  const ForkGuard& fork_guard() const noexcept { return fork_guard_; }

 private:
  struct Garbage;
  struct Submission;
  using Lock = std::unique_lock<std::mutex>;
  using Stream = std::shared_ptr<StreamState>;

  explicit Router(std::shared_ptr<qpm::Session> session);
  void check_alive() const { fork_guard_.check("this context"); }
  void check_open(const StreamState* stream) const;
  size_t credit() const noexcept { return window_ > outstanding_ ? window_ - outstanding_ : 0; }

  // ---- completions (router.cc)
  void on_completions(std::vector<qpm::Completion>&& completions);
  void store(Slot& slot, qpm::Result&& result, Clock::time_point now, Garbage& garbage);
  void finish(Operation* operation, Garbage& garbage);
  void deliver(Operation* operation, Garbage& garbage);
  void link(Operation* operation);
  void unlink(Operation* operation);
  void free_slots(Operation* operation);
  template <class Reached>
  bool await(Lock& lock, Deadline deadline, size_t credit, const StreamState* open, const Reached& reached);
  void notify();  // something changed that a waiter or the backlog may wait for
  void cancel_tasks(const std::vector<qpm::TaskId>& tasks);
  Operation* find(const StreamState& stream, OperationId id);  // outstanding there, else null
  static void summarize(Operation& operation);
  static qpm::Result failed(const qpm::Failure& failure);
  qpm::Failure full() const;

  // ---- submission (router_submit.cc)
  Operation* admit(Submission& submission, Request& request);
  void number(Operation* operation, Task& task, std::vector<qpm::Task>& message);
  bool hand_over(Lock& lock, std::vector<qpm::Task>&& message, qpm::Failure& failure);
  void withdraw(std::span<const OperationId> ids, Garbage& garbage);
  void send(Lock& lock, Submission& submission, std::span<Request> requests);
  bool await_room(Lock& lock, const Stream& stream, std::span<const Request> rest, Deadline deadline);
  void submit(Lock& lock, Submission& submission, std::span<Request> requests, Deadline credit);

  // ---- the backlog (router_backlog.cc)
  void hold(Submission& submission, Request& request);
  void queue_up(const Stream& stream, Held&& held);
  void take_off(StreamState& stream, std::list<Held>::iterator held);
  bool can_go(const StreamState& stream) const;
  void advance(Lock& lock, const Stream& stream, bool may_block, Garbage& garbage);
  void send_held(Lock& lock, const Stream& stream, Garbage& garbage);
  void ask_devices(Lock& lock, const Stream& stream, Garbage& garbage);
  void drop_held(StreamState& stream, const Operation* only, const qpm::Failure& reason, Garbage& garbage);
  void run_backlog();
  void stop_backlog();

  const ForkGuard fork_guard_;
  uint32_t window_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // credit came back, a stream ran empty, or closed
  size_t waiters_ = 0;
  size_t wanted_ = 0;  // the least credit a waiter needs
  std::shared_ptr<qpm::Session> session_;
  bool closed_ = false;
  size_t outstanding_ = 0;  // tasks
  Slots slots_;
  qpm::StreamId next_stream_ = 0;
  Level credit_level_;

  size_t held_ = 0;               // tasks, queries and barriers in backlogs
  std::vector<Stream> backlogs_;  // streams that have one
  size_t turn_ = 0;               // among them
  std::condition_variable backlog_wake_;
  std::thread backlog_thread_;
};

}  // namespace qfw::qpi
