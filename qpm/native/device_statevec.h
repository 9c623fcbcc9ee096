// The built-in simulator as a device.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "qpm/api/native/lru.h"
#include "qpm/native/device.h"
#include "simenv/native/simulator.h"
#include "simenv/native/threads.h"

namespace qfw::qpm {

class StatevecDevice : public Device {
 public:
  struct Limits {
    uint64_t max_shots = 10'000'000;
    uint32_t max_rows = 1'000'000;
    uint64_t plan_cache_bytes = 64ull << 20;  // of program bytes whose plans are kept
  };

  StatevecDevice(std::string name, simenv::ThreadPool& pool, Limits limits);

  const DeviceInfo& info() const noexcept override { return info_; }
  bool synchronous() const noexcept override { return true; }
  void check(const Task& task) const override;
  double estimate_ns(const Task& task) const noexcept override;

  // Rows are spread over the pool; each row's seed is derived from the job's, so that results do not depend on threads.
  Result run(Job& job) override;

 private:
  class BigRun;
  std::shared_ptr<const simenv::Simulator> plan(const program::ProgramPtr& program);
  void run_rows(Job& job, const simenv::Simulator& simulator, Result& result);
  void run_row(Job& job, const simenv::Simulator& simulator, uint32_t row, simenv::ThreadPool* pool, RowResult& out);

  DeviceInfo info_;
  simenv::ThreadPool& pool_;
  std::mutex mutex_;
  Lru<program::Hash, std::shared_ptr<const simenv::Simulator>, program::HashKey> plans_;
  // Runs that need much memory take turns, so that each one's memory check still holds when it allocates.
  std::mutex big_mutex_;
  std::condition_variable big_free_;
  bool big_running_ = false;
};

// Of a task of the built-in simulator, wherever it runs. What it can never run is refused, by Error; memory is not
// looked at.
void check_statevec(const DeviceInfo& info, const Task& task);
double statevec_ns(const Task& task) noexcept;  // a rough duration, all rows
uint64_t statevec_bytes(const Task& task);      // at the peak of a row, results included

}  // namespace qfw::qpm
