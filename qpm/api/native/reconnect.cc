#include "qpm/api/native/reconnect.h"

#include <cmath>

namespace qfw::qpm {
namespace {

uint64_t nanoseconds(double seconds) noexcept { return static_cast<uint64_t>(std::clamp(seconds, 0.0, 1e9) * 1e9); }

std::string seconds(uint64_t ns) {
  std::string text = std::to_string(static_cast<double>(ns) * 1e-9);
  return text.substr(0, text.find('.') + 2) + " s";
}

// A broken connection, a runtime that is being stopped, and one with too many sessions are worth another try.
bool mendable(const Failure& f) noexcept { return f.transient || f.code == ErrorCode::kTimeout; }

}  // namespace

void Reconnect::lost(uint64_t now, Failure why) {
  if (state_ == State::kOver) return;
  if (!mendable(why)) return end(std::move(why));
  state_ = State::kLooking;
  why_ = std::move(why);
  refusal_ = {};
  last_alive_ = now;
  if (!proven_ && now - connected_at_ < nanoseconds(policy_.proof_s)) return later(now);
  began_ = next_look_ = now;
  wait_s_ = policy_.first_wait_s;
}

void Reconnect::seen(uint64_t now, Sighting s) {
  if (state_ != State::kLooking) return;
  if (s.gone) {
    const std::string words = why_.message + "; its run was ended";
    if (why_.code == ErrorCode::kUnavailable) return end({why_.code, words, why_.transient, why_.retry_after_s});
    return end({ErrorCode::kConnectionLost, words});
  }
  if (s.alive) last_alive_ = now;
  if (s.address.empty()) return later(now);
  address_ = std::move(s.address);
  state_ = State::kTrying;
}

void Reconnect::refused(uint64_t now, Failure why) {
  if (state_ != State::kTrying) return;
  // Its socket may have gone between the look and the try: whoever restarts it sweeps.
  if (!mendable(why) && why.code != ErrorCode::kUnavailable) return end(std::move(why));
  refusal_ = std::move(why);
  state_ = State::kLooking;
  later(now);
}

void Reconnect::connected(uint64_t now) {
  if (state_ != State::kTrying) return;
  state_ = State::kUp;
  connected_at_ = now;
  proven_ = false;
}

void Reconnect::later(uint64_t now) {
  next_look_ = now + nanoseconds(wait_s_);
  wait_s_ = std::min(2 * wait_s_, policy_.longest_wait_s);
}

void Reconnect::end(Failure reason) {
  state_ = State::kOver;
  reason_ = std::move(reason);
}

uint64_t Reconnect::limit() const noexcept {
  return std::min(began_ + nanoseconds(policy_.total_s), last_alive_ + nanoseconds(policy_.dead_s));
}

Reconnect::Step Reconnect::step(uint64_t now) const {
  Step step;
  switch (state_) {
    case State::kUp:
      break;
    case State::kOver:
      step.what = Do::kGiveUp;
      step.reason = reason_;
      break;
    case State::kTrying: {
      step.what = Do::kConnect;
      step.address = address_;
      const uint64_t end = began_ + nanoseconds(policy_.total_s);
      const double left = end > now ? static_cast<double>(end - now) * 1e-9 : 0.0;
      step.timeout_s = std::min(policy_.attempt_s, left);
      break;
    }
    case State::kLooking:
      if (now >= limit()) {
        step.what = Do::kGiveUp;
        step.reason = {ErrorCode::kConnectionLost,
                       why_.message + "; no runtime came back within " + seconds(now - began_) +
                           (refusal_ ? " (the last try: " + refusal_.message + ")" : ""),
                       true, 1.0};
      } else if (now >= next_look_) {
        step.what = Do::kLook;
      } else {
        step.what = Do::kWait;
        step.until = std::min(next_look_, limit());
      }
  }
  return step;
}

}  // namespace qfw::qpm
