#include "qpm/native/server_grpc.h"

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "qfw/qpm/api/v1/runtime.grpc.pb.h"
#include "qpm/api/native/credentials.h"
#include "qpm/native/connection.h"

namespace qfw::qpm {
namespace {

namespace pb = api::v1;
using namespace std::chrono_literals;

int milliseconds(double seconds) { return static_cast<int>(seconds * 1e3); }

constexpr int kKeptTasks = 64;  // a message object keeps the memory of its largest content
constexpr auto kFarewell = 2s;  // for clients to take their last completions

using Stream = grpc::ServerReaderWriter<pb::ServerMessage, pb::ClientMessage>;

class Service final : public pb::Runtime::Service {
 public:
  Service(std::shared_ptr<Runtime> runtime, const wire::Limits& limits)
      : runtime_(std::move(runtime)), limits_(limits) {}

  grpc::Status Session(grpc::ServerContext* context, Stream* stream) override {
    if (!enter(context)) return {grpc::StatusCode::UNAVAILABLE, "the runtime is being stopped"};
    {
      Connection connection(
          runtime_, limits_,
          [context, stream](const pb::ServerMessage& message, bool more) {
            grpc::WriteOptions options;
            if (more) options.set_buffer_hint();
            if (stream->Write(message, options)) return true;
            context->TryCancel();  // so that the reader ends as well
            return false;
          },
          [context] { context->TryCancel(); });
      add(context, &connection);
      std::thread writer([&connection] { connection.write_until_closed(); });
      pb::ClientMessage message;
      while (stream->Read(&message) && connection.handle(message))
        if (message.submit().tasks_size() > kKeptTasks) pb::ClientMessage().Swap(&message);
      add(context, nullptr);
      connection.close();
      writer.join();
    }
    leave(context);
    return grpc::Status::OK;
  }

  // From now on no session begins.
  void refuse() {
    std::lock_guard lock(mutex_);
    refusing_ = true;
  }

  // Tells every client the end, after all of its completions; false when one has not left until then.
  bool finish(const Failure& reason, std::chrono::steady_clock::time_point until) {
    std::unique_lock lock(mutex_);
    for (auto& [context, connection] : connections_)
      if (connection) connection->finish(reason);
    return left_.wait_until(lock, until, [this] { return connections_.empty(); });
  }

  void cancel_all() {
    std::lock_guard lock(mutex_);
    for (auto& [context, connection] : connections_) context->TryCancel();
  }

 private:
  bool enter(grpc::ServerContext* context) {
    std::lock_guard lock(mutex_);
    if (refusing_) return false;
    connections_[context] = nullptr;
    return true;
  }
  void add(grpc::ServerContext* context, Connection* connection) {
    std::lock_guard lock(mutex_);
    connections_[context] = connection;
  }
  void leave(grpc::ServerContext* context) {
    std::lock_guard lock(mutex_);
    connections_.erase(context);
    left_.notify_all();
  }

  std::shared_ptr<Runtime> runtime_;
  const wire::Limits limits_;
  std::mutex mutex_;
  std::condition_variable left_;
  std::map<grpc::ServerContext*, Connection*> connections_;  // null: not there yet, or leaving
  bool refusing_ = false;
};

}  // namespace

struct GrpcServer::Impl {
  Impl(std::shared_ptr<Runtime> r, const wire::Limits& limits) : runtime(r), service(std::move(r), limits) {}
  std::shared_ptr<Runtime> runtime;
  Service service;
  std::unique_ptr<grpc::Server> server;
  std::string address, tls_address;
  std::mutex mutex;
  bool stopped = false;
  std::atomic<bool> hurried{false};
};

GrpcServer::GrpcServer(std::shared_ptr<Runtime> runtime, const std::string& address, const wire::Limits& limits,
                       const TlsListen& tls, const Keepalive& keepalive)
    : impl_(std::make_unique<Impl>(std::move(runtime), limits)) {
  const bool local = !address.empty() || tls.address.empty();
  if (local && !address.starts_with("unix:"))
    throw Error(ErrorCode::kInvalidArgument, "cannot listen on " + address + " without TLS; only on unix:/path");
  grpc::ServerBuilder builder;
  int port = 0;
  if (local) builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  if (!tls.address.empty()) builder.AddListeningPort(tls.address, server_credentials(tls.files), &port);
  builder.RegisterService(&impl_->service);
  builder.SetMaxReceiveMessageSize(static_cast<int>(limits.message_bytes));
  builder.SetMaxSendMessageSize(static_cast<int>(limits.message_bytes));
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 100);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 16 * 1024);
  // The argument's text is "grpc.http2.min_ping_interval_without_data_ms"; another spelling is ignored, and clients
  // that ping an idle connection are then sent away.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, milliseconds(keepalive.permit_s));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(keepalive.ping_s));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(keepalive.ping_s / 2));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  impl_->server = builder.BuildAndStart();
  const std::string both = address + (!local || tls.address.empty() ? "" : " and ") + tls.address;
  if (!impl_->server) throw Error(ErrorCode::kUnavailable, "cannot listen on " + both);
  impl_->address = address;
  if (local && chmod(address.substr(5).c_str(), S_IRUSR | S_IWUSR) != 0) {
    stop(0.0);
    throw Error(ErrorCode::kUnavailable, "cannot restrict the mode of the socket " + address);
  }
  if (const auto colon = tls.address.rfind(':'); colon != std::string::npos)
    impl_->tls_address = tls.address.substr(0, colon + 1) + std::to_string(port);
}

GrpcServer::~GrpcServer() { stop(0.0); }

const std::string& GrpcServer::address() const noexcept { return impl_->address; }
const std::string& GrpcServer::tls_address() const noexcept { return impl_->tls_address; }

void GrpcServer::hurry() noexcept { impl_->hurried = true; }

void GrpcServer::stop(double grace_s) {
  std::lock_guard once(impl_->mutex);
  if (std::exchange(impl_->stopped, true)) return;
  impl_->service.refuse();
  if (grace_s > 0) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(grace_s);
    impl_->runtime->drain();
    for (;;) {
      const RuntimeStats s = impl_->runtime->stats();
      if (s.queued + s.running == 0 || impl_->hurried || std::chrono::steady_clock::now() >= end) break;
      std::this_thread::sleep_for(5ms);
    }
    impl_->runtime->abandon({ErrorCode::kUnavailable, "the runtime was stopped before the task was done", true, 1.0});
    impl_->service.finish({ErrorCode::kUnavailable, "the runtime was stopped", true, 1.0},
                          std::chrono::steady_clock::now() + kFarewell);
  }
  impl_->service.cancel_all();
  impl_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
  impl_->server->Wait();
}

}  // namespace qfw::qpm
