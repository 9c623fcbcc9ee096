// A seat of a pool: runs one instance at a time, on a thread of its own. What it does is asked of it, and never waits;
// what came of it is told to its owner. `life` is the number of the instance meant: what is for an earlier one is void.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "qpm/api/native/event.h"
#include "qpm/native/job.h"
#include "qpm/native/pool.h"

namespace qfw::qpm {

class PoolMember {
 public:
  // All may be called from any thread, and call back.
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void up(MemberId member) = 0;
    virtual void refused(MemberId member, const Failure& failure) = 0;  // no slot for it
    virtual void failed(MemberId member, const Failure& failure) = 0;   // could not be started
    // The jobs that were in it, of those that it was given; the others had not reached it.
    virtual void died(MemberId member, const std::vector<JobPtr>& inside, const std::string& words) = 0;
    virtual void down(MemberId member) = 0;  // as it was asked to
    virtual void returned(MemberId member, std::vector<Finished>&& jobs) = 0;
    virtual void told(Event&& event) = 0;  // by its device
  };

  virtual ~PoolMember() = default;

  void attach(Owner* owner, MemberId id) { owner_ = owner, id_ = id; }

  virtual void wake(uint32_t life, uint32_t ranks) = 0;  // start an instance: up(), refused() or failed() follows
  virtual void run(uint32_t life, std::vector<JobPtr>&& jobs) = 0;
  virtual void cancel(uint32_t life, const JobPtr& job) = 0;
  virtual void lower(uint32_t life) = 0;              // stop the instance, which has nothing to do: down() follows
  virtual void lost(const std::string& address) = 0;  // the instance there is known to have died
  virtual void stop() = 0;                            // gives back every job; tells nothing after it has returned

 protected:
  Owner* owner_ = nullptr;
  MemberId id_ = 0;
};

}  // namespace qfw::qpm
