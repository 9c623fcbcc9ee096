// A session that outlives its runtime: when the connection is lost it finds the runtime again, opens its streams anew
// and submits what is unfinished once more. The decisions are Reconnect's (when) and Unfinished's (what); here are the
// connection, the clock and the thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "qpm/api/native/grpc_session.h"
#include "qpm/api/native/reconnect.h"
#include "qpm/api/native/unfinished.h"

namespace qfw::qpm {

// Device ids that hold for the whole session: a runtime that comes back may number its devices differently.
class DeviceNames {
 public:
  // What the connected runtime has; ids of names that are known stay.
  std::vector<DeviceInfo> update(std::vector<DeviceInfo> infos);
  std::optional<DeviceId> id(const std::string& name) const;
  std::vector<std::string> names(std::span<const DeviceId> ids) const;         // throws kNotFound
  std::vector<DeviceId> current(const std::vector<std::string>& names) const;  // throws kNotFound

 private:
  std::vector<std::string> names_;           // by the session's id
  std::map<std::string, DeviceId> current_;  // the connected runtime's ids
};

class ResumingSession : public Session {
 public:
  ResumingSession(const std::string& address, const ConnectOptions& options);  // as connect_session
  ~ResumingSession() override;

  std::string endpoint() const override;
  std::vector<DeviceInfo> devices() override;
  void set_sink(Sink sink) override;
  void open_stream(StreamId stream, std::span<const DeviceId> devices, Order order, const JobSpec* job) override;
  void close_stream(StreamId stream) override;
  JobInfo attach_job(StreamId stream, const std::string& job) override;
  std::vector<JobInfo> jobs(std::span<const std::string> ids) override;
  void forget_job(const std::string& job) override;
  void subscribe(std::span<const DeviceId> devices, uint32_t kinds, EventSink sink) override;
  uint32_t window() const override { return window_; }
  void submit(std::vector<Task>&& tasks) override;
  void cancel(std::span<const TaskId> tasks) override;
  void close() override;

 private:
  struct Stream {
    std::vector<std::string> devices;
    Order order = Order::kParallel;
    std::optional<JobSpec> job;
    bool attached = false;  // to the job, which another session submitted
  };
  struct Subscription {
    std::vector<std::string> devices;
    uint32_t kinds = 0;
    EventSink sink;
  };
  using Lock = std::unique_lock<std::mutex>;
  using Link = std::shared_ptr<GrpcSession>;

  // `number` tells a late word of an earlier connection.
  Link connect(const std::string& address, double timeout_s, uint64_t number);
  void on_lost(uint64_t number, Failure&& why);
  void on_completions(std::vector<Completion>&& completions);

  void run();  // the thread's whole life
  void try_once(Lock& lock, const Reconnect::Step& step);
  void reopen(GrpcSession& link);
  void resume(const Link& link, const std::string& address);
  void send(GrpcSession& link, const std::vector<TaskPtr>& tasks);
  void send_waiting(Lock& lock);
  void give_up(Lock& lock, Failure reason);

  void check_alive() const;  // throws kClosed, kConnectionLost; mutex_ held
  Link await_link(Lock& lock);
  template <typename Ask>
  auto ask(Ask&& question);
  void deliver(Lock& lock, std::vector<Unfinished::Ended>&& ended);
  uint64_t draw_seed() noexcept;

  const ConnectOptions options_;
  const uint64_t seed_base_;
  std::atomic<uint64_t> seeds_{0};

  // Held while tasks are put in order and handed over, so that a resumption and a submission do not mix; taken before
  // mutex_.
  std::mutex order_mutex_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string address_;
  Link link_;            // null: not connected
  Link trying_;          // being taken into use, by the thread
  Link dead_;            // to be destroyed, by the thread
  uint64_t number_ = 0;  // of the latest connection
  uint64_t lost_ = 0;    // of the latest that was lost
  bool closed_ = false;
  Failure over_;  // no connection will come any more
  uint32_t window_ = 0;
  Reconnect reconnect_;
  Unfinished unfinished_;
  DeviceNames names_;
  std::map<StreamId, Stream> streams_;
  std::map<StreamId, std::set<TaskId>> attached_;  // and what was delivered of it
  Subscription subscription_;

  Sink sink_;
  std::thread thread_;
};

}  // namespace qfw::qpm
