#include "simenv/native/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace qfw::simenv {

namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

// The number after `key` in a file of "key number" lines; the first number of the file when the key is empty.
bool read_number(const std::string& path, const std::string& key, uint64_t& value) {
  std::ifstream file(path);
  if (key.empty()) return static_cast<bool>(file >> value);  // "max" does not read
  for (std::string word; file >> word;)
    if (word == key) return static_cast<bool>(file >> value);
  return false;
}

// What one control group leaves; its page cache that can be dropped counts as free.
uint64_t group_leaves(const std::string& folder, const char* limit_file, const char* usage_file,
                      const char* cache_key) {
  uint64_t limit = 0, usage = 0, cache = 0;
  if (!read_number(folder + "/" + limit_file, "", limit) || !read_number(folder + "/" + usage_file, "", usage))
    return kUnlimited;
  read_number(folder + "/memory.stat", cache_key, cache);
  usage -= std::min(usage, cache);
  return limit > usage ? limit - usage : 0;
}

// Every group from that of the process up to the root of the mount.
uint64_t groups_leave(const std::string& mount, std::string path, bool v2) {
  uint64_t least = kUnlimited;
  for (;;) {
    least = std::min(least, v2 ? group_leaves(mount + path, "memory.max", "memory.current", "inactive_file")
                               : group_leaves(mount + path, "memory.limit_in_bytes", "memory.usage_in_bytes",
                                              "total_inactive_file"));
    if (path.empty()) return least;
    const size_t slash = path.find_last_of('/');
    path.resize(slash == std::string::npos ? 0 : slash);
  }
}

uint64_t control_groups_leave() {
  uint64_t least = kUnlimited;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "0::/path" (v2) or "9:memory,cpu:/path" (v1)
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1) == "/" ? "" : line.substr(second + 1);
    if (controllers == ",,") {
      least = std::min(
          {least, groups_leave("/sys/fs/cgroup", path, true), groups_leave("/sys/fs/cgroup/unified", path, true)});
    } else if (controllers.find(",memory,") != std::string::npos) {
      least = std::min(least, groups_leave("/sys/fs/cgroup/memory", path, false));
    }
  }
  return least;
}

uint64_t address_space_leaves() {
  rlimit limit{};
  uint64_t pages = 0;
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kUnlimited;
  if (!read_number("/proc/self/statm", "", pages)) return limit.rlim_cur;
  const uint64_t used = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

}  // namespace

uint64_t memory_available() noexcept {
  try {
    uint64_t kib = 0;
    const uint64_t machine = read_number("/proc/meminfo", "MemAvailable:", kib) ? kib * 1024 : kUnlimited;
    return std::min({machine, control_groups_leave(), address_space_leaves()});
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

}  // namespace qfw::simenv
