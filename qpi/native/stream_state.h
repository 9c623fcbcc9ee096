// What the router knows of one stream, under its lock.
#pragma once

#include <list>
#include <string>
#include <vector>

#include "qpi/native/operation.h"
#include "qpi/native/task.h"
#include "qpm/api/native/session.h"

namespace qfw::qpi {

// What a submission carries for each operation.
struct Request {
  std::vector<Task> tasks;  // one, or a group; none for a query or a barrier
  UserContext context;
  Kind kind = Kind::kTask;
  std::vector<qpm::DeviceId> devices;  // of a query; none: those of the stream
  std::vector<Expansion> expansions;   // of a native pipeline
};

// An operation that waits for a barrier, for its turn, or for credit: its tasks from `next` on are not sent yet.
struct Held {
  Operation* operation = nullptr;
  std::vector<Task> tasks;
  size_t next = 0;
  std::vector<qpm::DeviceId> devices;

  size_t weight() const noexcept { return tasks.size() > next ? tasks.size() - next : 1; }
};

struct StreamState {
  std::vector<qpm::StreamId> ids;      // of the session: one, or one for each device of a mesh that takes all
  std::vector<qpm::DeviceId> devices;  // in the order of the mesh
  std::vector<std::string> names;      // of the devices
  qpm::Order order = qpm::Order::kParallel;
  bool closed = false;
  size_t outstanding = 0;  // operations submitted and not delivered
  Operation* first = nullptr;
  Operation* last = nullptr;
  std::list<Held> backlog;  // in submission order
  size_t gates = 0;         // barriers among them
  bool sending = false;     // a thread hands over tasks that nothing may overtake

  bool sequential() const noexcept { return order == qpm::Order::kSequential; }
  // Whether what is submitted now must stand behind what waits.
  bool blocked() const noexcept { return gates > 0 || (sequential() && (sending || !backlog.empty())); }
};

}  // namespace qfw::qpi
