// A set of devices acted on together: any of them may run a task (late binding to the first free one).
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
  Run(std::shared_ptr<Router> router, const std::shared_ptr<StreamState>& stream, std::vector<Task>&& tasks,
      Deadline deadline);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  bool wait(Deadline deadline);  // helps the runtime; false at the deadline
  // After wait() said true: one result per task, in submission order, failures among them.
  std::vector<qpm::Result> take();
  // Cancels, and throws kTimeout that names the tasks without a result.
  [[noreturn]] void give_up(double seconds);

 private:
  class Box;
  std::shared_ptr<Router> router_;
  std::shared_ptr<StreamState> stream_;
  std::shared_ptr<Box> box_;
  OperationId id_ = 0;
  size_t count_ = 0;
};

class Mesh {
 public:
  Mesh(std::shared_ptr<Router> router, std::vector<Device> devices);
  ~Mesh();
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  const std::vector<Device>& devices() const noexcept { return devices_; }
  const std::vector<qpm::DeviceId>& ids() const noexcept { return ids_; }
  const std::shared_ptr<Router>& router() const noexcept { return router_; }

  // Submits and returns at once; checks the tasks first. kInvalidArgument for an empty batch.
  std::unique_ptr<Run> start(std::vector<Task>&& tasks, Deadline deadline = Deadline::never());
  // Blocking: results in submission order, failures among them. kTimeout names the tasks that were not done; they
  // are cancelled.
  std::vector<qpm::Result> run(std::vector<Task>&& tasks, double timeout_s = -1.0);

 private:
  std::shared_ptr<StreamState> stream();

  std::shared_ptr<Router> router_;
  std::vector<Device> devices_;
  std::vector<qpm::DeviceId> ids_;
  std::mutex mutex_;
  std::shared_ptr<StreamState> stream_;  // for run(), opened at the first call
};

}  // namespace qfw::qpi
