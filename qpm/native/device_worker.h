// A device in another process, reached by the same Runtime protocol that applications speak.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "qpm/api/native/session.h"
#include "qpm/native/device.h"

namespace qfw::qpm {

class WorkerDevice : public Device {
 public:
  // `start` makes a process and returns its address; called at the first task and after each death. It may throw Error
  // (its tasks then fail with it). `last_words` says how a process that went away ended. Both run on the device's own
  // thread.
  using Start = std::function<std::string()>;
  using LastWords = std::function<std::string()>;

  WorkerDevice(DeviceInfo info, Start start, LastWords last_words);
  ~WorkerDevice() override;

  const DeviceInfo& info() const noexcept override { return info_; }
  void check(const Task& task) const override;
  void start(std::vector<JobPtr>&& jobs) override;
  void cancel(const JobPtr& job) override;
  void stop() override;

 private:
  // One life of the process.
  struct Link {
    std::shared_ptr<Session> session;
    std::map<TaskId, JobPtr> running;  // under the device's mutex_
  };

  void run();
  void send(std::vector<JobPtr>&& jobs);
  std::shared_ptr<Link> connect();
  void receive(const std::shared_ptr<Link>& link, std::vector<Completion>&& done);
  void lose(std::vector<Finished>&& lost);
  void fail(std::vector<JobPtr>&& jobs, const Failure& failure);

  const DeviceInfo info_;
  const Start start_;
  const LastWords last_words_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::vector<JobPtr> starting_;
  std::vector<JobPtr> cancelling_;
  std::vector<Finished> lost_;  // their process went away; waiting for its last words
  std::shared_ptr<Link> link_;  // null: no process
  TaskId next_task_ = 1;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace qfw::qpm
