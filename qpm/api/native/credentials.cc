#include "qpm/api/native/credentials.h"

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "program/native/error.h"

namespace qfw::qpm {
namespace {

std::string read_pem(const char* what, const std::string& path) {
  if (path.empty())
    throw Error(ErrorCode::kInvalidArgument, std::string("TLS needs a file with the ") + what +
                                                 "; none is named: connect by the run's endpoint.json");
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  if (!file || !(text << file.rdbuf()))
    throw Error(ErrorCode::kUnavailable, std::string("cannot read the ") + what + " " + path + ": " +
                                             std::strerror(errno) + "; the files of a run are where its daemon runs");
  return text.str();
}

std::string read_key(const std::string& path) {
  struct stat found;
  if (!path.empty() && stat(path.c_str(), &found) == 0 && (found.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    throw Error(ErrorCode::kPermissionDenied,
                "the key " + path + " can be used by others than its owner: chmod 600, or start the run again");
  return read_pem("key", path);
}

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> client_credentials(const TlsFiles& files) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = read_pem("certificate authority", files.ca);
  options.pem_cert_chain = read_pem("certificate", files.certificate);
  options.pem_private_key = read_key(files.key);
  return grpc::SslCredentials(options);
}

std::shared_ptr<grpc::ServerCredentials> server_credentials(const TlsFiles& files) {
  grpc::SslServerCredentialsOptions options(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = read_pem("certificate authority", files.ca);
  options.pem_key_cert_pairs.push_back({read_key(files.key), read_pem("certificate", files.certificate)});
  return grpc::SslServerCredentials(options);
}

}  // namespace qfw::qpm
