// A session of a runtime in another process.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "qpm/api/native/sender.h"
#include "qpm/api/native/session.h"
#include "qpm/api/native/wire.h"

namespace qfw::qpm::api::v1 {
class ArrayChunk;
class Completions;
class Events;
class JobList;
class Opened;
class RowBlock;
class ServerMessage;
class Welcome;
}  // namespace qfw::qpm::api::v1

namespace qfw::qpm {

class GrpcSession : public Session {
 public:
  // Told once, on the reader's thread, that the connection is gone. Must not block, nor end the session.
  using Lost = std::function<void(Failure&&)>;

  // As connect_session. With `lost`, what is unfinished when the connection breaks does not complete: it is the
  // caller's.
  GrpcSession(const std::string& address, const ConnectOptions& options, Lost lost = nullptr);
  ~GrpcSession() override;

  std::string endpoint() const override { return address_; }
  std::vector<DeviceInfo> devices() override;
  void set_sink(Sink sink) override;
  void open_stream(StreamId stream, std::span<const DeviceId> devices, Order order, const JobSpec* job) override;
  void close_stream(StreamId stream) override;
  uint32_t window() const override { return window_; }
  void submit(std::vector<Task>&& tasks) override;
  void send(std::span<const Task* const> tasks);  // as submit(); the tasks stay the caller's
  void cancel(std::span<const TaskId> tasks) override;
  void subscribe(std::span<const DeviceId> devices, uint32_t kinds, EventSink sink) override;
  JobInfo attach_job(StreamId stream, const std::string& job) override;
  std::vector<JobInfo> jobs(std::span<const std::string> ids) override;
  void forget_job(const std::string& job) override;
  void close() override;

 private:
  struct Wire;  // channel, call and stream
  static constexpr uint32_t kAnyRows = 1u << 24;
  struct Pending {
    StreamId stream = 0;
    uint32_t rows = 0;                // kAnyRows: as many as come
    uint64_t submitted = 0;           // by this process's clock; 0: by another session
    std::vector<RowResult> received;  // what came ahead of the completion
  };

  void say_hello(double timeout_s);
  void say_bye();  // and waits until the runtime has read everything, for some time
  bool write(const api::v1::ClientMessage& message, bool more = false);
  void read();
  void receive(api::v1::ServerMessage& message);
  void welcome(const api::v1::Welcome& welcome);
  void complete(const api::v1::Completions& completions);
  void tell(const api::v1::Events& events);
  void take(const api::v1::ArrayChunk& chunk);
  void take(const api::v1::RowBlock& block);
  Completion finish(TaskId task, Pending&& pending, Result&& result, uint64_t arrived);
  void await_opened(StreamId stream);               // throws what the runtime answered
  Failure attached(const api::v1::Opened& opened);  // mutex_ held, as in the next
  void listed(const api::v1::JobList& list);
  void lose(Failure reason);
  void check_alive();  // throws kClosed, kConnectionLost; mutex_ held
  RowResult* row(TaskId task, uint32_t index);

  const std::string address_;
  std::unique_ptr<Wire> wire_;
  std::mutex write_mutex_;
  std::unique_ptr<Sender> sender_;  // under write_mutex_

  std::mutex mutex_;
  std::condition_variable answered_;
  std::unordered_map<TaskId, Pending> pending_;
  std::unordered_map<StreamId, Failure> opened_;  // answers to open_stream
  std::optional<std::vector<DeviceInfo>> devices_;
  std::unordered_map<StreamId, JobInfo> attached_;  // answers to attach_job
  std::optional<std::vector<JobInfo>> jobs_;
  bool welcomed_ = false;
  bool closed_ = false;
  std::atomic<bool> named_{false};  // a stream of this session is a job
  Failure lost_;
  uint64_t hello_sent_ = 0;
  int64_t clock_offset_ = 0;  // server's clock minus ours
  uint32_t window_ = 0;
  wire::Limits limits_;

  std::mutex devices_mutex_;  // one query at a time
  Sink sink_;
  std::mutex events_mutex_;  // held while the event sink runs
  EventSink event_sink_;
  const Lost lost_handler_;
  std::thread reader_;
};

}  // namespace qfw::qpm
