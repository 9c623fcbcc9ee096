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
    level_.set(true);
    if (waiting_) arrived_.notify_all();
  }

  bool done() const noexcept { return done_.load(std::memory_order_acquire); }
  int fd() {
    std::lock_guard lock(mutex_);
    return level_.fd(done(), "a run");
  }
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
  Level level_;
  OperationPtr operation_;
};

Run::Run(std::shared_ptr<Router> router, const std::shared_ptr<StreamState>& stream, std::vector<Task>&& tasks)
    : router_(std::move(router)), stream_(stream), box_(std::make_shared<Box>()), count_(tasks.size()) {
  request_.tasks = std::move(tasks);
}

Run::~Run() {
  if (id_ == 0 || box_->done()) return;
  try {
    router_->cancel(*stream_, id_);
  } catch (const Error&) {  // it ended meanwhile
  }
}

bool Run::submit(Deadline deadline) {
  if (id_) return true;
  Receivers receivers;
  receivers.tasks = box_;
  const auto ids = router_->submit(stream_, std::span(&request_, 1), receivers, deadline);
  if (ids.empty()) return false;
  id_ = ids.front();
  request_ = {};
  return true;
}

bool Run::wait(Deadline deadline) {
  if (!submit(deadline)) return false;
  while (!box_->done()) {
    if (deadline.passed()) return false;
    if (router_->help()) continue;
    return box_->sleep(deadline);
  }
  return true;
}

bool Run::done() const noexcept { return box_->done(); }

int Run::fd() { return box_->fd(); }

std::vector<qpm::Result> Run::take() { return box_->take(); }

void Run::give_up(double seconds) {
  std::vector<size_t> missing;
  if (id_) missing = router_->unfinished(*stream_, id_);
  for (size_t i = 0; id_ == 0 && i < count_; ++i) missing.push_back(i);
  std::string text = std::to_string(missing.size()) + " of " + std::to_string(count_) + " tasks had no result after " +
                     std::to_string(seconds) + " s and were cancelled: indices";
  for (size_t i = 0; i < missing.size() && i < 16; ++i) text += (i ? ", " : " ") + std::to_string(missing[i]);
  if (missing.size() > 16) text += ", ...";
  throw Error(ErrorCode::kTimeout, text);  // the destructor cancels
}

Mesh::Mesh(std::shared_ptr<Router> router, std::vector<Device> devices, bool all)
    : router_(std::move(router)), devices_(std::move(devices)), all_(all) {
  for (const Device& device : devices_) ids_.push_back(device.id());
}

Mesh::~Mesh() {
  if (!stream_) return;
  try {
    router_->close(*stream_);
  } catch (const Error&) {  // a broken connection has ended the stream already
  }
}

std::shared_ptr<StreamState> Mesh::open(qpm::Order order, const qpm::JobSpec* job) const {
  std::vector<qpm::DeviceInfo> infos;
  for (const Device& device : devices_) infos.push_back(device.info());
  return router_->open(infos, order, all_, job);
}

std::shared_ptr<StreamState> Mesh::stream() {
  router_->fork_guard().check("this mesh");
  std::lock_guard lock(mutex_);
  if (!stream_) stream_ = open(qpm::Order::kParallel);
  return stream_;
}

std::unique_ptr<Run> Mesh::prepare(std::vector<Task>&& tasks) {
  if (tasks.empty()) throw Error(ErrorCode::kInvalidArgument, "an empty batch: 0 tasks; at least 1 is needed");
  for (const Task& task : tasks) check(task.task);
  auto to = stream();
  place_on_each(tasks, to->ids.size());
  return std::make_unique<Run>(router_, to, std::move(tasks));
}

std::unique_ptr<Run> Mesh::start(std::vector<Task>&& tasks, Deadline deadline) {
  auto run = prepare(std::move(tasks));
  if (!run->submit(deadline)) router_->no_credit().raise();
  return run;
}

std::vector<qpm::Result> Mesh::run(std::vector<Task>&& tasks, double timeout_s) {
  const Deadline deadline = Deadline::after_s(timeout_s);
  auto run = prepare(std::move(tasks));
  if (!run->wait(deadline)) run->give_up(timeout_s);
  return run->take();
}

}  // namespace qfw::qpi
