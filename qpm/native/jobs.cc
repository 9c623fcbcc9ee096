#include "qpm/native/jobs.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "qpm/native/session.h"

namespace qfw::qpm {
namespace {

constexpr size_t kIdBytes = 128;
constexpr uint64_t kTaskBytes = 64;  // of a task without its result
constexpr size_t kListeners = 16;

void check(const JobSpec& spec, uint64_t metadata_bytes) {
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || std::strchr("._-", c);
  };
  if (spec.id.empty() || spec.id.size() > kIdBytes || !std::all_of(spec.id.begin(), spec.id.end(), plain))
    throw Error(ErrorCode::kInvalidArgument,
                "job id '" + spec.id.substr(0, kIdBytes) + "'; 1 to 128 letters, digits, '.', '_', '-' are allowed");
  if (spec.metadata.size() > metadata_bytes)
    throw Error(ErrorCode::kLimitExceeded, "job metadata of " + std::to_string(spec.metadata.size()) +
                                               " bytes; at most " + std::to_string(metadata_bytes) + " are allowed");
}

template <typename T>
uint64_t size_of(const std::vector<T>& v) {
  return v.size() * sizeof(T);
}

uint64_t bytes_of(const Completion& c) {
  uint64_t total = sizeof(Completion) + c.result.failure.message.size();
  for (const auto& r : c.result.rows)
    total += sizeof(RowResult) + size_of(r.memory) + size_of(r.count_keys) + size_of(r.counts) +
             size_of(r.probabilities) + size_of(r.statevector) + size_of(r.expectations) + size_of(r.gradients) +
             r.failure.message.size();
  return total;
}

// In place of a result that was not kept.
Completion without_rows(const Completion& c, uint64_t most) {
  Completion bare;
  bare.task = c.task;
  bare.stream = c.stream;
  bare.arrived_ns = c.arrived_ns;
  bare.result.failure = c.result.failure;
  if (!bare.result.failure)
    bare.result.failure = {ErrorCode::kLimitExceeded,
                           "the results of this job take more than " + std::to_string(most) +
                               " bytes and were not kept; they were delivered when they came"};
  bare.result.seed = c.result.seed;
  bare.result.shots = c.result.shots;
  bare.result.device = c.result.device;
  bare.result.timing = c.result.timing;
  return bare;
}

}  // namespace

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// ---- one job

NamedJob::NamedJob(JobSpec spec, std::shared_ptr<SessionState> owner, StreamId stream, double now_s)
    : spec_(std::move(spec)), created_s_(now_s), owner_(owner), from_(owner.get()), stream_(stream) {}

double NamedJob::ended_s() const {
  std::lock_guard lock(mutex_);
  return ended_s_;
}

uint64_t NamedJob::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_ + order_.size() * kTaskBytes + spec_.metadata.size();
}

void NamedJob::adopt(const std::shared_ptr<SessionState>& owner, StreamId stream) {
  std::lock_guard lock(mutex_);
  if (auto old = owner_.lock(); old && !old->closed)
    throw Error(ErrorCode::kInvalidArgument, "a job named '" + spec_.id + "' is there already");
  owner_ = owner;
  from_ = owner.get();
  stream_ = stream;
  closed_ = false;
  ended_s_ = 0.0;
}

void NamedJob::ahead(uint64_t tasks, uint64_t completed) noexcept {
  ahead_.store(tasks, std::memory_order_relaxed);
  clock_.store(completed, std::memory_order_relaxed);
}

void NamedJob::submitted(TaskId task) {
  std::lock_guard lock(mutex_);
  if (state_.emplace(task, false).second) order_.push_back(task);
  ended_s_ = 0.0;
}

void NamedJob::closed(double now_s) {
  std::lock_guard lock(mutex_);
  closed_ = true;
  if (done() && ended_s_ == 0.0) ended_s_ = now_s;
}

void NamedJob::drop_rows(uint64_t most) {
  dropped_ = true;
  bytes_ = 0;
  for (auto& old : kept_) {
    old = without_rows(old, most);
    bytes_ += bytes_of(old);
  }
}

void NamedJob::shed(uint64_t most) {
  std::lock_guard lock(mutex_);
  if (!dropped_) drop_rows(most);
}

void NamedJob::keep(const Completion& c, uint64_t most) {
  const uint64_t size = bytes_of(c);
  if (!dropped_ && bytes_ + size > most) drop_rows(most);
  kept_.push_back(dropped_ ? without_rows(c, most) : c);
  bytes_ += dropped_ ? bytes_of(kept_.back()) : size;
}

NamedJob::Noted NamedJob::completed(const SessionState& from, std::span<const Completion> done_now, uint64_t most,
                                    double now_s) {
  Noted noted;
  auto& copies = noted.copies;
  std::lock_guard lock(mutex_);
  if (&from != from_) return noted;  // of an earlier owner: another one has submitted them again
  const uint64_t before = bytes_;
  for (const auto& c : done_now) {
    if (c.stream != stream_) continue;
    auto [found, fresh] = state_.emplace(c.task, false);
    if (fresh) order_.push_back(c.task);  // it was refused before it came this far
    if (std::exchange(found->second, true)) continue;
    ++completed_;
    if (c.result.failure) ++failed_;
    keep(c, most);
    if (listeners_.empty()) continue;
    if (copies.empty())
      for (const auto& place : listeners_) copies.push_back({place, {}});
    for (auto& [place, own] : copies) {
      own.push_back(c);
      own.back().stream = place.stream;
    }
  }
  noted.ended = done() && ended_s_ == 0.0;
  if (noted.ended) ended_s_ = now_s;
  noted.bytes = bytes_ > before ? bytes_ - before : 0;
  return noted;
}

std::vector<Completion> NamedJob::listen(const std::shared_ptr<SessionState>& session, StreamId stream) {
  std::lock_guard lock(mutex_);
  std::erase_if(listeners_, [](const Place& p) { return p.session.expired(); });
  if (listeners_.size() >= kListeners)
    throw Error(ErrorCode::kResourceExhausted,
                "job '" + spec_.id + "' has " + std::to_string(kListeners) + " listeners already", true, 1.0);
  listeners_.push_back({session, stream});
  std::vector<Completion> copies = kept_;
  for (auto& c : copies) c.stream = stream;
  return copies;
}

void NamedJob::leave(const SessionState& session, StreamId stream) {
  std::lock_guard lock(mutex_);
  std::erase_if(listeners_, [&](const Place& p) {
    const auto there = p.session.lock();
    return !there || (there.get() == &session && p.stream == stream);
  });
}

std::pair<std::shared_ptr<SessionState>, std::vector<TaskId>> NamedJob::unfinished() const {
  std::lock_guard lock(mutex_);
  std::vector<TaskId> tasks;
  for (TaskId task : order_)
    if (!state_.at(task)) tasks.push_back(task);
  return {owner_.lock(), std::move(tasks)};
}

JobInfo NamedJob::info(uint64_t completed_now) const {
  std::lock_guard lock(mutex_);
  JobInfo info;
  info.id = spec_.id;
  info.metadata = spec_.metadata;
  info.created_s = created_s_;
  info.tasks = order_.size();
  info.completed = completed_;
  info.failed = failed_;
  info.task_ids = order_;
  const bool started = started_ != 0 || completed_ != 0;
  info.state = done() ? JobState::kDone : started ? JobState::kRunning : JobState::kQueued;
  if (info.state == JobState::kQueued && info.tasks) {
    const uint64_t passed = completed_now - clock_;
    info.position = ahead_ > passed ? ahead_ - passed : 1;
  }
  return info;
}

// ---- all jobs

NamedJobPtr JobTable::open(const JobSpec& spec, const std::shared_ptr<SessionState>& owner, StreamId stream,
                           double now_s) {
  check(spec, limits_.metadata_bytes);
  std::lock_guard lock(mutex_);
  if (auto found = known_.find(spec.id); found != known_.end()) {
    (*found->second)->adopt(owner, stream);
    return *found->second;
  }
  trim(now_s, limits_.jobs - 1);
  if (order_.size() >= limits_.jobs)
    throw Error(
        ErrorCode::kResourceExhausted,
        std::to_string(order_.size()) + " unfinished jobs; at most " + std::to_string(limits_.jobs) + " are remembered",
        true, 1.0);
  auto job = std::make_shared<NamedJob>(spec, owner, stream, now_s);
  known_[spec.id] = order_.insert(order_.end(), job);
  return job;
}

NamedJobPtr JobTable::find(const std::string& id) const {
  std::lock_guard lock(mutex_);
  auto found = known_.find(id);
  if (found == known_.end())
    throw Error(ErrorCode::kNotFound, "no job '" + id.substr(0, kIdBytes) + "' is remembered here: it was never " +
                                          "submitted to this runtime, or it ended and was dropped to make room");
  return *found->second;
}

std::vector<NamedJobPtr> JobTable::list(std::span<const std::string> ids) const {
  std::lock_guard lock(mutex_);
  if (ids.empty()) return {order_.begin(), order_.end()};
  std::vector<NamedJobPtr> out;
  for (const auto& id : ids)
    if (auto found = known_.find(id); found != known_.end()) out.push_back(*found->second);
  return out;
}

void JobTable::drop(const NamedJob& job) {
  std::lock_guard lock(mutex_);
  auto found = known_.find(job.id());
  if (found == known_.end() || found->second->get() != &job) return;
  order_.erase(found->second);
  known_.erase(found);
}

void JobTable::took(uint64_t bytes, bool ended, double now_s) {
  std::lock_guard lock(mutex_);
  taken_ += bytes;
  if (!ended && taken_ < limits_.bytes / 64) return;
  trim(now_s, limits_.jobs);
}

void JobTable::trim(double now_s, size_t most_jobs) {
  taken_ = 0;
  uint64_t bytes = 0;
  std::vector<std::pair<double, std::list<NamedJobPtr>::iterator>> ended;
  for (auto it = order_.begin(); it != order_.end(); ++it) {
    bytes += (*it)->bytes();
    if (const double when = (*it)->ended_s(); when != 0.0) ended.push_back({when, it});
  }
  std::sort(ended.begin(), ended.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [when, it] : ended) {
    const bool old = now_s - when > limits_.age_s;
    if (!old && bytes <= limits_.bytes && order_.size() <= most_jobs) return;
    bytes -= std::min(bytes, (*it)->bytes());
    known_.erase((*it)->id());
    order_.erase(it);
  }
  for (auto it = order_.begin(); it != order_.end() && bytes > limits_.bytes; ++it) {  // unfinished ones alone
    const uint64_t before = (*it)->bytes();
    (*it)->shed(limits_.job_bytes);
    bytes -= std::min(bytes, before - std::min(before, (*it)->bytes()));
  }
}

}  // namespace qfw::qpm
