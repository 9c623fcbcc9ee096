// Which queued task runs next, and where: a pure state machine. Events and the clock go in, actions come out; no
// threads, no I/O, no reading of clocks. The runtime drives it under one lock; a simulation drives the very same code.
//
// Fairness: on each device the sessions with something ready share it by weight, measured in estimated time (start-time
// fair queueing); within a session its lanes take turns. Cost per task: O(1) in queued tasks, O(log sessions).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "qpm/api/native/device_info.h"
#include "qpm/api/native/result.h"
#include "qpm/api/native/session.h"
#include "qpm/api/native/task.h"

namespace qfw::qpm {

using SessionId = uint64_t;
struct Lane;

// What the dispatcher knows of a task. Times are nanoseconds of the clock that the events carry.
struct Ticket {
  enum class State : uint8_t { kNew, kQueued, kRunning, kDone };

  SessionId session = 0;
  StreamId stream = 0;
  TaskId task = 0;
  int32_t priority = 0;           // higher first, within a parallel stream; sequential streams keep their order
  uint64_t deadline = 0;          // absolute; 0: none
  double cost_ns = 1000.0;        // estimated duration, for fairness
  std::vector<DeviceId> devices;  // those of the stream's devices that can run it; empty: all of them
  Failure doom;                   // set: never starts, ends with this error in its turn

  // Written by the dispatcher alone.
  State state = State::kNew;
  bool sequential = false;
  std::atomic<bool> expired{false};  // its deadline passed while it ran
  DeviceId device = 0;               // where it runs
  std::shared_ptr<Lane> lane;
  Ticket* previous = nullptr;
  Ticket* next = nullptr;
  std::multimap<uint64_t, Ticket*>::iterator timer;
  bool timed = false;

  virtual ~Ticket() = default;
};
using TicketPtr = std::shared_ptr<Ticket>;

class Dispatcher {
 public:
  struct Limits {
    uint64_t max_queue = 1'000'000;  // queued tasks of all sessions
    uint32_t max_sessions = 256;
    uint32_t max_streams = 1024;  // of one session
  };

  // To be carried out in this order: fail, then stop, then start.
  struct Actions {
    std::vector<TicketPtr> fail;   // completes with ticket.doom
    std::vector<TicketPtr> stop;   // runs, and is to be cancelled
    std::vector<TicketPtr> start;  // on ticket.device
    bool empty() const noexcept { return fail.empty() && stop.empty() && start.empty(); }
  };

  explicit Dispatcher(Limits limits);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  void add_device(DeviceId device, std::string name, uint32_t capacity);
  void set_device_status(DeviceId device, DeviceStatus status, const std::string& reason, Actions& out);

  void open_session(SessionId session, double weight = 1.0);              // throws kResourceExhausted
  void close_session(SessionId session, Actions& out);                    // queued tasks fail, running ones are stopped
  void abandon(SessionId session, const Failure& failure, Actions& out);  // the same, but the session stays
  // A paused session's tasks stay queued (its client does not take its results).
  void pause_session(SessionId session, bool paused, Actions& out);

  // Throws kNotFound (session, device), kInvalidArgument (id in use, no devices), kLimitExceeded.
  void open_stream(SessionId session, StreamId stream, std::vector<DeviceId> devices, Order order);
  void close_stream(SessionId session, StreamId stream, Actions& out);

  // What is wrong with it (queue full, no usable device, unknown stream, an id in use) fails the ticket through `out`.
  // Throws kClosed for an unknown session.
  void submit(TicketPtr ticket, Actions& out);
  // A running ticket's completion is about to be delivered: its id is free for another task. Optional before
  // finished().
  void forget(Ticket& ticket);
  void finished(Ticket& ticket, Actions& out);
  void cancel(SessionId session, TaskId task, Actions& out);  // unknown ids are done: ignored
  void expire(uint64_t now, Actions& out);                    // deadlines up to `now`

  uint64_t next_deadline() const noexcept;  // UINT64_MAX: none
  uint64_t queued() const noexcept { return queued_; }
  uint64_t running() const noexcept { return running_; }
  size_t sessions() const noexcept { return sessions_.size(); }
  uint64_t load(DeviceId device) const;  // runs on it, or waits for it (O(lanes that wait))
  bool full(DeviceId device) const;      // all of its slots are taken
  DeviceStatus status(DeviceId device) const;
  const std::string& status_reason(DeviceId device) const;

 private:
  struct Share;
  struct Device;
  struct Session;

  Device& device(DeviceId id);
  const Device& device(DeviceId id) const;
  Session* find_session(SessionId id);
  Failure no_usable_device(const std::vector<DeviceId>& devices) const;
  std::shared_ptr<Lane> lane_of(Session& session, const Ticket& ticket);
  TicketPtr release(Ticket& ticket);  // forgets a ticket; returns the owner's reference
  void end(Ticket& ticket, Failure failure, Actions& out);
  void unlink(Ticket& ticket);
  void doom(Ticket& ticket, Failure failure, Actions& out);
  void advance(Lane& lane, Actions& out);
  void make_ready(Lane& lane, Actions& out);
  void park(Lane& lane);
  void unpark(Lane& lane);
  void pull(Device& device, Actions& out);
  void start(Lane& lane, Device& device, Actions& out);
  void charge(Device& device, SessionId session, double cost_ns);
  Share& share(Device& device, SessionId session);
  void fail_lane(Lane& lane, const Failure& failure, Actions& out);
  const std::vector<DeviceId>& candidates(const Lane& lane) const;

  Limits limits_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::unordered_map<SessionId, std::unique_ptr<Session>> sessions_;
  std::multimap<uint64_t, Ticket*> deadlines_;
  uint64_t queued_ = 0;
  uint64_t running_ = 0;
};

}  // namespace qfw::qpm
