// Until the transports are linked in: definitions that give way to the real ones.
#include "qpm/api/native/session.h"

namespace qfw::qpm {

__attribute__((weak)) std::shared_ptr<Session> embedded_session() {
  throw Error(ErrorCode::kUnavailable, "this build has no embedded runtime");
}

__attribute__((weak)) std::shared_ptr<Session> connect_session(const std::string& address, double) {
  throw Error(ErrorCode::kUnavailable, "this build has no transport to " + address);
}

}  // namespace qfw::qpm
