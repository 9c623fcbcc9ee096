// The dispatcher, replayed event by event: no threads, no clock but the numbers given.
#include "qpm/native/dispatch.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace qfw::qpm {
namespace {

using Ids = std::vector<TaskId>;

class DispatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    d.add_device(0, "a", 1);
    d.add_device(1, "b", 1);
    for (SessionId s : {1, 2}) d.open_session(s);
  }

  TicketPtr submit(SessionId session, StreamId stream, TaskId task, int32_t priority = 0, uint64_t deadline = 0) {
    auto t = std::make_shared<Ticket>();
    t->session = session;
    t->stream = stream;
    t->task = task;
    t->priority = priority;
    t->deadline = deadline;
    d.submit(t, out);
    return t;
  }

  Ids started() { return drain(out.start); }
  Ids stopped() { return drain(out.stop); }
  Ids failed(ErrorCode code) {
    for (const auto& t : out.fail) EXPECT_EQ(t->doom.code, code) << t->doom.message;
    return drain(out.fail);
  }
  Ids finish(const TicketPtr& t) {
    d.finished(*t, out);
    return started();
  }
  static Ids drain(std::vector<TicketPtr>& tickets) {
    Ids ids;
    for (const auto& t : tickets) ids.push_back(t->task);
    tickets.clear();
    return ids;
  }

  Dispatcher d{{10, 2, 4}};
  Dispatcher::Actions out;
};

TEST_F(DispatchTest, LateBindingTakesTheFirstFreeDevice) {
  d.open_stream(1, 1, {0, 1}, Order::kParallel);
  auto t1 = submit(1, 1, 1), t2 = submit(1, 1, 2), t3 = submit(1, 1, 3);
  EXPECT_EQ(started(), (Ids{1, 2}));
  EXPECT_EQ(t1->device, 0u);
  EXPECT_EQ(t2->device, 1u);
  EXPECT_EQ(finish(t2), (Ids{3}));
  EXPECT_EQ(t3->device, 1u);
  EXPECT_EQ(d.load(0), 1u);
  finish(t1);
  finish(t3);
  EXPECT_EQ(d.running(), 0u);
  EXPECT_EQ(d.queued(), 0u);
}

TEST_F(DispatchTest, SequentialStreamHasOneInFlight) {
  d.open_stream(1, 1, {0, 1}, Order::kSequential);
  auto t1 = submit(1, 1, 1), t2 = submit(1, 1, 2, 5), t3 = submit(1, 1, 3);
  EXPECT_EQ(started(), (Ids{1}));
  EXPECT_EQ(finish(t1), (Ids{2}));
  EXPECT_EQ(finish(t2), (Ids{3}));
}

TEST_F(DispatchTest, SequentialStreamsOfOneDeviceTakeTurns) {
  d.open_stream(1, 1, {0}, Order::kSequential);
  d.open_stream(1, 2, {0}, Order::kSequential);
  auto a1 = submit(1, 1, 11), a2 = submit(1, 1, 12), b1 = submit(1, 2, 21), b2 = submit(1, 2, 22);
  EXPECT_EQ(started(), (Ids{11}));
  EXPECT_EQ(finish(a1), (Ids{21}));
  EXPECT_EQ(finish(b1), (Ids{12}));
  EXPECT_EQ(finish(a2), (Ids{22}));
}

TEST_F(DispatchTest, SessionsTakeTurns) {
  d.open_stream(1, 1, {0}, Order::kParallel);
  d.open_stream(2, 1, {0}, Order::kParallel);
  std::vector<TicketPtr> all;
  for (TaskId i = 0; i < 4; ++i) all.push_back(submit(1, 1, 100 + i));
  for (TaskId i = 0; i < 4; ++i) all.push_back(submit(2, 1, 200 + i));
  Ids order = started();
  while (order.size() < 8) {
    for (const auto& t : all)
      if (t->task == order.back()) {
        for (TaskId id : finish(t)) order.push_back(id);
        break;
      }
  }
  EXPECT_EQ(order, (Ids{100, 200, 101, 201, 102, 202, 103, 203}));
}

TEST_F(DispatchTest, OneThatComesBackFromIdlingGoesBeforeACrowd) {
  constexpr SessionId kLast = 11;
  Dispatcher w{{1000, 20, 4}};
  Dispatcher::Actions actions;
  w.add_device(0, "a", 1);
  const auto give = [&](SessionId session, TaskId task) {
    auto t = std::make_shared<Ticket>();
    t->session = session;
    t->stream = 1;
    t->task = task;
    w.submit(t, actions);
  };
  for (SessionId s = 1; s <= kLast; ++s) {
    w.open_session(s);
    w.open_stream(s, 1, {0}, Order::kParallel);
    for (TaskId i = 0; i < 10 && s < kLast; ++i) give(s, i);
  }
  for (int i = 0; i < 55; ++i) {
    ASSERT_EQ(actions.start.size(), 1u);
    const TicketPtr running = std::exchange(actions.start, {})[0];
    if (i == 15 || i == 38) give(kLast, 100 + i);
    if (i == 16 || i == 39) {
      EXPECT_EQ(running->session, kLast) << i;
    }
    w.finished(*running, actions);
  }
}

TEST_F(DispatchTest, WeightAndCostDecideTheShare) {
  Dispatcher w{{100, 4, 4}};
  w.add_device(0, "a", 1);
  w.open_session(1, 3.0);
  w.open_session(2, 1.0);
  w.open_stream(1, 1, {0}, Order::kParallel);
  w.open_stream(2, 1, {0}, Order::kParallel);
  Dispatcher::Actions acts;
  for (TaskId i = 0; i < 40; ++i) {
    for (SessionId s : {1, 2}) {
      auto t = std::make_shared<Ticket>();
      t->session = s;
      t->stream = 1;
      t->task = i;
      w.submit(t, acts);
    }
  }
  size_t of_first = 0;
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(acts.start.size(), 1u);
    TicketPtr t = acts.start.back();
    acts.start.clear();
    of_first += t->session == 1;
    w.finished(*t, acts);
  }
  EXPECT_EQ(of_first, 30u);
}

TEST_F(DispatchTest, HigherPriorityFirst) {
  d.open_stream(1, 1, {0}, Order::kParallel);
  auto t1 = submit(1, 1, 1), t2 = submit(1, 1, 2), t3 = submit(1, 1, 3, 7), t4 = submit(1, 1, 4, 7);
  EXPECT_EQ(started(), (Ids{1}));
  EXPECT_EQ(finish(t1), (Ids{3}));
  EXPECT_EQ(finish(t3), (Ids{4}));
  EXPECT_EQ(finish(t4), (Ids{2}));
}

TEST_F(DispatchTest, CancelOfQueuedAndRunning) {
  d.open_stream(1, 1, {0}, Order::kParallel);
  auto t1 = submit(1, 1, 1), t2 = submit(1, 1, 2), t3 = submit(1, 1, 3);
  EXPECT_EQ(started(), (Ids{1}));
  d.cancel(1, 2, out);
  EXPECT_EQ(failed(ErrorCode::kCancelled), (Ids{2}));
  d.cancel(1, 1, out);
  EXPECT_EQ(stopped(), (Ids{1}));
  d.cancel(1, 99, out);
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(finish(t1), (Ids{3}));
}

TEST_F(DispatchTest, CancelledTaskOfASequentialStreamEndsInItsTurn) {
  d.open_stream(1, 1, {0}, Order::kSequential);
  auto t1 = submit(1, 1, 1), t2 = submit(1, 1, 2), t3 = submit(1, 1, 3);
  EXPECT_EQ(started(), (Ids{1}));
  d.cancel(1, 2, out);
  EXPECT_TRUE(out.fail.empty());
  d.finished(*t1, out);
  EXPECT_EQ(failed(ErrorCode::kCancelled), (Ids{2}));
  EXPECT_EQ(started(), (Ids{3}));
}

TEST_F(DispatchTest, DeadlinesOfQueuedAndRunning) {
  d.open_stream(1, 1, {0}, Order::kParallel);
  auto t1 = submit(1, 1, 1, 0, 300), t2 = submit(1, 1, 2, 0, 100), t3 = submit(1, 1, 3, 0, 200);
  EXPECT_EQ(started(), (Ids{1}));
  EXPECT_EQ(d.next_deadline(), 100u);
  d.expire(99, out);
  EXPECT_TRUE(out.empty());
  d.expire(250, out);
  EXPECT_EQ(failed(ErrorCode::kDeadlineExceeded), (Ids{2, 3}));
  d.expire(300, out);
  EXPECT_EQ(stopped(), (Ids{1}));
  EXPECT_TRUE(t1->expired);
  EXPECT_EQ(d.next_deadline(), UINT64_MAX);
  finish(t1);
}

TEST_F(DispatchTest, NoUsableDeviceFailsTyped) {
  d.open_stream(1, 1, {0, 1}, Order::kParallel);
  d.set_device_status(0, DeviceStatus::kFault, "burnt", out);
  auto t1 = submit(1, 1, 1), t2 = submit(1, 1, 2);
  EXPECT_EQ(started(), (Ids{1}));
  EXPECT_EQ(t1->device, 1u);
  d.set_device_status(1, DeviceStatus::kDraining, "", out);
  ASSERT_EQ(out.fail.size(), 1u);
  EXPECT_TRUE(out.fail[0]->doom.transient);
  EXPECT_NE(out.fail[0]->doom.message.find("burnt"), std::string::npos);
  EXPECT_EQ(failed(ErrorCode::kUnavailable), (Ids{2}));
  submit(1, 1, 3);
  EXPECT_EQ(failed(ErrorCode::kUnavailable), (Ids{3}));
  finish(t1);
}

TEST_F(DispatchTest, StartingDeviceKeepsItsTasks) {
  d.open_stream(1, 1, {0}, Order::kParallel);
  d.set_device_status(0, DeviceStatus::kStarting, "", out);
  submit(1, 1, 1);
  EXPECT_TRUE(out.empty());
  d.set_device_status(0, DeviceStatus::kOnline, "", out);
  EXPECT_EQ(started(), (Ids{1}));
}

TEST_F(DispatchTest, TasksGoOnlyWhereTheyCanRun) {
  d.open_stream(1, 1, {0, 1}, Order::kParallel);
  d.open_stream(1, 2, {0, 1}, Order::kSequential);
  for (TaskId id : {1, 2}) {
    auto t = std::make_shared<Ticket>();
    t->session = 1;
    t->stream = id == 1 ? 1 : 2;
    t->task = id;
    t->devices = {1};
    d.submit(t, out);
  }
  ASSERT_EQ(out.start.size(), 1u);
  auto first = out.start[0];
  EXPECT_EQ(first->device, 1u);
  started();
  auto t3 = submit(1, 1, 3);
  EXPECT_EQ(started(), (Ids{3}));
  EXPECT_EQ(t3->device, 0u);
  EXPECT_EQ(finish(first), (Ids{2}));
}

TEST_F(DispatchTest, BoundsAreTyped) {
  EXPECT_THROW(d.open_session(3), Error);
  d.open_stream(1, 1, {0}, Order::kParallel);
  for (TaskId i = 0; i < 11; ++i) submit(1, 1, i);
  EXPECT_EQ(d.queued(), 10u);
  submit(1, 1, 100);
  ASSERT_EQ(out.fail.size(), 1u);
  EXPECT_TRUE(out.fail[0]->doom.transient);
  EXPECT_GT(out.fail[0]->doom.retry_after_s, 0.0);
  EXPECT_EQ(failed(ErrorCode::kResourceExhausted), (Ids{100}));
  submit(1, 9, 101);
  EXPECT_EQ(failed(ErrorCode::kNotFound), (Ids{101}));
  submit(1, 1, 5);
  EXPECT_EQ(failed(ErrorCode::kInvalidArgument), (Ids{5}));
  EXPECT_THROW(d.open_stream(1, 1, {0}, Order::kParallel), Error);
  EXPECT_THROW(d.open_stream(1, 2, {7}, Order::kParallel), Error);
  EXPECT_THROW(d.open_stream(1, 2, {}, Order::kParallel), Error);
}

TEST_F(DispatchTest, CloseOfStreamAndSession) {
  d.open_stream(1, 1, {0}, Order::kSequential);
  d.open_stream(1, 2, {1}, Order::kParallel);
  auto t1 = submit(1, 1, 1), t2 = submit(1, 1, 2), t3 = submit(1, 2, 3), t4 = submit(1, 2, 4);
  EXPECT_EQ(started(), (Ids{1, 3}));
  d.close_stream(1, 1, out);
  EXPECT_EQ(stopped(), (Ids{1}));
  EXPECT_TRUE(out.fail.empty());
  d.finished(*t1, out);
  EXPECT_EQ(failed(ErrorCode::kCancelled), (Ids{2}));
  d.close_session(1, out);
  EXPECT_EQ(failed(ErrorCode::kCancelled), (Ids{4}));
  EXPECT_EQ(stopped(), (Ids{3}));
  EXPECT_EQ(finish(t3), (Ids{}));
  EXPECT_EQ(d.running(), 0u);
  EXPECT_EQ(d.queued(), 0u);
  d.open_session(3);
}

TEST_F(DispatchTest, CloseOfASessionEndsWhatAClosedStreamLeft) {
  d.open_stream(1, 1, {0}, Order::kSequential);
  auto t1 = submit(1, 1, 1), t2 = submit(1, 1, 2);
  EXPECT_EQ(started(), (Ids{1}));
  d.close_stream(1, 1, out);
  d.close_session(1, out);
  EXPECT_EQ(failed(ErrorCode::kCancelled), (Ids{2}));
  stopped();
  EXPECT_EQ(finish(t1), (Ids{}));
  EXPECT_EQ(d.running(), 0u);
  EXPECT_EQ(d.queued(), 0u);
}

TEST_F(DispatchTest, PausedSessionKeepsItsTasks) {
  d.open_stream(1, 1, {0}, Order::kParallel);
  auto t1 = submit(1, 1, 1), t2 = submit(1, 1, 2);
  started();
  d.pause_session(1, true, out);
  EXPECT_EQ(finish(t1), (Ids{}));
  d.pause_session(1, false, out);
  EXPECT_EQ(started(), (Ids{2}));
}

}  // namespace
}  // namespace qfw::qpm
