// What the wire alone costs: a bidirectional gRPC stream over a unix socket that echoes a message of 1 KB, with
// nothing else. Prints {"microseconds": [...]}, one per round trip.
//
//   grpc_echo [ROUND TRIPS]

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/method_handler.h>
#include <grpcpp/impl/codegen/rpc_method.h>
#include <grpcpp/impl/codegen/rpc_service_method.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/impl/codegen/sync_stream.h>
#include <grpcpp/support/byte_buffer.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace {

using grpc::ByteBuffer;
using Stream = grpc::ServerReaderWriter<ByteBuffer, ByteBuffer>;

constexpr char kMethod[] = "/qfw.benchmarks.Echo/Echo";

class Echo : public grpc::Service {
 public:
  Echo() {
    AddMethod(
        new grpc::internal::RpcServiceMethod(kMethod, grpc::internal::RpcMethod::BIDI_STREAMING,
                                             new grpc::internal::BidiStreamingHandler<Echo, ByteBuffer, ByteBuffer>(
                                                 [](Echo*, grpc::ServerContext*, Stream* stream) {
                                                   ByteBuffer message;
                                                   while (stream->Read(&message)) stream->Write(message);
                                                   return grpc::Status::OK;
                                                 },
                                                 this)));
  }
};

std::vector<double> measure(const std::string& address, int round_trips) {
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  const grpc::internal::RpcMethod method(kMethod, grpc::internal::RpcMethod::BIDI_STREAMING, channel);
  const std::unique_ptr<grpc::ClientReaderWriter<ByteBuffer, ByteBuffer>> stream(
      grpc::internal::ClientReaderWriterFactory<ByteBuffer, ByteBuffer>::Create(channel.get(), method, &context));
  const std::string payload(1024, 'x');
  const grpc::Slice slice(payload);
  const ByteBuffer message(&slice, 1);
  std::vector<double> microseconds;
  ByteBuffer answer;
  for (int i = 0; i < round_trips; ++i) {
    const auto start = std::chrono::steady_clock::now();
    if (!stream->Write(message) || !stream->Read(&answer)) return {};
    microseconds.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  stream->WritesDone();
  while (stream->Read(&answer)) {
  }
  stream->Finish();
  return microseconds;
}

}  // namespace

int main(int argc, char** argv) {
  const int round_trips = argc > 1 ? atoi(argv[1]) : 2000;
  char directory[] = "/tmp/qfwb-XXXXXX";
  if (mkdtemp(directory) == nullptr) {
    perror("mkdtemp");
    return 1;
  }
  const std::string socket = std::string(directory) + "/echo";
  Echo service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::vector<double> found;
  if (server) {
    measure("unix:" + socket, std::min(round_trips, 200));  // warm-up
    found = measure("unix:" + socket, round_trips);
    server->Shutdown();
  }
  unlink(socket.c_str());
  rmdir(directory);
  if (found.empty()) {
    fprintf(stderr, "grpc_echo: no answer over %s\n", socket.c_str());
    return 1;
  }
  printf("{\"microseconds\": [");
  for (size_t i = 0; i < found.size(); ++i) printf("%s%.2f", i ? ", " : "", found[i]);
  printf("]}\n");
  return 0;
}
