// A seat whose instances are other processes, reached over the Runtime protocol.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "qpm/api/native/grpc_session.h"
#include "qpm/native/pool_member.h"

namespace qfw::qpm {

class PoolWorker : public PoolMember {
 public:
  struct Process {
    std::function<std::string(uint32_t ranks)> start;  // returns its address once it serves; throws Error
    std::function<void()> stop;                        // ends it; may come while start() waits, which then throws
    std::function<std::string()> last_words;           // how it ended; may be empty
    // Wraps a wait for the thread that calls these; may be empty.
    std::function<void(const std::function<void()>&)> away;
    TlsFiles tls;               // for addresses "host:port"
    double connect_s = 20.0;    // to connect to it
    double keepalive_s = 20.0;  // between pings; one left unanswered for half as long again: it is gone
  };

  PoolWorker(std::string device, Process process);
  ~PoolWorker() override;

  void wake(uint32_t life, uint32_t ranks) override;
  void run(uint32_t life, std::vector<JobPtr>&& jobs) override;
  void cancel(uint32_t life, const JobPtr& job) override;
  void lower(uint32_t life) override;
  void lost(const std::string& address) override;
  void stop() override;

 private:
  using Lock = std::unique_lock<std::mutex>;

  // All of these run on the seat's thread; the lock is given up around what may block.
  void work();
  void raise(Lock& lock);
  std::unique_ptr<GrpcSession> open(const std::string& address);
  void bury(Lock& lock);
  void put_down(Lock& lock);
  void forward(Lock& lock);
  void forward_cancels(Lock& lock);
  void end(Lock& lock);

  void receive(std::vector<Completion>&& completions);  // on the session's thread
  void prepare(Job& job, TaskId id) const;

  const std::string device_;
  const Process process_;

  std::mutex mutex_;
  std::condition_variable changed_;
  uint32_t life_ = 0;
  uint32_t ranks_ = 0;     // wanted: an instance of so many is to be started
  bool starting_ = false;  // start() is under way
  bool lower_ = false;     // the instance is to be stopped
  bool gone_ = false;      // the session's stream broke
  bool closing_ = false;   // what comes back is no result
  bool stopping_ = false;
  std::string address_;
  std::vector<JobPtr> waiting_;                 // for the instance
  std::unordered_map<TaskId, JobPtr> running_;  // in it, by the id given there
  std::vector<JobPtr> cancels_;                 // to be passed on
  std::unique_ptr<GrpcSession> session_;        // the seat's thread alone
  uint32_t instance_ranks_ = 1;
  TaskId next_id_ = 1;
  std::thread thread_;
};

}  // namespace qfw::qpm
