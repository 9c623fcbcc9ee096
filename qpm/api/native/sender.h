// Turns submitted tasks into messages: programs the server does not know go along, large programs and bindings before,
// in pieces. Keeps the client's copy of the server's table of programs (the same operations in the same order).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qpm/api/native/lru.h"
#include "qpm/api/native/wire.h"

namespace qfw::qpm::api::v1 {
class ClientMessage;
}

namespace qfw::qpm {

class Sender {
 public:
  // Sends one message; `more`: another follows at once. False when the connection is gone.
  using Write = std::function<bool(const api::v1::ClientMessage&, bool more)>;

  Sender(const wire::Limits& limits, Write write);
  ~Sender();

  // Tasks that cannot be sent at all come back with the reason. Not thread-safe.
  std::vector<std::pair<size_t, Failure>> submit(std::span<const Task* const> tasks);

 private:
  struct Group;
  Failure add(const Task& task, Group& group);
  bool put_large(const program::Program& program);
  bool put_bindings(const Task& task);
  void close(Group& group, bool more);

  const wire::Limits limits_;
  const Write write_;
  Lru<program::Hash, bool, program::HashKey> programs_;
};

}  // namespace qfw::qpm
