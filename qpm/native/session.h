// The in-process session, and what the runtime keeps of every session.
#pragma once

#include <atomic>
#include <memory>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "qpm/api/native/session.h"
#include "qpm/native/runtime.h"

namespace qfw::qpm {

// Shared by the session and its unfinished jobs.
struct SessionState {
  struct Stream {
    std::vector<DeviceId> devices;
    Order order = Order::kParallel;
  };

  SessionId id = 0;
  std::atomic<uint64_t> outstanding{0};  // submitted, not delivered
  std::atomic<bool> closed{false};

  std::mutex streams_mutex;
  std::unordered_map<StreamId, Stream> streams;

  // Held shared while the sink runs, so that close() can wait for the last call.
  std::shared_mutex sink_mutex;
  Session::Sink sink;

  // Delivers completions of claimed jobs: frees their place in the window, then calls the sink.
  void deliver(std::vector<Completion>&& completions);
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
  void cancel(std::span<const TaskId> tasks) override;
  void subscribe(std::span<const DeviceId> devices, uint32_t kinds, EventSink sink) override;
  bool help() override { return runtime_->help(); }
  void close() override;

  void pause(bool paused);  // its tasks wait while its client does not take results

 private:
  void check_open() const;
  std::shared_ptr<Runtime> runtime_;
  std::shared_ptr<SessionState> state_;
};

}  // namespace qfw::qpm
