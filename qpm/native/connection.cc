#include "qpm/native/connection.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <utility>

#include "qfw/qpm/api/v1/job.pb.h"
#include "qfw/qpm/api/v1/runtime.pb.h"

namespace qfw::qpm {
namespace {

namespace pb = api::v1;

[[noreturn]] void broken(const std::string& words) { throw Error(ErrorCode::kProtocol, words); }

program::Hash hash_of(const std::string& bytes) {
  program::Hash h;
  if (bytes.size() != h.size())
    broken("a program's hash has " + std::to_string(bytes.size()) + " bytes; 32 are needed");
  std::memcpy(h.data(), bytes.data(), h.size());
  return h;
}

}  // namespace

Connection::Connection(std::shared_ptr<Runtime> runtime, const wire::Limits& limits, Outbox::Write write, Abort abort)
    : runtime_(std::move(runtime)),
      limits_(limits),
      abort_(std::move(abort)),
      programs_(limits.program_bytes),
      outbox_(limits, std::move(write), [this](bool pressed) {
        if (session_) session_->pause(pressed);
      }) {}

Connection::~Connection() { close(); }

void Connection::close() {
  outbox_.close();
  if (session_) session_->leave();
}

void Connection::finish(const Failure& reason) {
  pb::ServerMessage out;
  wire::put(reason, *out.mutable_failure());
  outbox_.finish(out);
}

bool Connection::handle(const pb::ClientMessage& m) {
  reader_ = std::this_thread::get_id();
  Failure failure;
  try {
    switch (m.kind_case()) {
      case pb::ClientMessage::kHello:
        hello(m.hello());
        break;
      case pb::ClientMessage::kPutProgram:
        put_program(m.put_program());
        break;
      case pb::ClientMessage::kOpenStream:
        open_stream(m.open_stream());
        break;
      case pb::ClientMessage::kCloseStream:
        session().close_stream(m.close_stream().stream());
        break;
      case pb::ClientMessage::kChunk:
        chunk(m.chunk());
        break;
      case pb::ClientMessage::kSubmit:
        submit(m.submit());
        break;
      case pb::ClientMessage::kCancel: {
        const std::vector<TaskId> tasks(m.cancel().tasks().begin(), m.cancel().tasks().end());
        session().cancel(tasks);
        break;
      }
      case pb::ClientMessage::kQueryDevices:
        send_devices();
        break;
      case pb::ClientMessage::kSubscribe:
        subscribe(m.subscribe());
        break;
      case pb::ClientMessage::kAttachJob:
        attach(m.attach_job());
        break;
      case pb::ClientMessage::kQueryJobs:
        send_jobs(m.query_jobs());
        break;
      case pb::ClientMessage::kForgetJob:
        forget(m.forget_job().job());
        break;
      case pb::ClientMessage::kBye:
        return false;
      case pb::ClientMessage::KIND_NOT_SET:
        broken("a message of no known kind");
    }
    outbox_.drain(true);
    check_taken();
    return true;
  } catch (const Error& e) {
    failure = Failure::of(e);
  } catch (const std::exception& e) {
    failure = {ErrorCode::kInternal, e.what()};
  }
  pb::ServerMessage out;
  wire::put(failure, *out.mutable_failure());
  outbox_.send(out);
  return false;
}

LocalSession& Connection::session() const {
  if (!session_) broken("the first message was not Hello");
  return *session_;
}

void Connection::hello(const pb::Hello& hello) {
  if (session_) broken("Hello came twice");
  if (hello.protocol() != wire::kProtocol)
    broken("protocol " + std::to_string(hello.protocol()) + " (client " + hello.software() + "); this server speaks " +
           std::to_string(wire::kProtocol) + " (" QFW_VERSION ")");
  const double weight = hello.weight() == 0.0 ? 1.0 : hello.weight();
  if (!std::isfinite(weight) || weight < 1e-3 || weight > 1e3)
    broken("weight " + std::to_string(weight) + "; allowed 0.001 to 1000");
  session_ = std::static_pointer_cast<LocalSession>(runtime_->session(weight));
  session_->set_sink([this](std::vector<Completion>&& done) {
    // What is done inside handle() leaves at its end, without waking the writer.
    outbox_.push(std::move(done), std::this_thread::get_id() != reader_.load());
  });
  pb::ServerMessage out;
  auto* w = out.mutable_welcome();
  w->set_protocol(wire::kProtocol);
  w->set_software(QFW_VERSION);
  w->set_window(session_->window());
  auto* l = w->mutable_limits();
  l->set_message_bytes(limits_.message_bytes);
  l->set_inline_bytes(limits_.inline_bytes);
  l->set_chunk_bytes(limits_.chunk_bytes);
  l->set_program_bytes(limits_.program_bytes);
  l->set_task_bytes(limits_.task_bytes);
  for (const auto& d : runtime_->devices()) wire::put(d, *w->add_devices());
  w->set_clock_ns(now_ns());
  outbox_.send(out);
}

void Connection::send_devices() {
  session();
  pb::ServerMessage out;
  auto* list = out.mutable_devices();
  for (const auto& d : runtime_->devices()) wire::put(d, *list->add_devices());
  outbox_.send(out);
}

void Connection::subscribe(const pb::Subscribe& wanted) {
  uint32_t kinds = 0;
  for (const int kind : wanted.kinds())
    if (pb::EventKind_IsValid(kind)) kinds |= event_bit(static_cast<EventKind>(kind));  // else: of a later version
  const std::vector<DeviceId> devices(wanted.devices().begin(), wanted.devices().end());
  session().subscribe(devices, kinds, [this](std::vector<Event>&& events) { outbox_.push(std::move(events)); });
}

void Connection::open_stream(const pb::OpenStream& open) {
  pb::ServerMessage out;
  out.mutable_opened()->set_stream(open.stream());
  const std::vector<DeviceId> devices(open.devices().begin(), open.devices().end());
  try {
    const JobSpec job{open.job().id(), open.job().metadata()};
    session().open_stream(open.stream(), devices, open.sequential() ? Order::kSequential : Order::kParallel,
                          open.has_job() ? &job : nullptr);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kProtocol) throw;
    wire::put(Failure::of(e), *out.mutable_opened()->mutable_failure());
  }
  outbox_.send(out);
}

// ---- jobs

void Connection::attach(const pb::AttachJob& attach) {
  pb::ServerMessage out;
  out.mutable_opened()->set_stream(attach.stream());
  try {
    wire::put(session().job(attach.job()), *out.mutable_opened()->mutable_job());
    outbox_.send(out);  // before the completions
    session().listen(attach.stream(), attach.job());
    return;
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kProtocol) throw;
    out.mutable_opened()->clear_job();
    wire::put(Failure::of(e), *out.mutable_opened()->mutable_failure());
  }
  outbox_.send(out);
}

void Connection::send_jobs(const pb::QueryJobs& query) {
  const std::vector<std::string> ids(query.jobs().begin(), query.jobs().end());
  pb::ServerMessage out;
  auto* list = out.mutable_jobs();
  for (const auto& job : session().jobs(ids)) wire::put(job, *list->add_jobs());
  outbox_.send(out);
}

// A job that is not there is forgotten already.
void Connection::forget(const std::string& job) {
  try {
    session().forget_job(job);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kNotFound) throw;
  }
}

// ---- programs and arrays

void Connection::remember(const program::Hash& hash, std::span<const std::byte> bytes) {
  Known known;
  try {
    known.program = runtime_->program(hash, bytes);
  } catch (const Error& e) {
    known.failure = Failure::of(e);
  }
  programs_.put(hash, std::move(known), bytes.size());
}

void Connection::put_program(const pb::PutProgram& put) {
  session();
  const program::Hash hash = hash_of(put.sha256());
  const std::string& data = put.data();
  if (put.total() > limits_.program_bytes)
    throw Error(ErrorCode::kLimitExceeded, "program of " + std::to_string(put.total()) + " bytes; allowed at most " +
                                               std::to_string(limits_.program_bytes));
  if (put.offset() + data.size() > put.total() || (data.empty() && put.total() > 0))
    broken("piece of " + std::to_string(data.size()) + " bytes at " + std::to_string(put.offset()) +
           " of a program of " + std::to_string(put.total()));
  const auto piece = std::as_bytes(std::span(data.data(), data.size()));
  if (put.offset() == 0 && piece.size() == put.total()) return remember(hash, piece);
  if (put.offset() == 0) {
    putting_hash_ = hash;
    putting_.clear();
  }
  if (hash != putting_hash_ || put.offset() != putting_.size()) broken("a program's pieces are out of order");
  putting_.insert(putting_.end(), piece.begin(), piece.end());
  if (putting_.size() < put.total()) return;
  remember(hash, putting_);
  putting_ = {};
}

void Connection::chunk(const pb::ArrayChunk& chunk) {
  session();
  if (chunk.array() != pb::ArrayChunk::BINDINGS) broken("a client sends chunks of bindings alone");
  if (chunk.total() > limits_.task_bytes || bindings_bytes_ + chunk.data().size() > limits_.task_bytes)
    throw Error(ErrorCode::kLimitExceeded, "bindings of " + std::to_string(chunk.total()) + " bytes; allowed at most " +
                                               std::to_string(limits_.task_bytes) + " on their way");
  pb::ArrayChunk as_row = chunk;
  as_row.set_array(pb::ArrayChunk::PROBABILITIES);  // the row's array of doubles
  if (Failure f = wire::take(as_row, bindings_[chunk.task()])) f.raise();
  bindings_bytes_ += chunk.data().size();
}

// ---- tasks

Failure Connection::find_program(const std::string& hash, Task& task) {
  if (hash.empty()) return {ErrorCode::kInvalidArgument, "the task names no program"};
  Known* known = programs_.find(hash_of(hash));
  if (!known) return {ErrorCode::kNotFound, "the task's program was not put in this session"};
  task.program = known->program;
  return known->failure;
}

void Connection::refuse(std::vector<Completion>&& bad) {
  session_->note(bad);
  outbox_.push(std::move(bad));
}

void Connection::submit(const pb::Submit& submit) {
  session();
  const auto n = static_cast<size_t>(submit.tasks_size());
  std::vector<Task> tasks(n);
  std::vector<Failure> failures(n);
  for (size_t i = 0; i < n; ++i) failures[i] = find_program(submit.tasks(static_cast<int>(i)).program(), tasks[i]);
  for (const auto& put : submit.programs()) put_program(put);
  std::vector<Task> good;
  std::vector<Completion> bad;
  for (size_t i = 0; i < n; ++i) {
    const pb::Task& wire_task = submit.tasks(static_cast<int>(i));
    Task& task = tasks[i];
    Failure& failure = failures[i];
    if (failure) failure = find_program(wire_task.program(), task);  // put by this message?
    if (Failure f = wire::take(wire_task, task); f && !failure) failure = std::move(f);
    if (auto found = bindings_.find(task.id); found != bindings_.end()) {
      task.bindings.values = std::move(found->second.probabilities);
      bindings_bytes_ -= task.bindings.values.size() * sizeof(double);
      bindings_.erase(found);
    }
    if (failure)
      bad.push_back({task.id, task.stream, Result{std::move(failure)}, now_ns()});
    else
      good.push_back(std::move(task));
  }
  if (!bad.empty()) refuse(std::move(bad));
  if (good.empty()) return;
  std::vector<std::pair<TaskId, StreamId>> ids;
  for (const auto& t : good) ids.emplace_back(t.id, t.stream);
  try {
    session_->submit(std::move(good));
  } catch (const Error& e) {  // beyond the window: none of them was taken
    for (auto [id, stream] : ids) bad.push_back({id, stream, Result{Failure::of(e)}, now_ns()});
    refuse(std::move(bad));
  }
}

// A client that keeps to its window never has more answers waiting than that; one that sends on and on without taking
// what it was answered is cut off.
void Connection::check_taken() {
  const size_t waiting = outbox_.waiting(), allowed = 2 * size_t{runtime_->options().window} + 1024;
  if (waiting <= allowed) return;
  if (abort_) abort_();
  throw Error(ErrorCode::kResourceExhausted, std::to_string(waiting) +
                                                 " answers wait for a client that goes on sending; allowed at most " +
                                                 std::to_string(allowed));
}

}  // namespace qfw::qpm
