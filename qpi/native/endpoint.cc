#include "qpi/native/endpoint.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <limits.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "program/native/error.h"
#include "qfw/qpm/api/v1/endpoint.pb.h"
#include "qpi/native/connect.h"

namespace qfw::qpi {
namespace fs = std::filesystem;
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string endpoint_file(const std::string& run_id) { return run_base() + "/" + run_id + "/endpoint.json"; }

// The daemon holds an exclusive lock while it lives; a shared one that we get says that it is gone.
bool locked(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool held = ::flock(fd, LOCK_SH | LOCK_NB) != 0;
  ::close(fd);
  return held;
}

// Slurm's name of the node in a job (several may share a host), else the host's; job.py has the same.
std::string node_name() {
  if (const auto node = environment("SLURMD_NODENAME"); !node.empty()) return node;
  char name[HOST_NAME_MAX + 1] = "";
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

bool is_here(const Endpoint& endpoint) { return endpoint.hostname.empty() || endpoint.hostname == node_name(); }

// Where runs of Slurm jobs lie, on the file system that the nodes share; job.py has the same.
std::string job_base() {
  if (const auto chosen = environment("QFW_RUN_BASE_DIR"); !chosen.empty()) return chosen;
  return environment("HOME") + "/.qfw/runs";
}

// The endpoint file of the run of a Slurm job: a requeued job keeps its number, and counts its restarts.
std::string job_endpoint_file(const std::string& job_id) {
  const auto cluster = environment("SLURM_CLUSTER_NAME"), restarts = environment("SLURM_RESTART_COUNT");
  return job_base() + "/" + (cluster.empty() ? "slurm" : cluster) + "-" + job_id + "." +
         (restarts.empty() ? "0" : restarts) + "/endpoint.json";
}

Endpoint named(const std::string& run_id, const char* variable) {
  const std::string path = endpoint_file(run_id), of_job = job_base() + "/" + run_id + "/endpoint.json";
  if (!fs::exists(path) && fs::exists(of_job)) return read_endpoint(of_job);
  if (!fs::exists(path))
    throw Error(ErrorCode::kUnavailable, std::string("$") + variable + " names the run \"" + run_id +
                                             "\", but there is no " + path +
                                             ": it was not started here, is not ready yet, or was torn down");
  return read_endpoint(path);
}

}  // namespace

std::string run_base() {
  const std::string runtime = environment("XDG_RUNTIME_DIR");
  if (std::error_code ignored; !runtime.empty() && fs::is_directory(runtime, ignored)) return runtime + "/qfw";
  const std::string tmp = environment("TMPDIR");
  return (tmp.empty() ? std::string("/tmp") : tmp) + "/qfw-" + std::to_string(::getuid()) + "/qfw";
}

Endpoint read_endpoint(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(ErrorCode::kUnavailable, "cannot read the endpoint file " + path + ": is the run still up?");
  std::stringstream text;
  text << file.rdbuf();
  qfw::qpm::api::v1::Endpoint message;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = google::protobuf::util::JsonStringToMessage(text.str(), &message, options);
  if (!status.ok())
    throw Error(ErrorCode::kProtocol, path + " is not an endpoint file: " + std::string(status.message()));
  if (message.version() != 1)
    throw Error(ErrorCode::kProtocol,
                path + " has version " + std::to_string(message.version()) + "; this build reads 1");
  if (message.runtime().empty()) throw Error(ErrorCode::kProtocol, path + " names no runtime address");
  const fs::path folder = fs::absolute(path).parent_path();
  auto beside = [&](const std::string& name) { return name.empty() ? name : (folder / name).string(); };
  const auto& tls = message.tls();
  return {path,
          message.run_id(),
          message.runtime(),
          message.control(),
          message.hostname(),
          message.runtime_tls(),
          {beside(tls.ca()), beside(tls.certificate()), beside(tls.key()), tls.server_name()}};
}

Reach reach(const Endpoint& endpoint) {
  const std::string wanted = environment("QFW_TRANSPORT");
  if (!wanted.empty() && wanted != "unix" && wanted != "tls")
    throw Error(ErrorCode::kInvalidArgument, "$QFW_TRANSPORT is \"" + wanted + "\"; allowed: unix, tls");
  const bool here = is_here(endpoint);
  const bool offered = !endpoint.runtime_tls.empty();
  const bool over_tls = wanted == "tls" || (wanted.empty() && offered && !here);
  if (over_tls && !offered)
    throw Error(ErrorCode::kUnavailable,
                "the run " + endpoint.run_id + " is not on the network; start it with qfw_setup.sh --tcp");
  if (over_tls) return {endpoint.runtime_tls, endpoint.tls};
  if (!here && !fs::exists(endpoint.runtime.substr(endpoint.runtime.find(':') + 1)))
    throw Error(ErrorCode::kUnavailable, "the run " + endpoint.run_id + " is on the host " + endpoint.hostname +
                                             " and not on the network; start it with qfw_setup.sh --tcp");
  return {endpoint.runtime, {}};
}

qpm::Sighting sight(const std::string& endpoint_file) {
  const fs::path lock = fs::path(endpoint_file).replace_filename("lock");
  qpm::Sighting seen;
  std::error_code ignored;
  seen.gone = !fs::exists(lock, ignored);  // a run that ends takes it along, a daemon that dies does not
  if (seen.gone) return seen;
  try {
    const Endpoint endpoint = read_endpoint(endpoint_file);
    // Locks of another host's processes do not show everywhere: there the file must do.
    seen.alive = locked(lock) || !is_here(endpoint);
    if (seen.alive) seen.address = reach(endpoint).address;
  } catch (const Error&) {  // not there, or half of it: whoever holds the lock may be about to write it
    seen.alive = locked(lock);
  }
  return seen;
}

std::vector<std::string> live_runs() {
  std::vector<std::string> found;
  std::error_code ignored;  // no directory: no run
  for (const auto& entry : fs::directory_iterator(run_base(), ignored))
    if (fs::exists(entry.path() / "endpoint.json") && locked(entry.path() / "lock"))
      found.push_back(entry.path().filename().string());
  std::sort(found.begin(), found.end());
  return found;
}

std::optional<Endpoint> find_endpoint() {
  if (const auto path = environment("QFW_ENDPOINT"); !path.empty()) return read_endpoint(path);
  if (const auto id = environment("QFW_RUN_ID"); !id.empty()) return named(id, "QFW_RUN_ID");
  if (const auto id = environment("SLURM_JOB_ID"); !id.empty())
    for (const auto& path : {job_endpoint_file(id), endpoint_file(id)})
      if (fs::exists(path)) return read_endpoint(path);
  const auto live = live_runs();
  if (live.empty()) return std::nullopt;
  if (live.size() == 1) return read_endpoint(endpoint_file(live.front()));
  std::string names;
  for (const auto& id : live) names += (names.empty() ? "" : ", ") + id;
  throw Error(ErrorCode::kInvalidArgument, std::to_string(live.size()) + " runs are live (" + names +
                                               "); choose one with $QFW_RUN_ID or $QFW_ENDPOINT");
}

}  // namespace qfw::qpi
