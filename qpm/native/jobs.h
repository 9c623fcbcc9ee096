// Jobs: streams with a name that outlive their session. A runtime keeps what came of them, within limits, and gives it
// to whoever asks by the name.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "qpm/api/native/job_info.h"
#include "qpm/api/native/result.h"

namespace qfw::qpm {

struct SessionState;

struct JobLimits {
  size_t jobs = 1024;                    // remembered, unfinished ones included
  uint64_t bytes = 256ull << 20;         // of results and metadata of all of them
  uint64_t job_bytes = 64ull << 20;      // of one: results beyond are delivered to whoever waits, but not kept
  uint64_t metadata_bytes = 4ull << 20;  // of one
  double age_s = 24 * 3600.0;            // since it ended
};

// One job. Thread-safe; its lock is the innermost.
class NamedJob {
 public:
  struct Place {  // where its completions go
    std::weak_ptr<SessionState> session;
    StreamId stream = 0;
  };
  struct Noted {
    std::vector<std::pair<Place, std::vector<Completion>>> copies;  // to be delivered
    uint64_t bytes = 0;                                             // kept
    bool ended = false;
  };

  NamedJob(JobSpec spec, std::shared_ptr<SessionState> owner, StreamId stream, double now_s);

  const std::string& id() const noexcept { return spec_.id; }
  double ended_s() const;  // since the epoch; 0: something is unfinished
  uint64_t bytes() const;
  void shed(uint64_t most);  // drops the results, which then say that they took more than `most` bytes

  // Takes a job over whose session has ended: a client that lost its connection submits what is unfinished again.
  // Throws kInvalidArgument while the session lives.
  void adopt(const std::shared_ptr<SessionState>& owner, StreamId stream);

  // At its first submission: how many tasks the devices have, and how many the runtime had completed by then.
  bool placed() noexcept { return placed_.exchange(true); }
  void ahead(uint64_t tasks, uint64_t completed) noexcept;
  void submitted(TaskId task);
  void started() noexcept { started_.fetch_add(1, std::memory_order_relaxed); }
  void closed(double now_s);  // nothing more will be submitted
  // Of the session `from`; keeps a copy of each while all are below `most` bytes.
  Noted completed(const SessionState& from, std::span<const Completion> done, uint64_t most, double now_s);

  // From now on its completions go there as well; those that it has come back now, as of that stream.
  std::vector<Completion> listen(const std::shared_ptr<SessionState>& session, StreamId stream);
  void leave(const SessionState& session, StreamId stream);

  // The session that runs it, null when that has ended, and its unfinished tasks.
  std::pair<std::shared_ptr<SessionState>, std::vector<TaskId>> unfinished() const;
  JobInfo info(uint64_t completed_now) const;

 private:
  bool done() const noexcept { return order_.size() == completed_ && (closed_ || completed_); }
  void keep(const Completion& completion, uint64_t most);
  void drop_rows(uint64_t most);

  const JobSpec spec_;
  const double created_s_;
  std::atomic<bool> placed_{false};
  std::atomic<uint64_t> started_{0};
  std::atomic<uint64_t> ahead_{0}, clock_{0};

  mutable std::mutex mutex_;
  std::weak_ptr<SessionState> owner_;
  const SessionState* from_ = nullptr;  // the owner, for comparison alone
  StreamId stream_ = 0;
  std::vector<TaskId> order_;               // as submitted
  std::unordered_map<TaskId, bool> state_;  // task -> whether it has completed
  std::vector<Completion> kept_;
  std::vector<Place> listeners_;
  uint64_t completed_ = 0, failed_ = 0, bytes_ = 0;
  bool closed_ = false;
  bool dropped_ = false;  // results above the limit: none is kept
  double ended_s_ = 0.0;
};
using NamedJobPtr = std::shared_ptr<NamedJob>;

// All jobs of a runtime. When there is no room, finished ones go, those that ended first before the others.
class JobTable {
 public:
  explicit JobTable(const JobLimits& limits) : limits_(limits) {}

  const JobLimits& limits() const noexcept { return limits_; }

  // A new job, or the one of that name taken over (see NamedJob::adopt). Throws kInvalidArgument (an id that is none,
  // or in use), kLimitExceeded (metadata), kResourceExhausted (only unfinished jobs, and no room).
  NamedJobPtr open(const JobSpec& spec, const std::shared_ptr<SessionState>& owner, StreamId stream, double now_s);
  NamedJobPtr find(const std::string& id) const;                          // throws kNotFound
  std::vector<NamedJobPtr> list(std::span<const std::string> ids) const;  // none: all, in the order of their making
  void drop(const NamedJob& job);
  void took(uint64_t bytes, bool ended, double now_s);  // results came: makes room from time to time

 private:
  void trim(double now_s, size_t most_jobs);

  const JobLimits limits_;
  mutable std::mutex mutex_;
  uint64_t taken_ = 0;  // since room was last made
  std::list<NamedJobPtr> order_;
  std::unordered_map<std::string, std::list<NamedJobPtr>::iterator> known_;
};

double unix_seconds();

}  // namespace qfw::qpm
