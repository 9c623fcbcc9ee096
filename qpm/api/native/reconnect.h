// When a client whose runtime is gone looks for it, tries it, and gives it up: a pure state machine. Events and the
// clock (nanoseconds) go in, the next step comes out; it neither reads clocks nor opens sockets.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "qpm/api/native/session.h"

namespace qfw::qpm {

struct ReconnectPolicy {
  double total_s = 30.0;       // the longest outage
  double dead_s = 3.0;         // of it, how long nobody may be there
  double attempt_s = 5.0;      // the longest attempt to connect
  double first_wait_s = 0.02;  // between two looks; doubled from look to look
  double longest_wait_s = 0.25;
  double proof_s = 1.0;  // a connection that breaks sooner, and without a completion, goes on with the outage before
};

class Reconnect {
 public:
  enum class Do : uint8_t { kNothing, kWait, kLook, kConnect, kGiveUp };
  struct Step {
    Do what = Do::kNothing;
    uint64_t until = 0;      // kWait
    double timeout_s = 0.0;  // kConnect
    std::string address;     // kConnect
    Failure reason;          // kGiveUp: kConnectionLost, or what the runtime refused for good
  };

  explicit Reconnect(ReconnectPolicy policy) : policy_(policy) {}

  // Events.
  void lost(uint64_t now, Failure why);  // the connection broke; one that no later try can mend ends it
  void seen(uint64_t now, Sighting sighting);
  void refused(uint64_t now, Failure why);
  void connected(uint64_t now);
  void progress() noexcept { proven_ = true; }  // a task has completed

  Step step(uint64_t now) const;
  bool up() const noexcept { return state_ == State::kUp; }

 private:
  enum class State : uint8_t { kUp, kLooking, kTrying, kOver };

  void later(uint64_t now);
  void end(Failure reason);
  uint64_t limit() const noexcept;  // when it is given up

  const ReconnectPolicy policy_;
  State state_ = State::kUp;
  uint64_t began_ = 0;       // of the outage
  uint64_t last_alive_ = 0;  // somebody was there
  uint64_t next_look_ = 0;
  uint64_t connected_at_ = 0;
  bool proven_ = true;  // the connection does what it is there for
  double wait_s_ = 0.0;
  std::string address_;
  Failure why_;      // the connection broke
  Failure refusal_;  // the last one
  Failure reason_;   // kOver
};

}  // namespace qfw::qpm
