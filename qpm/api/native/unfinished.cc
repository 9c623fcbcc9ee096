#include "qpm/api/native/unfinished.h"

#include <algorithm>
#include <string>
#include <utility>

namespace qfw::qpm {
namespace {

Failure cancelled() { return {ErrorCode::kCancelled, "the task was cancelled while there was no runtime"}; }

}  // namespace

uint64_t Unfinished::deadline(const Record& r) noexcept {
  return r.task->deadline_ns ? r.submitted + r.task->deadline_ns : UINT64_MAX;
}

bool Unfinished::add(TaskPtr task, uint64_t now) {
  const TaskId id = task->id;
  Record& r = all_[id];
  r.task = std::move(task);
  r.submitted = r.sent = now;
  r.order = ++orders_;
  r.in_flight = connected_ && waiting_.empty() && !careful();
  if (!r.in_flight) waiting_.push_back(id);
  in_flight_ += r.in_flight;
  return r.in_flight;
}

Unfinished::Entry Unfinished::remove(Records::iterator at) {
  Record& r = at->second;
  in_flight_ -= r.in_flight;
  suspects_ -= r.suspect;
  Entry entry = std::move(r);
  all_.erase(at);
  return entry;
}

Unfinished::Ended Unfinished::end(Records::iterator at, Failure failure) { return {remove(at), std::move(failure)}; }

std::optional<Unfinished::Entry> Unfinished::take(TaskId id) {
  auto found = all_.find(id);
  if (found == all_.end()) return std::nullopt;
  deaths_ = 0;
  return remove(found);
}

std::optional<Unfinished::Ended> Unfinished::cancel(TaskId id) {
  auto found = all_.find(id);
  if (found == all_.end()) return std::nullopt;
  found->second.cancelled = true;
  if (found->second.in_flight) return std::nullopt;
  return end(found, cancelled());
}

std::vector<Unfinished::Ended> Unfinished::cancel_stream(StreamId stream, std::vector<TaskId>* in_flight) {
  std::vector<TaskId> ids;
  for (const auto& [id, r] : all_)
    if (r.task->stream == stream) ids.push_back(id);
  std::sort(ids.begin(), ids.end(), [&](TaskId a, TaskId b) { return all_.at(a).order < all_.at(b).order; });
  std::vector<Ended> out;
  for (TaskId id : ids) {
    if (auto ended = cancel(id))
      out.push_back(std::move(*ended));
    else if (in_flight)
      in_flight->push_back(id);
  }
  return out;
}

std::vector<Unfinished::Ended> Unfinished::lost() {
  connected_ = false;
  std::vector<Ended> out;
  if (in_flight_ == 0) return out;
  ++deaths_;
  const bool alone = careful();
  const bool begin = !alone && deaths_ >= policy_.suspicion;
  std::vector<std::pair<uint64_t, TaskId>> order;
  for (auto at = all_.begin(); at != all_.end();) {
    Record& r = at->second;
    const bool flew = r.in_flight;
    if (flew && r.cancelled) {
      out.push_back(end(at++, cancelled()));
      continue;
    }
    if (flew && alone && ++r.blamed >= policy_.blame) {
      const std::string words = "the runtime died " + std::to_string(r.blamed) +
                                " times while this task alone was in its hands: it is not submitted again";
      out.push_back(end(at++, {ErrorCode::kDeviceLost, words}));
      continue;
    }
    if (flew && begin) {
      r.suspect = true;
      ++suspects_;
    }
    r.in_flight = false;
    order.emplace_back(r.order, at->first);
    ++at;
  }
  in_flight_ = 0;
  std::sort(order.begin(), order.end());
  waiting_.clear();
  for (auto [number, id] : order) waiting_.push_back(id);
  return out;
}

bool Unfinished::has_next() const noexcept { return connected_ && !waiting_.empty() && !(careful() && in_flight_ > 0); }

std::vector<TaskPtr> Unfinished::next(uint64_t now) {
  std::vector<TaskPtr> out;
  while (has_next()) {
    auto found = all_.find(waiting_.front());
    waiting_.pop_front();
    if (found == all_.end() || found->second.in_flight) continue;
    Record& r = found->second;
    if (deadline(r) <= now) {  // expire() ends it
      waiting_.push_front(found->first);
      break;
    }
    r.in_flight = true;
    r.sent = now;
    ++in_flight_;
    if (r.task->deadline_ns) {  // what is left of it
      auto again = std::make_shared<Task>(*r.task);
      again->deadline_ns = deadline(r) - now;
      out.push_back(std::move(again));
    } else {
      out.push_back(r.task);
    }
  }
  return out;
}

std::vector<Unfinished::Ended> Unfinished::expire(uint64_t now) {
  std::vector<Ended> out;
  for (TaskId id : waiting_) {
    auto found = all_.find(id);
    if (found == all_.end() || found->second.in_flight || deadline(found->second) > now) continue;
    out.push_back(
        end(found, {ErrorCode::kDeadlineExceeded, "the deadline passed while the task waited for a runtime"}));
  }
  return out;
}

uint64_t Unfinished::next_deadline() const noexcept {
  uint64_t first = UINT64_MAX;
  for (TaskId id : waiting_) {
    auto found = all_.find(id);
    if (found != all_.end() && !found->second.in_flight) first = std::min(first, deadline(found->second));
  }
  return first;
}

std::vector<Unfinished::Ended> Unfinished::end_all(const Failure& failure) {
  std::vector<std::pair<uint64_t, TaskId>> order;
  for (const auto& [id, r] : all_) order.emplace_back(r.order, id);
  std::sort(order.begin(), order.end());
  std::vector<Ended> out;
  for (auto [number, id] : order) out.push_back(end(all_.find(id), failure));
  waiting_.clear();
  return out;
}

}  // namespace qfw::qpm
