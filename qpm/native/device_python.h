// A device run by Python code in this process. The compiled half knows nothing of Python: the binding gives it the
// functions to call.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "qpm/native/device_described.h"

namespace qfw::qpm {

class PythonDevice : public DescribedDevice {
 public:
  struct Code {
    // Runs a batch: one result per job, in order. Always called on the device's one thread.
    std::function<std::vector<Result>(const std::vector<JobPtr>&)> execute;
    std::function<void()> thread_begins;  // on that thread, before and after everything else
    std::function<void()> thread_ends;
    // Wraps a wait for that thread, which may need what the waiting thread holds (Python's global lock). Empty: just
    // waits.
    std::function<void(const std::function<void()>&)> away;
  };

  // A batch whose tasks have all been cancelled, or are past their deadlines, for `patience_s` seconds and which does
  // not end is `stuck`: that is called, once per batch, on a thread of its own. 0: never.
  PythonDevice(DeviceInfo info, Code code, double patience_s = 0.0, std::function<void()> stuck = nullptr);
  ~PythonDevice() override;

  void start(std::vector<JobPtr>&& jobs) override;
  void cancel(const JobPtr& job) override;
  void stop() override;

 private:
  void run();
  void watch();
  void give_back(std::vector<JobPtr>&& jobs, const Failure& failure);

  const Code code_;
  const std::chrono::duration<double> patience_;
  const std::function<void()> stuck_;

  std::mutex mutex_;
  std::condition_variable wake_, watch_wake_;
  bool stopping_ = false;
  std::deque<JobPtr> waiting_;
  std::vector<JobPtr> running_;  // the batch at work
  uint64_t batch_ = 0;
  std::thread thread_, watcher_;  // last: they use all of the above
};

// Whether nobody waits for a job any more: cancelled, or past its deadline.
bool given_up(const Job& job) noexcept;

}  // namespace qfw::qpm
