// The Runtime service: a runtime behind a socket.
#pragma once

#include <memory>
#include <string>

#include "qpm/api/native/wire.h"
#include "qpm/native/runtime.h"

namespace qfw::qpm {

class GrpcServer {
 public:
  // Listens on "unix:/path" (the socket gets mode 0600) or, in tests, "127.0.0.1:0". Throws kUnavailable.
  GrpcServer(std::shared_ptr<Runtime> runtime, const std::string& address, const wire::Limits& limits = {});
  ~GrpcServer();

  const std::string& address() const noexcept;  // with the port that was bound

  // Refuses new sessions, gives unfinished tasks `grace_s` seconds, then ends all sessions. Idempotent.
  void stop(double grace_s);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qfw::qpm
