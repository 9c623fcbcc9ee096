// A device served by a pool of instances in other places: what `Pool` decides, carried out.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "qpm/native/device_described.h"
#include "qpm/native/pool.h"
#include "qpm/native/pool_member.h"
#include "qpm/native/pool_parts.h"

namespace qfw::qpm {

// How many ranks a task gets, by the memory that it needs. Sizes are bytes; 0: not known, and then not asked for.
struct RanksRule {
  uint32_t max_ranks = 1;
  uint64_t node_bytes = 0;                      // that an instance of one rank may take
  uint64_t rank_bytes = 0;                      // that each rank of a larger one may take
  std::function<uint64_t(const Task&)> needed;  // by one row, in one place

  // The fewest ranks, a power of two, whose memory holds the task; or those it asks for. Throws kResourceExhausted with
  // the bytes needed when it fits nowhere, kUnsupported for ranks that are no power of two.
  uint32_t ranks_for(const std::string& device, const Task& task) const;
  // The most qubits whose state fits, `limit` at most.
  uint32_t max_qubits(uint32_t limit) const;
};

class PoolDevice : public DescribedDevice, private PoolMember::Owner {
 public:
  struct Options {
    Pool::Policy policy;  // capacity: at least 64 tasks are given to an instance at once, if they are short
    RanksRule ranks;
    std::function<void(const Task&)> check;  // beyond what the description says; may be empty
    std::function<double(const Task&)> estimate_ns;
    // Wraps a wait for the pool's thread, which may need what the waiting thread holds; may be empty.
    std::function<void(const std::function<void()>&)> away;
  };

  // At least one member. `info.capacity` is that of one instance.
  PoolDevice(DeviceInfo info, std::vector<std::unique_ptr<PoolMember>> members, Options options);
  ~PoolDevice() override;

  void check(const Task& task) const override;
  double estimate_ns(const Task& task) const noexcept override;
  uint32_t instances() const override;
  void attach(Host* host, DeviceId id) override;
  void start(std::vector<JobPtr>&& jobs) override;
  void cancel(const JobPtr& job) override;
  void stop() override;
  void slots_freed() override;

  uint32_t yield_idle(uint32_t ranks);    // see Pool::yield
  void lost(const std::string& address);  // the instance there is known to have died
  Pool::Stats stats() const;

 private:
  struct Entry {
    JobPtr job;
    std::shared_ptr<Sweep> sweep;  // that it is a part of
  };
  using Happening = std::function<void(uint64_t now, Pool::Actions& out)>;

  void up(MemberId member) override;
  void refused(MemberId member, const Failure& failure) override;
  void failed(MemberId member, const Failure& failure) override;
  void died(MemberId member, const std::vector<JobPtr>& inside, const std::string& words) override;
  void down(MemberId member) override;
  void returned(MemberId member, std::vector<Finished>&& jobs) override;
  void told(Event&& event) override;

  void step(const Happening& event);                                 // and what follows from it
  void decide(Pool::Actions& actions, std::vector<Finished>& done);  // under mutex_
  void perform(Pool::Actions&& actions, std::vector<Finished>&& done);
  void submit(JobPtr job, uint64_t now);  // under mutex_, as the next two
  void settle(Finished&& finished, std::vector<Finished>& done, Pool::Actions& out);
  void drop(PoolKey key, const Failure& failure, std::vector<Finished>& done, Pool::Actions& out);
  void keep_time();
  static PoolKey key_of(const JobPtr& job) { return reinterpret_cast<uintptr_t>(job.get()); }

  const Options options_;
  const std::vector<std::unique_ptr<PoolMember>> members_;

  mutable std::mutex mutex_;
  Pool pool_;
  std::unordered_map<PoolKey, Entry> entries_;                  // what the pool has
  std::unordered_map<PoolKey, std::shared_ptr<Sweep>> sweeps_;  // by their wholes
  uint64_t wakeup_ = UINT64_MAX;                                // that the clock's thread waits for
  bool stopping_ = false;
  std::condition_variable clock_wake_;
  std::thread clock_;
};

}  // namespace qfw::qpm
