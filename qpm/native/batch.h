// Completions on their way to the sinks of their sessions. Used by runtime.cc and session.cc only.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "qpm/native/runtime.h"
#include "qpm/native/session.h"

namespace qfw::qpm {

struct Runtime::Batch {
  static constexpr uint64_t kFlushNs = 50'000;  // a completion waits at most about this long for company
  static constexpr size_t kFlushCount = 64;

  explicit Batch(Runtime& r) : runtime(r) {}
  ~Batch() { flush(); }

  // Takes the job's one completion, unless another thread did.
  void complete(const JobPtr& job, Result&& result) {
    if (job->completed.exchange(true)) return;
    runtime.held_bytes_.fetch_sub(job->bytes, std::memory_order_relaxed);
    runtime.settle(*job, result);
    (result.failure ? runtime.failed_ : runtime.completed_).fetch_add(1, std::memory_order_relaxed);
    auto at = std::find_if(parts.begin(), parts.end(), [&](const auto& p) { return p.first == job->owner; });
    if (at == parts.end()) at = parts.insert(parts.end(), {job->owner, {}});
    at->second.push_back(Completion{job->task, job->stream, std::move(result), job->arrived});
    if (count++ == 0) first = now_ns();
  }

  bool due(double next_cost) const {
    return count >= kFlushCount || (count > 0 && (next_cost > kFlushNs || now_ns() - first > kFlushNs));
  }

  void flush() {
    auto full = std::exchange(parts, {});
    count = 0;
    for (auto& [owner, completions] : full) owner->deliver(std::move(completions));
  }

  Runtime& runtime;
  std::vector<std::pair<std::shared_ptr<SessionState>, std::vector<Completion>>> parts;
  size_t count = 0;
  uint64_t first = 0;
};

}  // namespace qfw::qpm
