// The in-process session, and what the runtime keeps of every session.
#pragma once

#include <atomic>
#include <memory>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "qpm/api/native/session.h"
#include "qpm/native/jobs.h"
#include "qpm/native/runtime.h"

namespace qfw::qpm {

// Shared by the session and its unfinished jobs.
struct SessionState {
  struct Stream {
    std::vector<DeviceId> devices;
    Order order = Order::kParallel;
    NamedJobPtr job;      // it outlives its session
    bool ending = false;  // of a job: closed by the client, and goes when its tasks are done
  };

  SessionId id = 0;
  std::atomic<uint64_t> outstanding{0};  // submitted, not delivered
  std::atomic<bool> closed{false};

  std::mutex streams_mutex;
  std::unordered_map<StreamId, Stream> streams;
  std::unordered_map<StreamId, NamedJobPtr> attached;  // jobs of other sessions, by the stream that they come on
  std::atomic<bool> has_jobs{false};
  std::shared_ptr<JobTable> table;

  // Held shared while the sink runs, so that close() can wait for the last call.
  std::shared_mutex sink_mutex;
  Session::Sink sink;

  // Delivers completions of claimed jobs: frees their place in the window, then calls the sink.
  void deliver(std::vector<Completion>&& completions);
  // What came of tasks of its jobs is kept, and goes to whoever attached to them.
  void note(std::span<const Completion> completions);
  void forward(std::vector<Completion>&& completions);  // of another session's job
};

class LocalSession : public Session {
 public:
  LocalSession(std::shared_ptr<Runtime> runtime, std::shared_ptr<SessionState> state)
      : runtime_(std::move(runtime)), state_(std::move(state)) {}
  ~LocalSession() override;

  std::string endpoint() const override { return "embedded"; }
  std::vector<DeviceInfo> devices() override { return runtime_->devices(); }
  void set_sink(Sink sink) override;
  void open_stream(StreamId stream, std::span<const DeviceId> devices, Order order, const JobSpec* job) override;
  void close_stream(StreamId stream) override;
  uint32_t window() const override { return runtime_->options().window; }
  void submit(std::vector<Task>&& tasks) override;
  void cancel(std::span<const TaskId> tasks) override;  // its own, and those of jobs attached to it
  void subscribe(std::span<const DeviceId> devices, uint32_t kinds, EventSink sink) override;
  JobInfo attach_job(StreamId stream, const std::string& job) override;
  std::vector<JobInfo> jobs(std::span<const std::string> ids) override { return runtime_->jobs(ids); }
  void forget_job(const std::string& job) override { runtime_->forget_job(job); }
  bool help() override { return runtime_->help(); }
  void close() override;  // of its jobs too, what is unfinished is cancelled

  // The two halves of attach_job(): the job's completions are delivered from the second on.
  JobInfo job(const std::string& id);
  void listen(StreamId stream, const std::string& id);
  void note(std::span<const Completion> refused) { state_->note(refused); }  // tasks that never came this far

  void leave();             // as close(), but its jobs go on
  void pause(bool paused);  // its tasks wait while its client does not take results

 private:
  void check_open() const;
  std::shared_ptr<Runtime> runtime_;
  std::shared_ptr<SessionState> state_;
};

}  // namespace qfw::qpm
