// The runtime as a library: devices, sessions, dispatch, completions. A daemon is this behind a socket; an application
// without a daemon has one in its own process.
#pragma once

#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "qpm/api/native/lru.h"
#include "qpm/api/native/session.h"
#include "qpm/native/device.h"
#include "qpm/native/dispatch.h"
#include "qpm/native/events.h"
#include "qpm/native/job.h"
#include "qpm/native/jobs.h"
#include "simenv/native/threads.h"

namespace qfw::qpm {

struct RuntimeOptions {
  unsigned threads = 0;  // 0: the CPUs this process may use
  uint32_t max_sessions = 256;
  uint32_t window = 4096;  // unfinished tasks of one session
  uint64_t max_queue = 1'000'000;
  uint64_t max_queue_bytes = 0;  // of unfinished tasks; 0: a quarter of the memory, at most 16 GiB
  uint32_t max_rows = 1'000'000;
  uint64_t max_shots = 10'000'000;
  uint64_t program_cache_bytes = 256ull << 20;
  JobLimits jobs;
};

struct RuntimeStats {
  uint64_t submitted = 0, completed = 0, failed = 0, queued = 0, running = 0;
  uint64_t sessions = 0, programs = 0, program_bytes = 0;
};

struct SessionState;

class Runtime : public std::enable_shared_from_this<Runtime>, private Device::Host {
 public:
  static std::shared_ptr<Runtime> make(const RuntimeOptions& options = {});
  ~Runtime() override;

  const RuntimeOptions& options() const noexcept { return options_; }
  simenv::ThreadPool& pool() noexcept { return pool_; }

  DeviceId add_device(std::unique_ptr<Device> device);  // throws kInvalidArgument for a name in use
  DeviceId add_statevec(const std::string& name = "statevec");
  void set_status(DeviceId device, DeviceStatus status, const std::string& reason) override;  // throws kNotFound
  std::vector<DeviceInfo> devices() const;
  Device& find_device(DeviceId id) const;  // throws kNotFound
  void slots_freed() override;             // tells the devices, which may start instances

  void emit(DeviceId device, Event&& event) override;  // tells who wants to hear of it; throws kNotFound
  void emit(Event&& event);                            // the same, of the runtime as a whole

  // A client's stay; ends with its last reference. Throws kResourceExhausted, kClosed.
  std::shared_ptr<Session> session(double weight = 1.0);

  // The one Program of these bytes: decoded once, shared by all sessions while it is remembered.
  program::ProgramPtr program(const program::Hash& hash, std::span<const std::byte> bytes);

  RuntimeStats stats() const;

  std::vector<JobInfo> jobs(std::span<const std::string> ids);  // none: all; unknown ones are left out
  void forget_job(const std::string& id);                       // throws kNotFound

  // The two steps of a graceful end: from now on every new task is refused (kUnavailable, transient); what is
  // unfinished completes with `failure`, whether or not its device has let go of it.
  void drain();
  void abandon(const Failure& failure);

  // Cancels what is unfinished, completes it, and ends every thread and device. Idempotent.
  void stop();

 private:
  friend class LocalSession;
  explicit Runtime(const RuntimeOptions& options);

  // ---- of sessions (session.cc)
  void open_stream(const std::shared_ptr<SessionState>& s, StreamId stream, std::span<const DeviceId> devices,
                   Order order, const JobSpec* job);
  void close_stream(SessionState& s, StreamId stream);
  void submit(const std::shared_ptr<SessionState>& s, std::vector<Task>&& tasks);
  void cancel(SessionState& s, std::span<const TaskId> tasks);
  void drop_stream(SessionState& s, StreamId stream);
  void close(const std::shared_ptr<SessionState>& s, bool keep_jobs = false);
  bool leave_jobs(SessionState& s);
  bool detach(const std::shared_ptr<SessionState>& s);
  void end(const std::shared_ptr<SessionState>& s);
  void reap();
  void place(NamedJob& job, const std::vector<DeviceId>& devices);
  void pause(SessionState& s, bool paused);
  void subscribe(SessionState& s, std::span<const DeviceId> devices, uint32_t kinds, EventSink&& sink);
  bool help();

  // ---- the machine (runtime.cc)
  struct Batch;
  std::vector<JobPtr> admit(const std::shared_ptr<SessionState>& s, std::vector<Task>&& tasks);
  void admit(Job& job, const std::vector<DeviceId>& devices);
  void hold(Job& job);
  bool admit_auto(Job& job, const std::vector<DeviceId>& devices);
  void perform(Dispatcher::Actions& actions, Batch& batch, JobPtr* next = nullptr);
  void enqueue(std::vector<JobPtr>&& jobs);
  Dispatcher::Actions retire(Job& job, Batch& batch);
  void work(JobPtr job, uint64_t budget_ns);
  JobPtr take(bool small_only);
  Result execute(Job& job);
  void settle(Job& job, Result& result) const;
  void finished(std::vector<Finished>&& jobs) override;
  void watch_deadlines();
  Device& device(DeviceId id) const { return *devices_[id]; }

  const RuntimeOptions options_;
  const int process_ = ::getpid();  // a child of fork() has none of the threads
  uint64_t max_queue_bytes_;

  mutable std::mutex mutex_;  // dispatcher, run queue, devices
  Dispatcher dispatcher_;
  std::vector<std::unique_ptr<Device>> devices_;  // never shrinks, never moves: reserved
  std::deque<JobPtr> run_queue_;                  // started on a synchronous device, no thread yet
  uint64_t in_flight_ = 0;                        // started, not given back
  std::condition_variable idle_;
  std::unordered_map<SessionId, std::weak_ptr<SessionState>> sessions_;
  std::vector<std::shared_ptr<SessionState>> detached_;  // left by their clients; their jobs go on
  const std::shared_ptr<JobTable> table_;
  SessionId next_session_ = 1;
  bool stopping_ = false;
  std::atomic<bool> draining_{false};
  std::mutex stop_mutex_;
  bool stopped_ = false;

  EventHub events_;
  std::mutex status_mutex_;  // statuses change, and are told, one after another

  mutable std::mutex programs_mutex_;
  Lru<program::Hash, program::ProgramPtr, program::HashKey> programs_;

  std::atomic<uint64_t> submitted_{0}, completed_{0}, failed_{0}, seeds_{0};
  std::atomic<uint64_t> held_bytes_{0};  // by unfinished tasks
  uint64_t seed_base_ = 0;

  std::condition_variable timer_wake_;
  uint64_t timer_next_ = UINT64_MAX;  // what the timer thread waits for
  std::thread timer_;

  simenv::ThreadPool pool_;  // last: its threads end first
};

}  // namespace qfw::qpm
