// The book of what a client has submitted and has no result of: deaths, cancels, deadlines, tasks that kill.
#include "qpm/api/native/unfinished.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace qfw::qpm {
namespace {

TaskPtr task(TaskId id, uint64_t deadline = 0, StreamId stream = 1) {
  auto t = std::make_shared<Task>();
  t->id = id;
  t->stream = stream;
  t->deadline_ns = deadline;
  return t;
}

std::vector<TaskId> ids(const std::vector<TaskPtr>& tasks) {
  std::vector<TaskId> out;
  for (const auto& t : tasks) out.push_back(t->id);
  return out;
}

using Ids = std::vector<TaskId>;

TEST(Unfinished, GoesOutAtOnceAndEndsOnce) {
  Unfinished u;
  EXPECT_TRUE(u.add(task(1), 10));
  EXPECT_EQ(u.size(), 1u);
  const auto entry = u.take(1);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->submitted, 10u);
  EXPECT_FALSE(u.take(1)) << "a second completion of the same task";
  EXPECT_EQ(u.size(), 0u);
}

TEST(Unfinished, ADeathPutsWhatWasInFlightBackInOrder) {
  Unfinished u;
  for (TaskId id : {7, 3, 9}) EXPECT_TRUE(u.add(task(id), 1));
  u.take(3);
  EXPECT_TRUE(u.lost().empty());
  EXPECT_FALSE(u.add(task(1), 2));
  EXPECT_TRUE(u.next(3).empty()) << "nothing goes out without a runtime";
  u.connected();
  EXPECT_EQ(ids(u.next(5)), (Ids{7, 9, 1}));
  EXPECT_TRUE(u.next(5).empty());
  const auto entry = u.take(7);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->submitted, 1u);
  EXPECT_EQ(entry->sent, 5u);
}

TEST(Unfinished, CancelEndsWhatWaitsAndForgetsWhatIsInFlightWithTheRuntime) {
  Unfinished u;
  for (TaskId id : {1, 2, 3}) u.add(task(id), 1);
  EXPECT_FALSE(u.cancel(1)) << "the runtime ends it";
  const auto ended = u.lost();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].entry.task->id, 1u);
  EXPECT_EQ(ended[0].failure.code, ErrorCode::kCancelled);
  const auto second = u.cancel(2);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->failure.code, ErrorCode::kCancelled);
  EXPECT_FALSE(u.cancel(99));
  u.connected();
  EXPECT_EQ(ids(u.next(2)), Ids{3});
}

TEST(Unfinished, AClosedStreamEndsInOrder) {
  Unfinished u;
  for (TaskId id : {5, 4, 6}) u.add(task(id, 0, id == 4 ? 2 : 1), 1);
  u.lost();
  const auto ended = u.cancel_stream(1);
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_EQ(ended[0].entry.task->id, 5u);
  EXPECT_EQ(ended[1].entry.task->id, 6u);
  u.connected();
  EXPECT_EQ(ids(u.next(2)), Ids{4});
}

TEST(Unfinished, ADeadlineCountsFromTheFirstSubmission) {
  Unfinished u;
  u.add(task(1, 100), 1000);
  u.add(task(2, 500), 1000);
  u.lost();
  EXPECT_EQ(u.next_deadline(), 1100u);
  EXPECT_TRUE(u.expire(1099).empty());
  const auto ended = u.expire(1100);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].failure.code, ErrorCode::kDeadlineExceeded);
  u.connected();
  const auto sent = u.next(1200);
  ASSERT_EQ(ids(sent), Ids{2});
  EXPECT_EQ(sent[0]->deadline_ns, 300u) << "what is left of it";
  EXPECT_EQ(u.next_deadline(), UINT64_MAX) << "in flight, it is the runtime's to watch";
}

TEST(Unfinished, OneThatKillsIsGivenUpAndItsNeighboursAreNot) {
  Unfinished u;  // three deaths raise suspicion, three more convict
  for (TaskId id = 1; id <= 5; ++id) u.add(task(id), 1);
  std::set<TaskId> done;
  std::map<TaskId, ErrorCode> failed;
  int deaths = 0;
  for (int round = 0; round < 100 && u.size() > 0; ++round) {
    u.connected();
    const auto sent = u.next(2);
    bool died = false;
    for (const auto& t : sent) died = died || t->id == 3;
    if (died) {
      ++deaths;
      for (auto& e : u.lost()) failed[e.entry.task->id] = e.failure.code;
      continue;
    }
    for (const auto& t : sent) {
      EXPECT_TRUE(u.take(t->id));
      EXPECT_TRUE(done.insert(t->id).second);
    }
    if (round == 0) {
      ++deaths;  // what was in flight before the first round
      u.lost();
    }
  }
  EXPECT_EQ(done, (std::set<TaskId>{1, 2, 4, 5}));
  EXPECT_EQ(failed, (std::map<TaskId, ErrorCode>{{3, ErrorCode::kDeviceLost}}));
  EXPECT_LE(deaths, 7);
}

TEST(Unfinished, WhileSuspiciousOneTaskGoesAtATime) {
  Unfinished u;
  for (TaskId id = 1; id <= 3; ++id) u.add(task(id), 1);
  for (int i = 0; i < 3; ++i) {
    u.lost();
    u.connected();
    if (i < 2) {
      EXPECT_EQ(u.next(2).size(), 3u);
    }
  }
  EXPECT_EQ(ids(u.next(2)), Ids{1});
  EXPECT_FALSE(u.has_next());
  EXPECT_FALSE(u.add(task(4), 3)) << "the new one waits as well";
  u.take(1);
  EXPECT_EQ(ids(u.next(2)), Ids{2});
  u.take(2);
  EXPECT_EQ(ids(u.next(2)), Ids{3});
  u.take(3);
  EXPECT_EQ(ids(u.next(2)), Ids{4}) << "all suspects are cleared";
  EXPECT_TRUE(u.add(task(5), 3));
}

TEST(Unfinished, DeathsWithProgressBlameNobody) {
  Unfinished u;
  for (TaskId id = 1; id <= 60; ++id) u.add(task(id), 1);
  for (TaskId id = 1; id <= 50; ++id) {
    u.take(id);
    EXPECT_TRUE(u.lost().empty());
    u.connected();
    EXPECT_EQ(u.next(1).size(), 60 - id);
  }
}

TEST(Unfinished, EveryTaskEndsOnceWhateverHappens) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    Unfinished u;
    std::set<TaskId> open;  // submitted, not ended
    std::set<TaskId> flying;
    const auto end = [&](const std::vector<Unfinished::Ended>& ended) {
      for (const auto& e : ended) {
        EXPECT_EQ(open.erase(e.entry.task->id), 1u) << "seed " << seed;
        flying.erase(e.entry.task->id);
      }
    };
    TaskId next = 0;
    for (uint64_t now = 1; now < 400; ++now) {
      switch (random() % 8) {
        case 0:
        case 1:
        case 2: {
          const TaskId id = ++next;
          open.insert(id);
          if (u.add(task(id, random() % 3 ? 0 : 1 + random() % 40, random() % 3), now)) flying.insert(id);
          break;
        }
        case 3:
          if (!flying.empty()) {
            const TaskId id = *flying.begin();
            EXPECT_TRUE(u.take(id)) << "seed " << seed;
            flying.erase(id);
            open.erase(id);
          }
          break;
        case 4:
          flying.clear();
          end(u.lost());
          break;
        case 5:
          u.connected();
          for (const auto& t : u.next(now)) EXPECT_TRUE(flying.insert(t->id).second) << "seed " << seed;
          break;
        case 6:
          if (next)
            if (auto e = u.cancel(1 + random() % next)) end({*e});
          break;
        default:
          if (random() % 8 == 0) end(u.cancel_stream(random() % 3));
          end(u.expire(now));
      }
      ASSERT_EQ(u.size(), open.size()) << "seed " << seed;
    }
    end(u.end_all({ErrorCode::kConnectionLost, "over"}));
    EXPECT_TRUE(open.empty());
    EXPECT_EQ(u.size(), 0u);
  }
}

}  // namespace
}  // namespace qfw::qpm
