// A job of the runtime, by its name: submitted by some stream, perhaps of a process that is gone.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "qpi/native/context.h"

namespace qfw::qpi {

// What the runtime remembers; no ids: all, without metadata and task ids. Unknown ids are left out.
std::vector<qpm::JobInfo> jobs(Context& context, const std::vector<std::string>& ids);
void forget_job(Context& context, const std::string& id);

class Job {
 public:
  // `context` is used for nothing else from now on. Throws kNotFound, kUnsupported.
  static std::shared_ptr<Job> attach(std::shared_ptr<Context> context, const std::string& id);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  const qpm::JobInfo& info() const noexcept { return info_; }  // as it was when it was attached
  bool wait(Deadline deadline);                                // until take() gives something; false at the deadline
  std::vector<std::pair<size_t, qpm::Result>> take();          // place in the job, and its result; failures among them
  void cancel();                                               // what is unfinished
  void close();

 private:
  struct Inbox;
  explicit Job(std::shared_ptr<Context> context);

  std::shared_ptr<Context> context_;
  std::shared_ptr<Inbox> inbox_;
  qpm::JobInfo info_;
  std::unordered_map<qpm::TaskId, size_t> place_;
};

}  // namespace qfw::qpi
