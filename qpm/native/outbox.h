// What a session's client is still to be sent. Completions that wait together leave in one message; large arrays
// leave before their completion, piece by piece, straight from the result.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "qpm/api/native/event.h"
#include "qpm/api/native/result.h"
#include "qpm/api/native/wire.h"

namespace qfw::qpm::api::v1 {
class ServerMessage;
}

namespace qfw::qpm {

class Outbox {
 public:
  // Sends one message; `more` tells that another follows at once. False when the client has gone. May block.
  using Write = std::function<bool(const api::v1::ServerMessage&, bool more)>;
  // Called when what waits passes the high mark (true), and when it is below the low mark again (false).
  using Pressure = std::function<void(bool)>;

  Outbox(const wire::Limits& limits, Write write, Pressure pressure);
  ~Outbox();

  void push(std::vector<Completion>&& completions, bool wake = true);  // never blocks
  void push(
      std::vector<Event>&& events);  // never blocks; of many that are not taken the oldest are dropped, and counted
  bool send(const api::v1::ServerMessage& message);  // at once, between other messages

  // Sends what waits, on this thread. Small only: does nothing when there is much of it.
  void drain(bool small_only = false);
  void run();                                       // drains until close(): the writer thread
  void finish(const api::v1::ServerMessage& last);  // run() sends what waits, then this, and ends
  void close();                                     // what waits is dropped
  size_t waiting() const;                           // completions

 private:
  bool take(std::vector<Completion>& batch);
  bool write_events();
  void report_pressure();
  bool write_batch(std::vector<Completion>& batch, bool more);
  bool write_arrays(const Completion& completion);
  bool write_rows(const Completion& completion, uint64_t inline_bytes);

  const wire::Limits limits_;
  const Write write_;
  const Pressure pressure_;

  std::mutex write_mutex_;  // one writer at a time; taken before mutex_
  bool broken_ = false;     // under write_mutex_

  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Completion> waiting_;
  std::deque<Event> events_;
  uint64_t bytes_ = 0;
  bool pressed_ = false;
  bool closed_ = false;
  std::unique_ptr<api::v1::ServerMessage> last_;

  // Reports are made one at a time, each of the latest state: one that comes late must not overrule its successor.
  // Recursive, since a report may let tasks fail, whose completions come back here.
  std::recursive_mutex pressure_mutex_;
  bool reported_ = false;  // under pressure_mutex_
};

}  // namespace qfw::qpm
