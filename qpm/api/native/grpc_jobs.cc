// Jobs of a runtime in another process: see grpc_session.h.
#include <chrono>
#include <utility>

#include "qfw/qpm/api/v1/job.pb.h"
#include "qfw/qpm/api/v1/runtime.pb.h"
#include "qpm/api/native/grpc_session.h"

namespace qfw::qpm {
namespace {

namespace pb = api::v1;
constexpr auto kParting = std::chrono::seconds(5);
constexpr auto kAnswer = std::chrono::seconds(30);  // an answer of the runtime that takes longer is a broken runtime

}  // namespace

JobInfo GrpcSession::attach_job(StreamId stream, const std::string& job) {
  pb::ClientMessage m;
  m.mutable_attach_job()->set_stream(stream);
  m.mutable_attach_job()->set_job(job);
  {
    std::lock_guard lock(mutex_);
    check_alive();
    named_ = true;  // a cancel of its tasks must arrive, too
    opened_.erase(stream);
    attached_.erase(stream);
  }
  write(m);
  await_opened(stream);
  std::lock_guard lock(mutex_);
  return std::move(attached_.extract(stream).mapped());
}

std::vector<JobInfo> GrpcSession::jobs(std::span<const std::string> ids) {
  std::lock_guard once(devices_mutex_);
  pb::ClientMessage m;
  m.mutable_query_jobs();
  for (const auto& id : ids) m.mutable_query_jobs()->add_jobs(id);
  {
    std::lock_guard lock(mutex_);
    check_alive();
    jobs_.reset();
  }
  write(m);
  std::unique_lock lock(mutex_);
  if (!answered_.wait_for(lock, kAnswer, [&] { return jobs_ || lost_; }))
    throw Error(ErrorCode::kTimeout, "the runtime did not list its jobs in time");
  if (!jobs_) lost_.raise();
  return std::move(*jobs_);
}

void GrpcSession::forget_job(const std::string& job) {
  {
    std::lock_guard lock(mutex_);
    check_alive();
    named_ = true;
  }
  pb::ClientMessage m;
  m.mutable_forget_job()->set_job(job);
  write(m);
}

// Jobs outlive the session, so what was said of them must arrive: a cancelled call drops what is unread.
void GrpcSession::say_bye() {
  pb::ClientMessage m;
  m.mutable_bye();
  write(m);
  std::unique_lock lock(mutex_);
  answered_.wait_for(lock, kParting, [&] { return static_cast<bool>(lost_); });
}

// On the reader's thread, before the completions: they are awaited from here on.
Failure GrpcSession::attached(const pb::Opened& opened) {
  JobInfo info = wire::take(opened.job());
  for (TaskId task : info.task_ids)
    if (pending_.count(task))
      return {ErrorCode::kInvalidArgument, "job '" + info.id + "' has a task id " + std::to_string(task) +
                                               " that this session uses itself; attach from a session of its own"};
  for (TaskId task : info.task_ids) pending_.emplace(task, Pending{opened.stream(), kAnyRows, 0, {}});
  attached_[opened.stream()] = std::move(info);
  return {};
}

void GrpcSession::listed(const pb::JobList& list) {
  jobs_.emplace();
  for (const auto& job : list.jobs()) jobs_->push_back(wire::take(job));
}

}  // namespace qfw::qpm
