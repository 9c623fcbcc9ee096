// The policy of reconnecting, fed events and a clock.
#include "qpm/api/native/reconnect.h"

#include <gtest/gtest.h>

namespace qfw::qpm {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kS = 1'000 * kMs;
const Failure kBroken{ErrorCode::kConnectionLost, "the connection broke", true, 1.0};
using Do = Reconnect::Do;

ReconnectPolicy policy() {
  ReconnectPolicy p;
  p.total_s = 10.0;
  p.dead_s = 2.0;
  p.attempt_s = 3.0;
  p.first_wait_s = 0.1;
  p.longest_wait_s = 0.4;
  return p;
}

// Drives a machine with one answer to every look until it stops looking; returns the time that has passed.
uint64_t until_decided(Reconnect& r, uint64_t now, const Sighting& answer) {
  const uint64_t start = now;
  for (int i = 0; i < 1000; ++i) {
    const auto step = r.step(now);
    if (step.what == Do::kWait) {
      EXPECT_GT(step.until, now);
      now = step.until;
    } else if (step.what == Do::kLook) {
      r.seen(now, answer);
    } else {
      break;
    }
  }
  return now - start;
}

TEST(Reconnect, NothingToDoWhileConnected) {
  Reconnect r(policy());
  EXPECT_EQ(r.step(5 * kS).what, Do::kNothing);
  EXPECT_TRUE(r.up());
}

TEST(Reconnect, LooksAtOnceThenConnectsWhereItIs) {
  Reconnect r(policy());
  r.lost(kS, kBroken);
  EXPECT_FALSE(r.up());
  EXPECT_EQ(r.step(kS).what, Do::kLook);
  r.seen(kS, {false, true, "unix:/b"});
  auto step = r.step(kS);
  EXPECT_EQ(step.what, Do::kConnect);
  EXPECT_EQ(step.address, "unix:/b");
  EXPECT_DOUBLE_EQ(step.timeout_s, 3.0);
  r.connected(kS);
  EXPECT_EQ(r.step(kS).what, Do::kNothing);
}

TEST(Reconnect, LooksLessAndLessOften) {
  Reconnect r(policy());
  r.lost(0, kBroken);
  std::vector<uint64_t> looks;
  uint64_t now = 0;
  while (looks.size() < 6) {
    const auto step = r.step(now);
    if (step.what == Do::kWait) {
      now = step.until;
      continue;
    }
    ASSERT_EQ(step.what, Do::kLook);
    looks.push_back(now / kMs);
    r.seen(now, {false, true, ""});
  }
  EXPECT_EQ(looks, (std::vector<uint64_t>{0, 100, 300, 700, 1100, 1500}));
}

TEST(Reconnect, GivesUpSoonWhereNobodyIsAndLateWhereSomebodyIs) {
  Reconnect dead(policy()), coming(policy());
  dead.lost(0, kBroken);
  coming.lost(0, kBroken);
  EXPECT_EQ(until_decided(dead, 0, {false, false, ""}), 2 * kS);
  EXPECT_EQ(until_decided(coming, 0, {false, true, ""}), 10 * kS);
  const auto step = dead.step(2 * kS);
  EXPECT_EQ(step.what, Do::kGiveUp);
  EXPECT_EQ(step.reason.code, ErrorCode::kConnectionLost);
  EXPECT_NE(step.reason.message.find("the connection broke; no runtime came back within 2.0 s"), std::string::npos)
      << step.reason.message;
  EXPECT_EQ(coming.step(10 * kS).what, Do::kGiveUp);
}

TEST(Reconnect, ARunThatWasEndedIsNotWaitedFor) {
  Reconnect r(policy());
  r.lost(0, kBroken);
  EXPECT_EQ(until_decided(r, 0, {true, false, ""}), 0u);
  const auto step = r.step(0);
  EXPECT_EQ(step.what, Do::kGiveUp);
  EXPECT_EQ(step.reason.code, ErrorCode::kConnectionLost);
  EXPECT_FALSE(step.reason.transient);
}

TEST(Reconnect, WhatTheRuntimeSaidAtItsEndIsPassedOn) {
  Reconnect r(policy());
  r.lost(0, {ErrorCode::kUnavailable, "the runtime was stopped", true, 1.0});
  EXPECT_EQ(until_decided(r, 0, {true, false, ""}), 0u);
  const auto step = r.step(0);
  EXPECT_EQ(step.reason.code, ErrorCode::kUnavailable);
  EXPECT_TRUE(step.reason.transient);
}

TEST(Reconnect, ARefusalIsTriedAgainUnlessItIsForGood) {
  Reconnect r(policy());
  r.lost(0, kBroken);
  r.seen(0, {false, true, "unix:/a"});
  r.refused(kMs, {ErrorCode::kUnavailable, "its socket has just gone"});
  EXPECT_EQ(r.step(2 * kMs).what, Do::kWait);
  EXPECT_EQ(r.step(kMs + 100 * kMs).what, Do::kLook);
  r.seen(200 * kMs, {false, true, "unix:/a"});
  r.refused(200 * kMs, {ErrorCode::kProtocol, "speaks another protocol"});
  EXPECT_EQ(r.step(201 * kMs).what, Do::kGiveUp);
  EXPECT_EQ(r.step(201 * kMs).reason.code, ErrorCode::kProtocol);
}

TEST(Reconnect, WhatBrokeForGoodIsNotTriedAgain) {
  Reconnect r(policy());
  r.lost(0, {ErrorCode::kProtocol, "you broke the contract"});
  EXPECT_EQ(r.step(0).what, Do::kGiveUp);
  EXPECT_EQ(r.step(0).reason.message, "you broke the contract");
}

TEST(Reconnect, TheLastAttemptHasTheTimeThatIsLeft) {
  Reconnect r(policy());
  r.lost(0, kBroken);
  uint64_t now = 0;
  for (; now < 9 * kS; now += 500 * kMs) {
    if (r.step(now).what == Do::kLook) r.seen(now, {false, true, ""});
  }
  ASSERT_EQ(r.step(now).what, Do::kLook);
  r.seen(now, {false, true, "unix:/a"});
  EXPECT_NEAR(r.step(now).timeout_s, 1.0, 1e-9);
}

TEST(Reconnect, ConnectionsThatBreakAtOnceAreOneOutage) {
  Reconnect r(policy());
  uint64_t now = 0;
  r.lost(now, kBroken);
  int tries = 0;
  for (; tries < 1000 && r.step(now).what != Do::kGiveUp; ++tries) {
    while (r.step(now).what == Do::kWait) now = r.step(now).until;
    if (r.step(now).what != Do::kLook) break;
    r.seen(now, {false, true, "unix:/a"});
    r.connected(now);
    r.lost(now += kMs, kBroken);
  }
  EXPECT_EQ(r.step(now).what, Do::kGiveUp);
  EXPECT_LE(now, 10 * kS + 400 * kMs);
  EXPECT_LT(tries, 40);
}

TEST(Reconnect, ProgressBeginsAnew) {
  Reconnect r(policy());
  uint64_t now = 0;
  for (int i = 0; i < 100; ++i) {
    r.lost(now, kBroken);
    ASSERT_EQ(r.step(now).what, Do::kLook) << i;
    r.seen(now, {false, true, "unix:/a"});
    r.connected(now);
    r.progress();
    now += 500 * kMs;
  }
}

}  // namespace
}  // namespace qfw::qpm
