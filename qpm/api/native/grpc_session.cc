#include "qpm/api/native/grpc_session.h"

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "qfw/qpm/api/v1/job.pb.h"
#include "qfw/qpm/api/v1/runtime.grpc.pb.h"
#include "qpm/api/native/credentials.h"

namespace qfw::qpm {
namespace {

namespace pb = api::v1;
using namespace std::chrono_literals;

constexpr auto kAnswer = 30s;  // an answer of the runtime that takes longer is a broken runtime
constexpr int kSlack = 1 << 20;

uint64_t clock_ns() { return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() / 1ns); }

bool is_local(const std::string& address) { return address.starts_with("unix:"); }

std::shared_ptr<grpc::Channel> make_channel(const std::string& address, const ConnectOptions& options,
                                            const wire::Limits& limits) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(static_cast<int>(limits.message_bytes) + kSlack);
  args.SetMaxSendMessageSize(static_cast<int>(limits.message_bytes) + kSlack);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(options.keepalive_s * 1e3));
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(options.keepalive_s * 500));
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (is_local(address)) return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), args);
  args.SetSslTargetNameOverride(options.tls.server_name);  // certificates name the run, not its host
  return grpc::CreateCustomChannel(address, client_credentials(options.tls), args);
}

void wait_connected(grpc::Channel& channel, const std::string& address, double timeout_s) {
  struct stat found;
  if (is_local(address) && stat(address.substr(5).c_str(), &found) != 0)
    throw Error(ErrorCode::kUnavailable, "no runtime at " + address + ": the socket does not exist");
  const auto end = std::chrono::system_clock::now() + std::chrono::duration<double>(timeout_s);
  const auto until = std::chrono::time_point_cast<std::chrono::system_clock::duration>(end);
  for (auto state = channel.GetState(true); state != GRPC_CHANNEL_READY; state = channel.GetState(true)) {
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE && !is_local(address)) return;  // the call says why
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN)
      throw Error(ErrorCode::kUnavailable, "no runtime answers at " + address, true, 1.0);
    if (!channel.WaitForStateChange(state, until))
      throw Error(ErrorCode::kTimeout, "no connection to " + address + " within " + std::to_string(timeout_s) + " s");
  }
}

// gRPC's threads do not survive a fork(): in a child of a process that had used it, a connection would wait for ever.
void refuse_after_fork() {
  static const pid_t first = ::getpid();
  if (::getpid() != first)
    throw Error(ErrorCode::kUnavailable,
                "process " + std::to_string(::getpid()) + " was forked from " + std::to_string(first) +
                    " after that had connected to a runtime, and gRPC does not survive a fork: start it with exec or "
                    "the 'spawn' method, or connect in the child alone");
}

}  // namespace

struct GrpcSession::Wire {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<pb::Runtime::Stub> stub;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriter<pb::ClientMessage, pb::ServerMessage>> stream;
};

// ---- connecting and closing

GrpcSession::GrpcSession(const std::string& address, const ConnectOptions& options, Lost lost)
    : address_(address), wire_(std::make_unique<Wire>()), lost_handler_(std::move(lost)) {
  refuse_after_fork();
  wire_->channel = make_channel(address, options, limits_);
  wait_connected(*wire_->channel, address, options.timeout_s);
  wire_->stub = pb::Runtime::NewStub(wire_->channel);
  wire_->stream = wire_->stub->Session(&wire_->context);
  reader_ = std::thread([this] { read(); });
  try {
    say_hello(options.timeout_s);
  } catch (...) {
    close();
    throw;
  }
}

GrpcSession::~GrpcSession() { close(); }

void GrpcSession::say_hello(double timeout_s) {
  pb::ClientMessage m;
  m.mutable_hello()->set_protocol(wire::kProtocol);
  m.mutable_hello()->set_software(QFW_VERSION);
  hello_sent_ = clock_ns();
  write(m);
  std::unique_lock lock(mutex_);
  const bool answered =
      answered_.wait_for(lock, std::chrono::duration<double>(timeout_s), [&] { return welcomed_ || lost_; });
  if (!answered)
    throw Error(ErrorCode::kTimeout, "no answer from " + address_ + " within " + std::to_string(timeout_s) + " s");
  if (lost_) lost_.raise();
  sender_ = std::make_unique<Sender>(limits_, [this](const pb::ClientMessage& message, bool more) {
    grpc::WriteOptions options;
    if (more) options.set_buffer_hint();
    return wire_->stream->Write(message, options);
  });
}

void GrpcSession::close() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
  }
  if (named_) say_bye();
  wire_->context.TryCancel();
  if (reader_.joinable()) reader_.join();
  lose({ErrorCode::kCancelled, "the session was closed"});
}

void GrpcSession::check_alive() {
  if (closed_) throw Error(ErrorCode::kClosed, "the session was closed");
  if (lost_) lost_.raise();
}

bool GrpcSession::write(const pb::ClientMessage& message, bool more) {
  grpc::WriteOptions options;
  if (more) options.set_buffer_hint();
  std::lock_guard lock(write_mutex_);
  return wire_->stream->Write(message, options);
}

// ---- what the caller asks

void GrpcSession::set_sink(Sink sink) {
  std::lock_guard lock(mutex_);
  sink_ = std::move(sink);
}

std::vector<DeviceInfo> GrpcSession::devices() {
  std::lock_guard once(devices_mutex_);
  {
    std::lock_guard lock(mutex_);
    check_alive();
    devices_.reset();
  }
  pb::ClientMessage m;
  m.mutable_query_devices();
  write(m);
  std::unique_lock lock(mutex_);
  if (!answered_.wait_for(lock, kAnswer, [&] { return devices_ || lost_; }))
    throw Error(ErrorCode::kTimeout, "the runtime did not list its devices in time");
  if (!devices_) lost_.raise();
  return *devices_;
}

void GrpcSession::open_stream(StreamId stream, std::span<const DeviceId> devices, Order order, const JobSpec* job) {
  {
    std::lock_guard lock(mutex_);
    check_alive();
    opened_.erase(stream);
  }
  pb::ClientMessage m;
  auto* open = m.mutable_open_stream();
  open->set_stream(stream);
  for (DeviceId d : devices) open->add_devices(d);
  open->set_sequential(order == Order::kSequential);
  if (job) {
    named_ = true;
    open->mutable_job()->set_id(job->id);
    open->mutable_job()->set_metadata(job->metadata);
  }
  write(m);
  await_opened(stream);
}

void GrpcSession::await_opened(StreamId stream) {
  std::unique_lock lock(mutex_);
  if (!answered_.wait_for(lock, kAnswer, [&] { return opened_.count(stream) || lost_; }))
    throw Error(ErrorCode::kTimeout, "the runtime did not open the stream in time");
  auto found = opened_.find(stream);
  if (found == opened_.end()) lost_.raise();
  const Failure failure = std::move(found->second);
  opened_.erase(found);
  if (failure) failure.raise();
}

void GrpcSession::close_stream(StreamId stream) {
  pb::ClientMessage m;
  m.mutable_close_stream()->set_stream(stream);
  write(m);
}

void GrpcSession::subscribe(std::span<const DeviceId> devices, uint32_t kinds, EventSink sink) {
  {
    std::lock_guard lock(mutex_);
    check_alive();
  }
  {
    std::lock_guard lock(events_mutex_);
    event_sink_ = kinds ? std::move(sink) : nullptr;
  }
  pb::ClientMessage m;
  auto* wanted = m.mutable_subscribe();
  for (int kind = 0; kAllEvents >> kind; ++kind)
    if (kinds >> kind & 1) wanted->add_kinds(static_cast<pb::EventKind>(kind));
  for (DeviceId d : devices) wanted->add_devices(d);
  write(m);
}

void GrpcSession::tell(const pb::Events& events) {
  std::vector<Event> told;
  for (const auto& e : events.events()) told.push_back(wire::take(e));
  std::lock_guard lock(events_mutex_);
  if (event_sink_ && !told.empty()) event_sink_(std::move(told));
}

void GrpcSession::cancel(std::span<const TaskId> tasks) {
  pb::ClientMessage m;
  for (TaskId t : tasks) m.mutable_cancel()->add_tasks(t);
  write(m);
}

void GrpcSession::submit(std::vector<Task>&& tasks) {
  std::vector<const Task*> pointers;
  pointers.reserve(tasks.size());
  for (const Task& t : tasks) pointers.push_back(&t);
  send(pointers);
}

void GrpcSession::send(std::span<const Task* const> tasks) {
  if (tasks.empty()) throw Error(ErrorCode::kInvalidArgument, "0 tasks submitted; at least 1 is needed");
  const uint64_t now = clock_ns();
  {
    std::lock_guard lock(mutex_);
    check_alive();
    if (pending_.size() + tasks.size() > window_)
      throw Error(ErrorCode::kResourceExhausted,
                  std::to_string(tasks.size()) + " tasks submitted with " + std::to_string(pending_.size()) +
                      " unfinished; the session's window is " + std::to_string(window_),
                  true, 0.01);
    for (const Task* t : tasks)
      if (pending_.count(t->id))
        throw Error(ErrorCode::kInvalidArgument, "task id " + std::to_string(t->id) + " is in use in this session");
    for (const Task* t : tasks) pending_.emplace(t->id, Pending{t->stream, t->bindings.rows, now, {}});
  }
  std::vector<std::pair<size_t, Failure>> refused;
  {
    std::lock_guard lock(write_mutex_);
    refused = sender_->submit(tasks);  // a write that fails is the reader's to report
  }
  std::vector<Completion> done;
  for (auto& [i, failure] : refused) {
    std::lock_guard lock(mutex_);
    auto node = pending_.extract(tasks[i]->id);
    if (node.empty()) continue;
    Result r;
    r.failure = std::move(failure);
    done.push_back(finish(node.key(), std::move(node.mapped()), std::move(r), 0));
  }
  if (!done.empty()) sink_(std::move(done));
  Failure lost;
  {
    std::lock_guard lock(mutex_);
    lost = lost_;
  }
  if (lost) lose(std::move(lost));  // the reader had ended before these were known to it
}

// ---- what the runtime sends

void GrpcSession::read() {
  pb::ServerMessage message;
  while (wire_->stream->Read(&message)) receive(message);
  const grpc::Status status = wire_->stream->Finish();
  std::string words = "the connection to " + address_ + " was lost";
  if (!status.ok() && !status.error_message().empty()) words += ": " + status.error_message();
  const bool refused = status.error_code() == grpc::StatusCode::UNAVAILABLE && !welcomed_;
  const bool untrusted = words.find("andshake") != std::string::npos || words.find("ertificate") != std::string::npos;
  if (refused && untrusted)  // gRPC has no code for it
    lose({ErrorCode::kPermissionDenied, words + "; both sides need certificates of the same run, not expired"});
  else
    lose({refused ? ErrorCode::kUnavailable : ErrorCode::kConnectionLost, std::move(words), true, 1.0});
  if (!lost_handler_) return;
  std::unique_lock lock(mutex_);
  if (closed_) return;
  Failure reason = lost_;
  lock.unlock();
  lost_handler_(std::move(reason));
}

void GrpcSession::receive(pb::ServerMessage& m) {
  switch (m.kind_case()) {
    case pb::ServerMessage::kCompletions:
      return complete(m.completions());
    case pb::ServerMessage::kChunk:
      return take(m.chunk());
    case pb::ServerMessage::kRows:
      return take(m.rows());
    case pb::ServerMessage::kWelcome:
      return welcome(m.welcome());
    case pb::ServerMessage::kFailure:
      lose(wire::take(m.failure()));
      return wire_->context.TryCancel();  // nothing follows, and the server need not wait for this side
    case pb::ServerMessage::kOpened: {
      std::lock_guard lock(mutex_);
      Failure failure = m.opened().has_failure() ? wire::take(m.opened().failure()) : Failure{};
      if (!failure && m.opened().has_job()) failure = attached(m.opened());
      opened_[m.opened().stream()] = std::move(failure);
      break;
    }
    case pb::ServerMessage::kDevices: {
      std::lock_guard lock(mutex_);
      devices_.emplace();
      for (const auto& d : m.devices().devices()) devices_->push_back(wire::take(d));
      break;
    }
    case pb::ServerMessage::kJobs: {
      std::lock_guard lock(mutex_);
      listed(m.jobs());
      break;
    }
    case pb::ServerMessage::kEvents:
      return tell(m.events());
    case pb::ServerMessage::KIND_NOT_SET:
      return;  // of a later version
  }
  answered_.notify_all();
}

void GrpcSession::welcome(const pb::Welcome& w) {
  const uint64_t now = clock_ns();
  if (w.protocol() != wire::kProtocol)
    return lose({ErrorCode::kProtocol, "the runtime speaks protocol " + std::to_string(w.protocol()) +
                                           "; this client speaks " + std::to_string(wire::kProtocol)});
  std::lock_guard lock(mutex_);
  window_ = w.window();
  const auto& l = w.limits();
  limits_ = {l.message_bytes(), l.inline_bytes(), l.chunk_bytes(), l.program_bytes(), l.task_bytes(), 0};
  limits_.chunk_bytes = std::clamp<uint64_t>(limits_.chunk_bytes & ~7ull, 8, 32u << 20);
  // Processes of one host share the monotonic clock; between hosts the greeting is the estimate.
  const bool same_host = is_local(address_);
  const uint64_t middle = hello_sent_ + (now - hello_sent_) / 2;
  clock_offset_ = same_host ? 0 : static_cast<int64_t>(w.clock_ns()) - static_cast<int64_t>(middle);
  welcomed_ = true;
  answered_.notify_all();
}

RowResult* GrpcSession::row(TaskId task, uint32_t index) {
  auto found = pending_.find(task);
  if (found == pending_.end() || index >= found->second.rows) return nullptr;
  auto& rows = found->second.received;
  if (rows.size() <= index) rows.resize(found->second.rows == kAnyRows ? index + 1 : found->second.rows);
  return &rows[index];
}

// Pieces of tasks that this side has given up are dropped.
void GrpcSession::take(const pb::ArrayChunk& chunk) {
  std::unique_lock lock(mutex_);
  RowResult* r = row(chunk.task(), chunk.row());
  if (!r || r->failure) return;
  if (Failure f = wire::take(chunk, *r)) r->failure = std::move(f);
}

void GrpcSession::take(const pb::RowBlock& block) {
  std::lock_guard lock(mutex_);
  for (int i = 0; i < block.rows_size(); ++i) {
    RowResult* r = row(block.task(), block.first() + static_cast<uint32_t>(i));
    if (!r) return;
    if (Failure f = wire::take(block.rows(i), *r)) r->failure = std::move(f);
  }
}

void GrpcSession::complete(const pb::Completions& completions) {
  std::vector<Completion> done;
  {
    std::lock_guard lock(mutex_);
    for (const auto& c : completions.completions()) {
      auto node = pending_.extract(c.task());
      if (node.empty()) continue;
      Pending& pending = node.mapped();
      Result r;
      uint64_t arrived = 0;
      wire::take(c.result(), r, arrived);
      r.rows = std::move(pending.received);
      const auto n = static_cast<size_t>(c.result().rows_size());
      if (r.rows.size() < n) r.rows.resize(n);
      for (size_t i = 0; i < n; ++i)
        if (Failure f = wire::take(c.result().rows(static_cast<int>(i)), r.rows[i])) r.rows[i].failure = std::move(f);
      for (const auto& row : r.rows)
        if (row.failure && !r.failure) r.failure = row.failure;
      done.push_back(finish(c.task(), std::move(pending), std::move(r), arrived));
    }
  }
  if (!done.empty()) sink_(std::move(done));
}

// The parts of the time that the runtime cannot know, so that all parts add up to what passed here.
Completion GrpcSession::finish(TaskId task, Pending&& pending, Result&& result, uint64_t arrived) {
  if (!pending.submitted) return {task, pending.stream, std::move(result), arrived};
  const uint64_t wall = clock_ns() - pending.submitted;
  Timing& t = result.timing;
  const uint64_t inside = t.queue_ns + t.dispatch_ns + t.execute_ns;
  const uint64_t outside = wall > inside ? wall - inside : 0;
  const int64_t there = static_cast<int64_t>(arrived) - clock_offset_ - static_cast<int64_t>(pending.submitted);
  t.transfer_ns = arrived ? static_cast<uint64_t>(std::clamp<int64_t>(there, 0, static_cast<int64_t>(outside))) : 0;
  t.return_ns = outside - t.transfer_ns;
  return {task, pending.stream, std::move(result), arrived};
}

void GrpcSession::lose(Failure reason) {
  std::vector<Completion> done;
  {
    std::lock_guard lock(mutex_);
    if (closed_) reason = {ErrorCode::kCancelled, "the session was closed"};
    if (!lost_) lost_ = reason;
    if (lost_handler_ && !closed_)  // what another session submitted ends here
      std::erase_if(pending_, [](const auto& p) { return p.second.submitted != 0; });
    Failure failure = lost_;
    if (!closed_ && failure.code != ErrorCode::kUnavailable) failure.code = ErrorCode::kConnectionLost;
    for (auto& [task, pending] : std::exchange(pending_, {})) {
      Result r;
      r.failure = failure;
      done.push_back(finish(task, std::move(pending), std::move(r), 0));
    }
  }
  answered_.notify_all();
  if (!done.empty() && sink_) sink_(std::move(done));
}

}  // namespace qfw::qpm
