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
  void fail(MemberId m) {
    ASSERT_EQ(starting.erase(m), 1u);
    pool.failed(m, {ErrorCode::kUnsupported, "no licence"}, now, out);
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
// else wants slots. In the end every task has ended exactly once, and every innocent one with a result or its cancel.
class PoolAtRandom : public ::testing::TestWithParam<uint32_t> {};

TEST_P(PoolAtRandom, EveryTaskEndsExactlyOnce) {
  std::mt19937 draw(GetParam());
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(draw() % n); };
  Pool::Policy policy = batches(1 + below(40));
  policy.floor = below(3);
  policy.idle = below(2) ? kSecond : 0;
  policy.failed_starts = policy.fast_deaths = 1u << 30;  // fault is another test's
  const uint32_t members = 1 + below(6), tasks = 300;
  Driver d(members, policy);
  std::set<PoolKey> killers, wanted_away;
  PoolKey next = 1;
  const auto step = [&](bool calm) {
    d.now += below(50) * kMs;
    const auto pick = [&](const auto& set) { return std::next(set.begin(), below(static_cast<uint32_t>(set.size()))); };
    for (auto& [m, keys] : d.running)
      if (std::any_of(keys.begin(), keys.end(), [&](PoolKey k) { return killers.count(k) > 0; })) return d.die(m);
    switch (below(calm ? 5 : 12)) {
      case 0:
      case 1:
      case 2: {  // one that has something gives some of it back
        const MemberId m = below(members);
        bool any = false;
        for (auto it = d.running[m].begin(); it != d.running[m].end();) {
          if (!calm && below(2)) {
            ++it;
            continue;
          }
          EXPECT_TRUE(d.pool.completed(m, *it));
          d.ended[*it].push_back({});
          it = d.running[m].erase(it);
          any = true;
        }
        if (any) d.pool.progressed(m, d.now);
        break;
      }
      case 3:
        if (!d.starting.empty()) return d.up(pick(d.starting)->first);
        break;
      case 4:
        if (!d.lowering.empty()) return d.lowered(*pick(d.lowering));
        break;
      case 5:
        if (next > tasks) break;
        for (uint32_t n = 1 + below(20); n > 0 && next <= tasks; --n, ++next) {
          if (below(60) == 0) killers.insert(next);
          d.pool.submit(next, 1u << below(3), 1e5 * (1 + below(100)), d.now);
        }
        break;
      case 6:
        if (!d.live.empty()) return d.die(*pick(d.live), below(3) > 0);
        break;
      case 7:
        if (!d.starting.empty()) return d.refuse(pick(d.starting)->first);
        break;
      case 8:
        if (!d.starting.empty()) return d.fail(pick(d.starting)->first);
        break;
      case 9:
        d.pool.yield(1 + below(3), d.now, d.out);
        break;
      case 10:
        d.pool.freed();
        break;
      case 11: {
        const PoolKey key = 1 + below(tasks);
        if (key < next) wanted_away.insert(key), d.pool.cancel(key, d.out);
        break;
      }
    }
    d.settle();
    // What runs is where the pool believes it is, and never more than an instance takes.
    size_t running = 0;
    for (auto& [m, keys] : d.running) {
      EXPECT_LE(keys.size(), policy.capacity);
      EXPECT_TRUE(keys.empty() || d.live.count(m));
      running += keys.size();
    }
    EXPECT_EQ(d.pool.stats().running, running);
  };
  for (int i = 0; i < 4000; ++i) step(false);
  while (next <= tasks) step(false);
  for (int i = 0; i < 200'000 && d.pool.stats().backlog + d.pool.stats().running > 0; ++i) step(true);
  std::set<PoolKey> lost;
  for (PoolKey k = 1; k <= tasks; ++k) {
    const Failure f = d.end_of(k);
    if (f.code == ErrorCode::kDeviceLost) lost.insert(k);
    if (f.code == ErrorCode::kCancelled) {
      EXPECT_EQ(wanted_away.count(k), 1u);
    }
    if (killers.count(k)) {
      EXPECT_TRUE(f.code == ErrorCode::kDeviceLost || f.code == ErrorCode::kCancelled) << k;
    }
  }
  EXPECT_LT(lost.size(), tasks / 2u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PoolAtRandom, ::testing::Range(0u, 60u));

}  // namespace
}  // namespace qfw::qpm
