#include "qpi/native/job.h"

#include <condition_variable>
#include <iterator>
#include <mutex>

namespace qfw::qpi {
namespace {

constexpr qpm::StreamId kStream = 1;  // of a session with nothing else in it

}  // namespace

std::vector<qpm::JobInfo> jobs(Context& context, const std::vector<std::string>& ids) {
  return context.router()->session()->jobs(ids);
}

void forget_job(Context& context, const std::string& id) { context.router()->session()->forget_job(id); }

// Outlives the job where the session still delivers.
struct Job::Inbox {
  std::mutex mutex;
  std::condition_variable filled;
  std::vector<qpm::Completion> completions;
};

Job::Job(std::shared_ptr<Context> context) : context_(std::move(context)), inbox_(std::make_shared<Inbox>()) {}

Job::~Job() { close(); }

std::shared_ptr<Job> Job::attach(std::shared_ptr<Context> context, const std::string& id) {
  std::shared_ptr<Job> job(new Job(std::move(context)));
  auto session = job->context_->router()->session();
  session->set_sink([inbox = job->inbox_](std::vector<qpm::Completion>&& done) {
    std::lock_guard lock(inbox->mutex);
    std::move(done.begin(), done.end(), std::back_inserter(inbox->completions));
    inbox->filled.notify_all();
  });
  job->info_ = session->attach_job(kStream, id);
  for (qpm::TaskId task : job->info_.task_ids) job->place_.emplace(task, job->place_.size());
  return job;
}

bool Job::wait(Deadline deadline) {
  std::unique_lock lock(inbox_->mutex);
  while (inbox_->completions.empty())
    if (!deadline.sleep(inbox_->filled, lock)) return !inbox_->completions.empty();
  return true;
}

std::vector<std::pair<size_t, qpm::Result>> Job::take() {
  std::vector<qpm::Completion> done;
  {
    std::lock_guard lock(inbox_->mutex);
    done.swap(inbox_->completions);
  }
  std::vector<std::pair<size_t, qpm::Result>> out;
  for (auto& c : done)  // tasks that were submitted after it was attached have no place
    if (auto found = place_.find(c.task); found != place_.end()) out.push_back({found->second, std::move(c.result)});
  return out;
}

void Job::cancel() { context_->router()->session()->cancel(info_.task_ids); }

void Job::close() { context_->close(); }

}  // namespace qfw::qpi
