// A job: a stream with a name that outlives its session, in the memory of the daemon and within its limits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace qfw::qpm {

struct JobSpec {
  std::string id;        // 1 to 128 letters, digits, '.', '_', '-'
  std::string metadata;  // bytes of the client's own, given back unread
};

enum class JobState : uint8_t { kQueued = 0, kRunning = 1, kDone = 2 };

struct JobInfo {
  std::string id;
  JobState state = JobState::kQueued;
  uint64_t tasks = 0, completed = 0, failed = 0;  // failed ones are completed as well
  uint64_t position = 0;           // tasks that the devices run before its next one; 0: it runs, or is done
  double created_s = 0.0;          // seconds since the epoch
  std::string metadata;            // in answers about jobs by name
  std::vector<uint64_t> task_ids;  // in the order of submission; likewise
};

}  // namespace qfw::qpm
