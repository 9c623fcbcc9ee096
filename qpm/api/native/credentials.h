// Mutual TLS of both sides of the wire: each shows a certificate of the run's own authority and takes no other.
// gRPC negotiates TLS 1.3, and 1.2 at least.
#pragma once

#include <memory>

#include "qpm/api/native/session.h"

namespace grpc {
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

namespace qfw::qpm {

// Throw kUnavailable (a file that cannot be read), kPermissionDenied (a key that others can read), kInvalidArgument (a
// file that is not named).
std::shared_ptr<grpc::ChannelCredentials> client_credentials(const TlsFiles& files);
std::shared_ptr<grpc::ServerCredentials> server_credentials(const TlsFiles& files);

}  // namespace qfw::qpm
