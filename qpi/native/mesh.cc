#include "qpi/native/mesh.h"

#include <condition_variable>
#include <string>
#include <utility>

namespace qfw::qpi {

// Takes the one completion of a run.
class Run::Box : public Receiver {
 public:
  void reserve(size_t) override {}
  void unreserve(size_t) noexcept override {}
  void deliver(OperationPtr operation) noexcept override {
    std::lock_guard lock(mutex_);
    operation_ = std::move(operation);
    done_.store(true, std::memory_order_release);
    if (waiting_) arrived_.notify_all();
  }

  bool done() const noexcept { return done_.load(std::memory_order_acquire); }
  bool sleep(Deadline deadline) {
    std::unique_lock lock(mutex_);
    waiting_ = true;
    while (!done())
      if (!deadline.sleep(arrived_, lock)) break;
    waiting_ = false;
    return done();
  }
  std::vector<qpm::Result> take() {
    std::lock_guard lock(mutex_);
    return std::move(operation_->results);
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::atomic<bool> done_{false};
  bool waiting_ = false;
  OperationPtr operation_;
};

Run::Run(std::shared_ptr<Router> router, const std::shared_ptr<StreamState>& stream, std::vector<Task>&& tasks,
         Deadline deadline)
    : router_(std::move(router)), stream_(stream), box_(std::make_shared<Box>()), count_(tasks.size()) {
  Request request;
  request.tasks = std::move(tasks);
  const auto ids = router_->submit(stream_, std::span(&request, 1), box_, deadline, deadline);
  if (ids.empty()) router_->no_credit().raise();
  id_ = ids.front();
}

Run::~Run() {
  if (box_->done()) return;
  try {
    router_->cancel(*stream_, id_);
  } catch (const Error&) {  // it ended meanwhile
  }
}

bool Run::wait(Deadline deadline) {
  while (!box_->done()) {
    if (deadline.passed()) return false;
    if (router_->help()) continue;
    return box_->sleep(deadline);
  }
  return true;
}

std::vector<qpm::Result> Run::take() { return box_->take(); }

void Run::give_up(double seconds) {
  const auto missing = router_->unfinished(id_);
  std::string text = std::to_string(missing.size()) + " of " + std::to_string(count_) + " tasks had no result after " +
                     std::to_string(seconds) + " s and were cancelled: indices";
  for (size_t i = 0; i < missing.size() && i < 16; ++i) text += (i ? ", " : " ") + std::to_string(missing[i]);
  if (missing.size() > 16) text += ", ...";
  throw Error(ErrorCode::kTimeout, text);  // the destructor cancels
}

Mesh::Mesh(std::shared_ptr<Router> router, std::vector<Device> devices)
    : router_(std::move(router)), devices_(std::move(devices)) {
  for (const Device& device : devices_) ids_.push_back(device.id());
}

Mesh::~Mesh() {
  if (!stream_) return;
  try {
    router_->close(*stream_);
  } catch (const Error&) {  // a broken connection has ended the stream already
  }
}

std::shared_ptr<StreamState> Mesh::stream() {
  std::lock_guard lock(mutex_);
  if (!stream_) stream_ = router_->open(ids_, qpm::Order::kParallel);
  return stream_;
}

std::unique_ptr<Run> Mesh::start(std::vector<Task>&& tasks, Deadline deadline) {
  if (tasks.empty()) throw Error(ErrorCode::kInvalidArgument, "an empty batch: 0 tasks; at least 1 is needed");
  for (const Task& task : tasks) check(task.task);
  return std::make_unique<Run>(router_, stream(), std::move(tasks), deadline);
}

std::vector<qpm::Result> Mesh::run(std::vector<Task>&& tasks, double timeout_s) {
  const Deadline deadline = Deadline::after_s(timeout_s);
  auto run = start(std::move(tasks), deadline);
  if (!run->wait(deadline)) run->give_up(timeout_s);
  return run->take();
}

}  // namespace qfw::qpi
