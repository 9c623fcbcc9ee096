// The pool's state machine, with a clock of the test's own: spreading, batches, deaths and the killer, cancels, slots
// that are not there, growing and shrinking, several ranks, fault; and at random, whatever dies when.
#include "qpm/native/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace qfw::qpm {
namespace {

constexpr uint64_t kMs = Pool::kMs;
constexpr uint64_t kSecond = 1000 * kMs;

// Carries out actions at once: what starts comes up when the test says so.
struct Driver {
  explicit Driver(uint32_t members, Pool::Policy policy = {}) : pool("it", members, policy) {}

  void settle() {
    pool.decide(now, out);
    for (auto& [key, failure] : out.fail) ended[key].push_back(failure);
    for (const auto& w : out.wake) starting[w.member] = w.ranks;
    for (const auto& r : out.run) running[r.member].insert(r.key);
    for (const auto& c : out.cancel) cancelled.insert(c.key);
    for (const auto& l : out.lower) lowering.insert(l.member);
    if (out.status) fault = out.fault, reason = out.reason;
    out = {};
  }
  void submit(PoolKey first, PoolKey last, uint32_t ranks = 1, double cost = 1e6) {
    for (PoolKey k = first; k <= last; ++k) pool.submit(k, ranks, cost, now);
    settle();
  }
  void up(MemberId m) {
    ASSERT_EQ(starting.count(m), 1u);
    starting.erase(m);
    live.insert(m);
    pool.up(m, now);
    settle();
  }
  void all_up() {
    while (!starting.empty()) up(starting.begin()->first);
  }
  void refuse(MemberId m, bool transient = true) {
    ASSERT_EQ(starting.erase(m), 1u);
    pool.refused(m, {ErrorCode::kResourceExhausted, "no slot", transient, 1.0}, now, out);
    settle();
  }
  void fail(MemberId m, const Failure& why = {ErrorCode::kUnsupported, "no licence"}) {
    ASSERT_EQ(starting.erase(m), 1u);
    pool.failed(m, why, now, out);
    settle();
  }
  // All that the member has came back, after `took`.
  void complete(MemberId m, uint64_t took = kMs) {
    now += took;
    for (PoolKey key : std::exchange(running[m], {})) {
      ASSERT_TRUE(pool.completed(m, key));
      ended[key].push_back({});
    }
    pool.progressed(m, now);
    settle();
  }
  void die(MemberId m, bool delivered = true) {
    const auto had = std::exchange(running[m], {});
    live.erase(m);
    lowering.erase(m);
    pool.died(m, delivered ? std::vector<PoolKey>(had.begin(), had.end()) : std::vector<PoolKey>{}, "it sank", now,
              out);
    settle();
  }
  void lowered(MemberId m) {
    ASSERT_EQ(lowering.erase(m), 1u);
    live.erase(m);
    pool.down(m, now, out);
    settle();
  }
  void pass(uint64_t time) {
    now += time;
    settle();
  }
  Failure end_of(PoolKey key) {
    EXPECT_EQ(ended[key].size(), 1u) << "task " << key;
    return ended[key].empty() ? Failure{} : ended[key][0];
  }

  Pool pool;
  uint64_t now = kSecond;
  Pool::Actions out;
  std::map<PoolKey, std::vector<Failure>> ended;
  std::map<MemberId, uint32_t> starting;  // with ranks
  std::map<MemberId, std::set<PoolKey>> running;
  std::set<MemberId> live, lowering;
  std::set<PoolKey> cancelled;
  bool fault = false;
  std::string reason;
};

Pool::Policy batches(uint32_t capacity = 64) {
  Pool::Policy p;
  p.capacity = capacity;
  return p;
}

TEST(Pool, OneTaskAtATimeStaysWithOneInstance) {
  Driver d(4, batches());
  for (PoolKey k = 1; k <= 5; ++k) {
    d.submit(k, k);
    if (k == 1) d.all_up();
    EXPECT_EQ(d.running[0].size(), 1u);
    d.complete(0);
    EXPECT_FALSE(d.end_of(k));
  }
  EXPECT_EQ(d.pool.stats().starts, 1u);
}

TEST(Pool, AFirstTaskMeasuresThenBatchesAreSpreadEvenly) {
  Driver d(2, batches());
  d.submit(1, 202);
  d.all_up();
  EXPECT_EQ(d.live.size(), 2u);
  EXPECT_EQ(d.running[0].size(), 1u);
  EXPECT_EQ(d.running[1].size(), 1u);
  d.complete(0);  // 1 ms each: about 20 of them at once
  EXPECT_EQ(d.running[0].size(), 20u);
  d.complete(1);
  EXPECT_GE(d.running[1].size(), 10u);
  while (!d.running[0].empty() || !d.running[1].empty())
    for (MemberId m : {0u, 1u}) d.complete(m, 20 * kMs);
  for (PoolKey k = 1; k <= 202; ++k) EXPECT_FALSE(d.end_of(k));
}

TEST(Pool, TasksThatTakeLongGoOneByOneAndWakeTheOthers) {
  Driver d(3, batches());
  d.submit(1, 3);
  d.all_up();
  EXPECT_EQ(d.live.size(), 1u);
  d.pass(100 * kMs);
  d.all_up();
  d.pass(100 * kMs);
  d.all_up();
  for (MemberId m : {0u, 1u, 2u}) EXPECT_EQ(d.running[m].size(), 1u);
}

TEST(Pool, NeverMoreAtOnceThanAnInstanceTakes) {
  Driver d(1, batches(1));
  d.submit(1, 3);
  d.all_up();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(d.running[0].size(), 1u);
    d.complete(0);
  }
}

TEST(Pool, WhatADeathTookRunsAgain) {
  Driver d(2, batches());
  d.submit(1, 1);
  d.all_up();
  d.complete(0);
  d.submit(2, 6);
  EXPECT_EQ(d.running[0].size(), 5u);
  d.die(0);
  EXPECT_EQ(d.pool.stats().redispatched, 5u);
  d.all_up();
  for (int i = 0; i < 5; ++i) {  // one by one now
    const MemberId m = d.running[0].empty() ? 1 : 0;
    EXPECT_EQ(d.running[m].size(), 1u);
    d.complete(m);
  }
  for (PoolKey k = 1; k <= 6; ++k) EXPECT_FALSE(d.end_of(k));
}

TEST(Pool, TheKillerIsFoundByItsThirdDeathAndItsNeighboursAreNot) {
  Driver d(1, batches());
  d.submit(1, 1);
  d.all_up();
  d.complete(0);
  d.submit(10, 14);
  const PoolKey killer = 12;
  for (int step = 0; step < 100 && d.ended[killer].empty(); ++step) {
    d.pass(kSecond);
    if (!d.starting.empty()) d.up(0);
    if (d.running[0].count(killer))
      d.die(0);
    else if (!d.running[0].empty())
      d.complete(0);
  }
  EXPECT_EQ(d.end_of(killer).code, ErrorCode::kDeviceLost);
  EXPECT_FALSE(d.end_of(killer).transient);
  EXPECT_NE(d.end_of(killer).message.find("it sank"), std::string::npos);
  EXPECT_NE(d.end_of(killer).message.find("3 instances died"), std::string::npos);
  for (int step = 0; step < 100 && d.pool.stats().backlog + d.pool.stats().running > 0; ++step) {
    d.pass(kSecond);
    if (!d.starting.empty()) d.up(0);
    if (!d.running[0].empty()) d.complete(0);
  }
  for (PoolKey k : {10, 11, 13, 14}) EXPECT_FALSE(d.end_of(k));
  EXPECT_EQ(d.pool.stats().deaths, 3u);
  EXPECT_FALSE(d.fault);
}

TEST(Pool, WhatHadNotReachedTheInstanceIsNoSuspect) {
  Driver d(1, batches());
  d.submit(1, 1);
  d.all_up();
  for (int i = 0; i < 5; ++i) {
    d.die(0, false);
    d.pass(10 * kSecond);
    d.all_up();
  }
  d.complete(0);
  EXPECT_FALSE(d.end_of(1));
}

TEST(Pool, CancelWhileItWaitsRunsOrDies) {
  Driver d(1, batches(1));
  d.submit(1, 2);
  d.all_up();
  d.pool.cancel(2, d.out);
  d.settle();
  EXPECT_EQ(d.end_of(2).code, ErrorCode::kCancelled);
  d.pool.cancel(1, d.out);
  d.settle();
  EXPECT_EQ(d.cancelled, std::set<PoolKey>{1});
  EXPECT_TRUE(d.ended[1].empty());
  d.die(0);
  EXPECT_EQ(d.end_of(1).code, ErrorCode::kCancelled);
  d.pool.cancel(1, d.out);  // long gone
  d.settle();
  EXPECT_EQ(d.ended[1].size(), 1u);
}

TEST(Pool, NoSlotIsNoDeathAndIsAskedForAgain) {
  Driver d(3, batches());
  d.submit(1, 30);
  ASSERT_EQ(d.starting.size(), 3u);
  for (MemberId m : {0u, 1u, 2u}) d.refuse(m);
  EXPECT_TRUE(d.starting.empty());
  d.pass(10 * kMs);
  EXPECT_TRUE(d.starting.empty());
  d.pool.freed();  // at once when something was given back
  d.settle();
  EXPECT_EQ(d.starting.size(), 1u);  // one asks for all
  d.refuse(d.starting.begin()->first);
  d.pass(10 * kSecond);  // or after a while
  ASSERT_EQ(d.starting.size(), 1u);
  d.up(d.starting.begin()->first);
  EXPECT_EQ(d.starting.size(), 2u);
  EXPECT_EQ(d.pool.stats().deaths, 0u);
  EXPECT_FALSE(d.fault);
}

TEST(Pool, WhatWillNeverFitFailsAtOnce) {
  Driver d(2, batches());
  d.submit(1, 1, 16);
  d.refuse(d.starting.begin()->first, false);
  EXPECT_EQ(d.end_of(1).code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(d.end_of(1).message, "no slot");
  EXPECT_FALSE(d.fault);
}

TEST(Pool, StartsThatFailBackOffAndEndInFaultForAWhile) {
  Driver d(2, batches());
  d.submit(1, 1);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(d.starting.size(), 1u) << i;
    EXPECT_TRUE(d.ended[1].empty());
    d.fail(d.starting.begin()->first);
    EXPECT_TRUE(d.starting.empty()) << "not at once";
    d.pass(kSecond);
  }
  EXPECT_TRUE(d.fault);
  EXPECT_NE(d.reason.find("no licence"), std::string::npos) << d.reason;
  EXPECT_EQ(d.end_of(1).code, ErrorCode::kUnsupported);
  EXPECT_NE(d.end_of(1).message.find("could not be started"), std::string::npos);
  d.submit(2, 2);
  EXPECT_TRUE(d.starting.empty());
  d.pass(10 * kSecond);
  EXPECT_FALSE(d.fault);
  d.all_up();
  d.complete(0);
  EXPECT_FALSE(d.end_of(2));
}

TEST(Pool, DeathsWhileStartingAreForgivenAsOthersAre) {
  Driver d(2, batches());
  d.submit(1, 1);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(d.starting.size(), 1u) << i;
    d.fail(d.starting.begin()->first, {ErrorCode::kDeviceLost, "ended by SIGKILL"});
    d.pass(10 * kSecond);
  }
  EXPECT_FALSE(d.fault);
  EXPECT_TRUE(d.ended[1].empty());
  d.fail(d.starting.begin()->first, {ErrorCode::kDeviceLost, "ended by SIGKILL"});
  EXPECT_TRUE(d.fault);
  EXPECT_EQ(d.end_of(1).code, ErrorCode::kDeviceLost);
}

TEST(Pool, OneThatFailsWhileOthersRunIsNoFault) {
  Driver d(2, batches());
  d.submit(1, 20);
  d.up(0);
  for (int i = 0; i < 6; ++i) {
    ASSERT_EQ(d.starting.count(1), 1u);
    d.fail(1);
    d.pass(10 * kSecond);
  }
  EXPECT_FALSE(d.fault);
  EXPECT_FALSE(d.running[0].empty());
}

TEST(Pool, FloorIsKeptAndIdleOnesBeyondItGo) {
  Pool::Policy policy = batches();
  policy.floor = 1;
  policy.idle = kSecond;
  Driver d(3, policy);
  d.settle();
  EXPECT_EQ(d.starting.size(), 1u);  // before there is any task
  d.all_up();
  d.submit(1, 100);
  d.all_up();
  EXPECT_EQ(d.live.size(), 3u);
  while (d.pool.stats().backlog + d.pool.stats().running > 0)
    for (MemberId m : {0u, 1u, 2u}) d.complete(m);
  EXPECT_LE(d.pool.next_wakeup(d.now), d.now + kSecond);
  d.pass(kSecond);
  EXPECT_EQ(d.lowering.size(), 2u);
  while (!d.lowering.empty()) d.lowered(*d.lowering.begin());
  d.pass(100 * kSecond);
  EXPECT_EQ(d.live.size(), 1u);
  d.die(*d.live.begin());
  d.pass(10 * kSecond);
  EXPECT_EQ(d.starting.size(), 1u);
}

TEST(Pool, SomebodyElseGetsIdleOnesAtOnceAndBusyOnesLater) {
  Driver d(2, batches(1));
  d.submit(1, 8);
  d.all_up();
  ASSERT_EQ(d.live.size(), 2u);
  EXPECT_EQ(d.pool.yield(1, d.now, d.out), 0u);
  d.settle();
  EXPECT_TRUE(d.lowering.empty());
  d.now += kSecond;  // they have been up long enough
  d.settle();
  MemberId leaving = 0;
  for (MemberId m : {0u, 1u}) {
    d.complete(m);
    if (d.running[m].empty()) leaving = m;
  }
  ASSERT_EQ(d.lowering, std::set<MemberId>{leaving});
  d.lowered(leaving);
  while (d.pool.stats().backlog + d.pool.stats().running > 0) d.complete(1 - leaving);
  EXPECT_EQ(d.pool.yield(1, d.now, d.out), 1u);
  d.settle();
  EXPECT_EQ(d.lowering, std::set<MemberId>{1 - leaving});
}

TEST(Pool, RanksHaveInstancesOfTheirOwn) {
  Driver d(4, batches());
  d.submit(1, 1);
  d.all_up();
  d.submit(2, 2, 4);
  ASSERT_EQ(d.starting.size(), 1u);
  const MemberId large = d.starting.begin()->first;
  EXPECT_EQ(d.starting[large], 4u);
  EXPECT_NE(large, 0u);
  d.complete(0);
  d.refuse(large);  // the slots are this pool's own: its idle instance of one rank goes
  EXPECT_EQ(d.lowering, std::set<MemberId>{0});
  d.lowered(0);
  d.pool.freed();
  d.settle();
  ASSERT_EQ(d.starting.size(), 1u);
  const MemberId again = d.starting.begin()->first;
  d.up(again);
  EXPECT_EQ(d.running[again], std::set<PoolKey>{2});
  d.complete(again);
  EXPECT_FALSE(d.end_of(2));
}

TEST(Pool, AllSeatsTakenByOtherSizesMakeRoom) {
  Driver d(2, batches());
  d.submit(1, 8);
  d.all_up();
  while (d.pool.stats().backlog + d.pool.stats().running > 0)
    for (MemberId m : {0u, 1u}) d.complete(m);
  d.submit(9, 9, 2);
  ASSERT_EQ(d.lowering.size(), 1u);
  d.lowered(*d.lowering.begin());
  ASSERT_EQ(d.starting.size(), 1u);
  EXPECT_EQ(d.starting.begin()->second, 2u);
}

TEST(Pool, StopEndsWhatWaits) {
  Driver d(1, batches(1));
  d.submit(1, 2);
  d.all_up();
  d.pool.stop(d.out);
  d.settle();
  EXPECT_EQ(d.end_of(2).code, ErrorCode::kCancelled);
  EXPECT_TRUE(d.ended[1].empty());
}

// Tasks of several sizes, killers among them; instances come up, are refused, fail, die, are lowered; cancels; somebody
// else wants slots.
struct Chaos : Driver {
  static constexpr PoolKey kTasks = 300;

  explicit Chaos(uint32_t seed) : Chaos(std::mt19937(seed)) {}

  uint32_t below(uint32_t n) { return static_cast<uint32_t>(draw() % n); }
  template <typename Set>
  auto pick(const Set& set) {
    return std::next(set.begin(), below(static_cast<uint32_t>(set.size())));
  }
  bool busy() const { return pool.stats().backlog + pool.stats().running > 0; }

  // Calm: nothing dies any more but of killers.
  void step(bool calm) {
    now += below(50) * kMs;
    for (auto& [m, keys] : running)
      if (std::any_of(keys.begin(), keys.end(), [&](PoolKey k) { return killers.count(k) > 0; })) return die(m);
    const uint32_t what = below(calm ? 5 : 12);
    if (what < 3) give_some(below(members), calm);
    if (what == 3 && !starting.empty()) return up(pick(starting)->first);
    if (what == 4 && !lowering.empty()) return lowered(*pick(lowering));
    if (what == 5) submit_some();
    if (what == 6 && !live.empty()) return die(*pick(live), below(3) > 0);
    if (what == 7 && !starting.empty()) return refuse(pick(starting)->first);
    if (what == 8 && !starting.empty()) return fail(pick(starting)->first);
    if (what == 9) pool.yield(1 + below(3), now, out);
    if (what == 10) pool.freed();
    if (what == 11) cancel_one(1 + below(kTasks));
    settle();
    check();
  }
  void give_some(MemberId m, bool all) {
    const auto had = running[m];
    bool any = false;
    for (PoolKey key : had) {
      if (!all && below(2)) continue;
      EXPECT_TRUE(pool.completed(m, key));
      ended[key].push_back({});
      running[m].erase(key);
      any = true;
    }
    if (any) pool.progressed(m, now);
  }
  void submit_some() {
    for (uint32_t n = 1 + below(20); n > 0 && next <= kTasks; --n, ++next) {
      if (below(60) == 0) killers.insert(next);
      pool.submit(next, 1u << below(3), 1e5 * (1 + below(100)), now);
    }
  }
  void cancel_one(PoolKey key) {
    if (key >= next) return;
    unwanted.insert(key);
    pool.cancel(key, out);
  }
  // What runs is where the pool believes it is, and never more than an instance takes.
  void check() {
    size_t all = 0;
    for (auto& [m, keys] : running) {
      EXPECT_LE(keys.size(), capacity);
      EXPECT_TRUE(keys.empty() || live.count(m));
      all += keys.size();
    }
    EXPECT_EQ(pool.stats().running, all);
  }

  std::mt19937 draw;
  uint32_t capacity, members;
  std::set<PoolKey> killers, unwanted;
  PoolKey next = 1;

 private:
  explicit Chaos(std::mt19937 random) : Chaos(random, random()) {}
  Chaos(std::mt19937 random, uint32_t shape)
      : Driver(1 + shape % 6, policy_of(shape)), draw(random), capacity(1 + shape / 8 % 40), members(1 + shape % 6) {}
  static Pool::Policy policy_of(uint32_t shape) {
    Pool::Policy p = batches(1 + shape / 8 % 40);
    p.floor = shape / 512 % 3;
    p.idle = shape & (1u << 20) ? kSecond : 0;
    p.failed_starts = p.fast_deaths = 1u << 30;  // fault is another test's
    return p;
  }
};

class PoolAtRandom : public ::testing::TestWithParam<uint32_t> {};

// Every innocent task ends with a result, or its cancel.
TEST_P(PoolAtRandom, EveryTaskEndsExactlyOnce) {
  Chaos d(GetParam());
  for (int i = 0; i < 4000; ++i) d.step(false);
  while (d.next <= Chaos::kTasks) d.step(false);
  for (int i = 0; i < 200'000 && d.busy(); ++i) d.step(true);
  size_t lost = 0;
  for (PoolKey k = 1; k <= Chaos::kTasks; ++k) {
    const ErrorCode code = d.end_of(k).code;
    lost += code == ErrorCode::kDeviceLost;
    if (code == ErrorCode::kCancelled) {
      EXPECT_EQ(d.unwanted.count(k), 1u);
    }
    if (d.killers.count(k)) {
      EXPECT_TRUE(code == ErrorCode::kDeviceLost || code == ErrorCode::kCancelled) << k;
    }
  }
  EXPECT_LT(lost, Chaos::kTasks / 2);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PoolAtRandom, ::testing::Range(0u, 60u));

}  // namespace
}  // namespace qfw::qpm
