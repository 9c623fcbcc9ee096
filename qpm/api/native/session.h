// The abstract session: one client's stay in a runtime, as QPI sees it. One implementation in-process
// (qpm/native/session.h), one over gRPC (qpm/api/native/grpc_session.h).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qpm/api/native/device_info.h"
#include "qpm/api/native/event.h"
#include "qpm/api/native/job_info.h"
#include "qpm/api/native/result.h"
#include "qpm/api/native/task.h"

namespace qfw::qpm {

enum class Order : uint8_t { kSequential = 0, kParallel = 1 };

class Session {
 public:
  // Called from the runtime's threads, or from inside submit() and help(); must not block and must not call back
  // into submit(). Each submitted task gets exactly one completion, whatever happens to the connection.
  using Sink = std::function<void(std::vector<Completion>&&)>;

  virtual ~Session() = default;  // implies close()

  virtual std::string endpoint() const = 0;  // "embedded", "unix:/..."
  virtual std::vector<DeviceInfo> devices() = 0;
  virtual void set_sink(Sink sink) = 0;  // once, before the first submit

  // A stream of tasks bound to devices: any of them may run a task (late binding to the first free one).
  // Sequential: a task starts when the one before it has ended. Throws kNotFound for an unknown device.
  // `job`: names the stream, which then outlives its session; kUnsupported where nothing can outlive it.
  virtual void open_stream(StreamId stream, std::span<const DeviceId> devices, Order order,
                           const JobSpec* job = nullptr) = 0;
  virtual void close_stream(StreamId stream) = 0;  // unfinished tasks are cancelled; a job's go on

  // Binds a job to a new stream of this session: its completions are delivered from the first one on, with the task
  // ids under which it was submitted. Throws kNotFound, kUnsupported.
  virtual JobInfo attach_job(StreamId stream, const std::string& job);
  virtual std::vector<JobInfo> jobs(std::span<const std::string> ids);  // no ids: all; unknown ones are left out
  virtual void forget_job(const std::string& job);  // cancels what is unfinished of it and drops its results

  // What this session wants to hear of from now on: event_bit()s of kinds, 0 for nothing; no devices: all. The sink
  // of an earlier call is not called any more once this returns.
  virtual void subscribe(std::span<const DeviceId> devices, uint32_t kinds, EventSink sink);

  // How many tasks may be outstanding (submitted, not completed). Beyond it submit throws kResourceExhausted
  // (transient) and has submitted nothing; the caller (QPI) keeps within the window.
  virtual uint32_t window() const = 0;

  // Hands over all tasks in one message. Never waits for execution. What is wrong with a task itself (limits, unknown
  // option) comes back as its completion.
  virtual void submit(std::vector<Task>&& tasks) = 0;
  virtual void cancel(std::span<const TaskId> tasks) = 0;  // each then completes, as kCancelled unless it was done

  // Lends the calling thread to the runtime for one small task (in-process only). False: nothing to do.
  virtual bool help() { return false; }

  virtual void close() = 0;  // cancels what is outstanding; idempotent
};

// The composition root of native programs without a daemon: a runtime with the built-in simulator in this process,
// made at the first call and shared. Defined in qpm/native/embedded.cc.
std::shared_ptr<Session> embedded_session();

struct TlsFiles {  // paths of PEM files
  std::string ca, certificate, key;
  std::string server_name;  // that the server's certificate must carry
};

// What is to be seen of a runtime from outside, without connecting.
struct Sighting {
  bool gone = false;    // ended for good: nobody need wait
  bool alive = false;   // somebody holds its place: it runs, starts, or is being restarted
  std::string address;  // where to try; empty: nowhere yet
};

struct ConnectOptions {
  double timeout_s = 10.0;           // to connect
  double reconnect_s = 0.0;          // how long a lost connection is tried again before its tasks fail; 0: not at all
  double dead_s = 3600.0;            // of it, how long nobody may be there
  double keepalive_s = 20.0;         // between pings; a peer that leaves one unanswered for half as long again is gone
  TlsFiles tls;                      // needed for "host:port"
  std::function<Sighting()> locate;  // where a runtime that was lost is now; default: where it was
};

// Connects to a daemon's Runtime service: "unix:/path", or "host:port" over mutual TLS. Throws kUnavailable, kProtocol,
// kTimeout, kPermissionDenied. With `reconnect_s` the session outlives its runtime: streams and programs are put again
// and what is unfinished is submitted again, so that every task runs at least once and completes exactly once
// (docs/reliability.md).
std::shared_ptr<Session> connect_session(const std::string& address, const ConnectOptions& options = {});

}  // namespace qfw::qpm
