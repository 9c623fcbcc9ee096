// The Runtime service: a runtime behind a socket.
#pragma once

#include <memory>
#include <string>

#include "qpm/api/native/wire.h"
#include "qpm/native/runtime.h"

namespace qfw::qpm {

// A network address, "host:port" (port 0: a free one), where clients must show a certificate of the same authority.
struct TlsListen {
  std::string address;  // "": not on the network
  TlsFiles files;
};

struct Keepalive {
  double permit_s = 10.0;  // clients may ping an idle connection so often
  double ping_s = 60.0;    // between pings of a silent client; one that does not answer for half as long again is gone
};

class GrpcServer {
 public:
  // Listens on "unix:/path" (the socket gets mode 0600; "" with `tls`: on no socket), and on `tls`. Never on a network
  // address without TLS. Throws kUnavailable, kInvalidArgument, kPermissionDenied.
  GrpcServer(std::shared_ptr<Runtime> runtime, const std::string& address, const wire::Limits& limits = {},
             const TlsListen& tls = {}, const Keepalive& keepalive = {});
  ~GrpcServer();

  const std::string& address() const noexcept;
  const std::string& tls_address() const noexcept;  // with the port that was bound; "": none

  // Refuses new sessions and new tasks, gives unfinished ones `grace_s` seconds, completes the rest as kUnavailable
  // (transient), then ends all sessions; with 0 the sessions end at once and without a word. Idempotent.
  void stop(double grace_s);
  void hurry() noexcept;  // a stop() under way waits for no task any longer

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qfw::qpm
