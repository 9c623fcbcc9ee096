#include "qpm/api/native/session.h"

namespace qfw::qpm {

std::shared_ptr<Session> connect_session(const std::string& address, double) {
  throw Error(ErrorCode::kUnavailable, "cannot connect to " + address + ": this build has no remote transport");
}

}  // namespace qfw::qpm
