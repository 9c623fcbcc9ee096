// What the runtime asks of a device. A device of the synchronous kind (statevec) runs a job on the thread that calls
// run(); any other takes jobs with start() and hands each back, exactly once, through its Host.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "qpm/api/native/device_info.h"
#include "qpm/api/native/event.h"
#include "qpm/native/job.h"

namespace qfw::qpm {

class Device {
 public:
  // The runtime, as a device sees it. Both may be called from any thread.
  class Host {
   public:
    virtual ~Host() = default;
    virtual void finished(std::vector<Finished>&& jobs) = 0;
    virtual void set_status(DeviceId device, DeviceStatus status, const std::string& reason) = 0;
    virtual void slots_freed() {}            // somebody who was refused one may ask again
    virtual void emit(DeviceId, Event&&) {}  // of the device; changes of status make theirs themselves
  };

  virtual ~Device() = default;

  // Without id, status and queue length, which the runtime fills in. Constant while the device lives.
  virtual const DeviceInfo& info() const noexcept = 0;
  virtual bool synchronous() const noexcept { return false; }

  // Refuses, by Error, a task that the device can never run. Must be quick: it is asked at every submit.
  virtual void check(const Task& task) const;
  virtual uint32_t instances() const { return 1; }              // that run now
  virtual void slots_freed() {}                                 // there may be slots for instances again
  virtual double estimate_ns(const Task& task) const noexcept;  // a rough duration, for fairness and inline execution

  virtual void attach(Host* host, DeviceId id) { host_ = host, id_ = id; }
  virtual Result run(Job& job);                    // synchronous devices; throws Error
  virtual void start(std::vector<JobPtr>&& jobs);  // the others; never blocks
  virtual void cancel(const JobPtr&) {}            // job.stop was requested already; never blocks
  // Ends the device's threads and processes; what was started and not handed back is handed back before it returns.
  virtual void stop() {}

 protected:
  Host* host_ = nullptr;
  DeviceId id_ = 0;
};

// The checks every device makes, from its DeviceInfo: shapes, finite numbers, qubits, shots, rows, outputs, options,
// gates. Throws kInvalidArgument, kLimitExceeded, kUnsupported, naming value and limit.
void check_task(const DeviceInfo& info, const Task& task);

// Gates and operations of the program that are not among info.gates throw kUnsupported (O(instructions)).
void check_gates(const DeviceInfo& info, const program::Program& program);

uint32_t output_bit(const std::string& name);  // throws kInvalidArgument

}  // namespace qfw::qpm
