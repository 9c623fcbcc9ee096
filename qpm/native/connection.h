// One client's stream: reads its messages, drives its session, sends what comes of it. The state of the contract, apart
// from the transport: tests feed it messages without a socket.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "qpm/api/native/lru.h"
#include "qpm/api/native/wire.h"
#include "qpm/native/outbox.h"
#include "qpm/native/runtime.h"
#include "qpm/native/session.h"

namespace qfw::qpm::api::v1 {
class ArrayChunk;
class AttachJob;
class ClientMessage;
class Hello;
class OpenStream;
class PutProgram;
class QueryJobs;
class Submit;
class Subscribe;
}  // namespace qfw::qpm::api::v1

namespace qfw::qpm {

class Connection {
 public:
  // Breaks the connection off: what blocks in Write, or would, fails at once.
  using Abort = std::function<void()>;

  Connection(std::shared_ptr<Runtime> runtime, const wire::Limits& limits, Outbox::Write write, Abort abort = nullptr);
  ~Connection();  // closes the session

  // False: the session has ended, by Bye or because the client broke the contract (it was told).
  bool handle(const api::v1::ClientMessage& message);

  void write_until_closed() { outbox_.run(); }  // the writer thread's whole life
  void finish(const Failure& reason);           // tells the client so after all completions; ends the writer
  void close();                                 // cancels what is unfinished; ends the writer

 private:
  struct Known {  // a program that the client put; one that does not decode fails the tasks that name it
    program::ProgramPtr program;
    Failure failure;
  };

  void hello(const api::v1::Hello& hello);
  void put_program(const api::v1::PutProgram& put);
  void open_stream(const api::v1::OpenStream& open);
  void subscribe(const api::v1::Subscribe& wanted);
  void chunk(const api::v1::ArrayChunk& chunk);
  void submit(const api::v1::Submit& submit);
  void check_taken();
  void send_devices();
  void attach(const api::v1::AttachJob& attach);
  void send_jobs(const api::v1::QueryJobs& query);
  void forget(const std::string& job);
  void refuse(std::vector<Completion>&& bad);
  LocalSession& session() const;
  Failure find_program(const std::string& hash, Task& task);
  void remember(const program::Hash& hash, std::span<const std::byte> bytes);

  std::shared_ptr<Runtime> runtime_;
  const wire::Limits limits_;
  const Abort abort_;
  std::shared_ptr<LocalSession> session_;
  Lru<program::Hash, Known, program::HashKey> programs_;

  program::Hash putting_hash_{};  // the program that arrives in pieces
  std::vector<std::byte> putting_;
  std::unordered_map<TaskId, RowResult> bindings_;  // that arrive in pieces, in `probabilities`
  uint64_t bindings_bytes_ = 0;

  std::atomic<std::thread::id> reader_;  // of the thread in handle()
  Outbox outbox_;
};

}  // namespace qfw::qpm
