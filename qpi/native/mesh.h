// A set of devices acted on together: any of them may run a task (late binding to the first free one), or all run it.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "qpi/native/device.h"
#include "qpi/native/router.h"

namespace qfw::qpi {

// Tasks that run for one blocking caller. Destroying it before the end cancels them.
class Run {
 public:
  Run(std::shared_ptr<Router> router, const std::shared_ptr<StreamState>& stream, std::vector<Task>&& tasks);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Submits what is not submitted yet (which may have to wait for credit), then waits and helps the runtime; false at
  // the deadline.
  bool wait(Deadline deadline);
  // After wait() said true: one result per task, in submission order, failures among them; from a mesh that takes all,
  // those of its first device, then those of the second ...
  std::vector<qpm::Result> take();
  // Throws kTimeout that names the tasks without a result; the destructor cancels them.
  [[noreturn]] void give_up(double seconds);
  bool submit(Deadline deadline);  // false: no credit in time
  bool done() const noexcept;
  int fd();  // readable exactly when done; the run's own

 private:
  class Box;
  std::shared_ptr<Router> router_;
  std::shared_ptr<StreamState> stream_;
  std::shared_ptr<Box> box_;
  Request request_;  // until it is submitted
  OperationId id_ = 0;
  size_t count_ = 0;
};

class Mesh {
 public:
  Mesh(std::shared_ptr<Router> router, std::vector<Device> devices, bool all = false);
  ~Mesh();
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  const std::vector<Device>& devices() const noexcept { return devices_; }
  const std::vector<qpm::DeviceId>& ids() const noexcept { return ids_; }
  const std::shared_ptr<Router>& router() const noexcept { return router_; }
  bool all() const noexcept { return all_; }

  std::shared_ptr<StreamState> open(
      qpm::Order order, const qpm::JobSpec* job = nullptr) const;  // a stream of the router on these devices

  // Checks the tasks and makes them a run, which wait() submits. kInvalidArgument for an empty batch.
  std::unique_ptr<Run> prepare(std::vector<Task>&& tasks);
  // The same, submitted already; kResourceExhausted when there was no credit in time.
  std::unique_ptr<Run> start(std::vector<Task>&& tasks, Deadline deadline = Deadline::never());
  // Blocking: results in submission order, failures among them. kTimeout names the tasks that were not done; they
  // are cancelled.
  std::vector<qpm::Result> run(std::vector<Task>&& tasks, double timeout_s = -1.0);

 private:
  std::shared_ptr<StreamState> stream();

  std::shared_ptr<Router> router_;
  std::vector<Device> devices_;
  std::vector<qpm::DeviceId> ids_;
  const bool all_;
  std::mutex mutex_;
  std::shared_ptr<StreamState> stream_;  // for run(), opened at the first call
};

}  // namespace qfw::qpi
