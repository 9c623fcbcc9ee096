// How a context comes to its session, and where a session looks for a runtime that it has lost.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "qpm/api/native/session.h"

namespace qfw::qpi {

struct ConnectWish {
  double timeout_s = 10.0;
  // How long a lost runtime is waited for. Absent: $QFW_RECONNECT, else what the run lets expect: 30 s while somebody
  // holds its place, 3 s when nobody does, and not at all for a bare address. 0: not at all.
  std::optional<double> reconnect_s;
};

// `endpoint`: as for Context::connect.
std::shared_ptr<qpm::Session> open_session(const std::string& endpoint, const ConnectWish& wish);

// What is to be seen of the run that this endpoint.json belongs to.
qpm::Sighting sight(const std::string& endpoint_file);

}  // namespace qfw::qpi
