// A device served by another process over the Runtime protocol: started at the first task, and again after its death.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "qpm/api/native/session.h"
#include "qpm/native/device_described.h"

namespace qfw::qpm {

class WorkerDevice : public DescribedDevice {
 public:
  struct Process {
    std::function<std::string()> start;       // starts a process, returns its address; throws Error
    std::function<std::string()> last_words;  // how the last process ended; may be empty
    // Wraps a wait for the thread that calls those two; may be empty.
    std::function<void(const std::function<void()>&)> away;
  };
  struct Policy {
    double connect_s = 20.0;
    std::chrono::milliseconds fast{5000};    // a process that lives shorter died fast
    int fast_deaths = 3;                     // in a row: the device is in fault
    std::chrono::milliseconds rest{10'000};  // for this long
  };

  WorkerDevice(DeviceInfo info, Process process, Policy policy);
  WorkerDevice(DeviceInfo info, Process process) : WorkerDevice(std::move(info), std::move(process), Policy()) {}
  ~WorkerDevice() override;

  void start(std::vector<JobPtr>&& jobs) override;
  void cancel(const JobPtr& job) override;
  void stop() override;

 private:
  using Clock = std::chrono::steady_clock;
  using Lock = std::unique_lock<std::mutex>;

  // All of these run on the device's thread; the lock is given up around what may block.
  void run();
  void bury(Lock& lock);
  void raise(Lock& lock);
  void forward(Lock& lock);
  void forward_cancels(Lock& lock);
  void count_death(Lock& lock, bool fast, const std::string& reason);
  void end(Lock& lock, std::vector<JobPtr>&& jobs, const Failure& failure);

  void receive(std::vector<Completion>&& completions);  // on the session's thread
  Task forwarded(Job& job, TaskId id) const;

  const Process process_;
  const Policy policy_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<JobPtr> waiting_;                 // for the process
  std::unordered_map<TaskId, JobPtr> running_;  // in the process, by the id given there
  std::vector<JobPtr> cancels_;                 // to be passed on
  std::vector<JobPtr> lost_;                    // with the process
  bool dead_ = false;                           // the session's stream broke
  bool served_ = false;                         // this process has taken tasks
  bool stopping_ = false;
  bool resting_ = false;  // in fault until `rest_until_`
  Clock::time_point rest_until_;
  std::shared_ptr<Session> session_;  // the device's thread alone
  Clock::time_point born_;
  int fast_deaths_ = 0;
  TaskId next_id_ = 1;
  std::thread thread_;
};

}  // namespace qfw::qpm
