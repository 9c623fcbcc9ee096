// Where the services of a run are: found by the environment and the run directories, in the order that
// qfw.qpm.run uses too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "qpm/api/native/session.h"

namespace qfw::qpi {

struct Endpoint {
  std::string path;  // of endpoint.json
  std::string run_id;
  std::string runtime;      // "unix:/path"
  std::string control;      // "unix:/path"
  std::string hostname;     // of the daemon
  std::string runtime_tls;  // "host:port"; "": not on the network
  qpm::TlsFiles tls;        // absolute paths
};

// Where to connect to.
struct Reach {
  std::string address;
  qpm::TlsFiles tls;
};

// The unix socket on the daemon's own host, else TLS where it is offered; $QFW_TRANSPORT ("unix", "tls") decides
// otherwise. Throws kUnavailable when there is no such way, kInvalidArgument for another word.
Reach reach(const Endpoint& endpoint);

// Directory that holds the run directories: $XDG_RUNTIME_DIR/qfw, else ${TMPDIR:-/tmp}/qfw-$UID/qfw.
std::string run_base();

// Reads an endpoint.json. Throws kUnavailable (no such file), kProtocol (not what it should be).
Endpoint read_endpoint(const std::string& path);

// Ids of the runs whose daemon holds its lock, sorted.
std::vector<std::string> live_runs();

// $QFW_ENDPOINT, else $QFW_RUN_ID, else the run of the Slurm job ($SLURM_JOB_ID) when there is one, else the only live
// run of this machine; nothing when none is live. Throws kUnavailable when a named one is not there, kInvalidArgument
// when several are live.
std::optional<Endpoint> find_endpoint();

}  // namespace qfw::qpi
