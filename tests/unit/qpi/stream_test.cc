#include "qpi/native/stream.h"

#include <gtest/gtest.h>

#include <thread>

#include "qpi/native/context.h"
#include "tests/unit/qpi/fake_session.h"

namespace qfw::qpi::testing {
namespace {

struct Fixture {
  explicit Fixture(qpm::Order order = qpm::Order::kParallel, uint32_t window = 8, bool immediate = false)
      : session(std::make_shared<FakeSession>(window, immediate)),
        context(Context::over(session)),
        mesh(context->mesh()),
        queue(context->completion_queue()),
        stream(context->stream(*mesh, order, queue)) {}

  std::vector<OperationPtr> read(size_t max = 64) {
    std::vector<OperationPtr> out;
    queue->read(out, max, 1, Deadline::now());
    return out;
  }

  std::shared_ptr<FakeSession> session;
  std::shared_ptr<Context> context;
  std::shared_ptr<Mesh> mesh;
  std::shared_ptr<CompletionQueue> queue;
  std::unique_ptr<Stream> stream;
};

TEST(Stream, GivesTheContextPointerBackUntouched) {
  Fixture f;
  int mine = 0;
  const auto id = f.stream->submit(task(), UserContext(&mine));
  EXPECT_TRUE(f.read().empty());
  f.session->finish(id);
  auto done = f.read();
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0]->id, id);
  EXPECT_EQ(done[0]->context.get(), &mine);
  EXPECT_EQ(done[0]->results.at(0).device, "fake");
}

TEST(Stream, ParallelCompletesAsTasksEnd) {
  Fixture f;
  const auto first = f.stream->submit(task());
  const auto second = f.stream->submit(task());
  f.session->finish(second);
  f.session->finish(first);
  auto done = f.read();
  ASSERT_EQ(done.size(), 2u);
  EXPECT_EQ(done[0]->id, second);
  EXPECT_EQ(done[1]->id, first);
}

TEST(Stream, SequentialCompletesInOrderWhateverEndsFirst) {
  Fixture f(qpm::Order::kSequential);
  const auto first = f.stream->submit(task());
  const auto second = f.stream->submit(task());
  const auto third = f.stream->submit(task());
  f.session->finish(third);
  f.session->finish(second);
  EXPECT_EQ(f.queue->size(), 0u);
  f.session->finish(first);
  auto done = f.read();
  ASSERT_EQ(done.size(), 3u);
  EXPECT_EQ(done[0]->id, first);
  EXPECT_EQ(done[1]->id, second);
  EXPECT_EQ(done[2]->id, third);
}

TEST(Stream, SendsABatchInOneMessage) {
  Fixture f;
  std::vector<Request> batch(5);
  for (auto& r : batch) r = request();
  const auto ids = f.stream->submit_many(batch);
  EXPECT_EQ(ids.size(), 5u);
  EXPECT_EQ(f.session->messages, std::vector<size_t>{5});
  EXPECT_EQ(f.session->order, ids);
}

TEST(Stream, RefusesAnEmptyBatch) {
  Fixture f;
  EXPECT_EQ(code_of([&] { f.stream->submit_many({}); }), ErrorCode::kInvalidArgument);
}

TEST(Stream, NeverPassesTheWindow) {
  Fixture f(qpm::Order::kParallel, 8);
  f.session->helpful = true;
  std::vector<Request> batch(100);
  for (auto& r : batch) r = request();
  EXPECT_EQ(f.stream->submit_many(batch).size(), 100u);
  EXPECT_LE(f.session->most, 8u);
  EXPECT_TRUE(f.stream->wait(Deadline::never()));
  EXPECT_EQ(f.read(200).size(), 100u);
}

TEST(Stream, WithoutCreditSaysSo) {
  Fixture f(qpm::Order::kParallel, 2);
  std::vector<Request> batch(3);
  for (auto& r : batch) r = request();
  EXPECT_EQ(f.stream->submit_many(batch, Deadline::now()).size(), 2u);
  std::string text;
  EXPECT_EQ(code_of([&] { f.stream->submit(task(), {}, Deadline::now()); }, &text), ErrorCode::kResourceExhausted);
  EXPECT_NE(text.find("2 tasks are outstanding"), std::string::npos) << text;
  f.session->finish_all();
  EXPECT_EQ(f.queue->outstanding(), 0u);
  EXPECT_EQ(f.queue->size(), 2u);
}

TEST(Stream, SubmitWaitsForCreditOfAnotherThread) {
  Fixture f(qpm::Order::kParallel, 1);
  const auto first = f.stream->submit(task());
  std::thread other([&] { f.session->finish(first); });
  const auto second = f.stream->submit(task());
  other.join();
  EXPECT_NE(first, second);
  EXPECT_EQ(f.session->held.size(), 1u);
}

TEST(Stream, AGroupHasOneCompletionWithResultsInOrder) {
  Fixture f(qpm::Order::kParallel, 4);
  int mine = 0;
  std::vector<Request> batch(1);
  batch[0] = request(&mine, 3);
  const auto id = f.stream->submit_many(batch).at(0);
  ASSERT_EQ(f.session->order.size(), 3u);
  for (int i : {2, 0, 1}) {
    EXPECT_EQ(f.queue->size(), 0u);
    f.session->finish(f.session->order[static_cast<size_t>(i)], success("d" + std::to_string(i)));
  }
  auto done = f.read();
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0]->id, id);
  EXPECT_EQ(done[0]->context.get(), &mine);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(done[0]->results[i].device, "d" + std::to_string(i));
}

TEST(Stream, AGroupLargerThanTheWindowGoesOutInPieces) {
  Fixture f(qpm::Order::kParallel, 4);
  std::vector<Request> batch(1);
  batch[0] = request(nullptr, 50);
  f.stream->submit_many(batch);
  while (!f.stream->wait(Deadline::now())) f.session->finish_all();
  auto done = f.read();
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0]->results.size(), 50u);
  EXPECT_LE(f.session->most, 4u);
}

TEST(Stream, AFailureInAGroupIsTheOperationsFailure) {
  Fixture f;
  std::vector<Request> batch(1);
  batch[0] = request(nullptr, 2);
  f.stream->submit_many(batch);
  f.session->finish(f.session->order[0]);
  f.session->fail(f.session->order[1], ErrorCode::kDevice, "the laser is off");
  auto error = f.queue->read_error();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->failure().message, "the laser is off");
  EXPECT_FALSE(error->results[0].failure);
}

TEST(Stream, CancelReachesEveryTaskOfTheOperation) {
  Fixture f;
  std::vector<Request> batch(1);
  batch[0] = request(nullptr, 3);
  const auto id = f.stream->submit_many(batch).at(0);
  f.stream->cancel(id);
  EXPECT_TRUE(f.session->held.empty());
  auto error = f.queue->read_error();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->failure().code, ErrorCode::kCancelled);
  EXPECT_EQ(code_of([&] { f.stream->cancel(id); }), ErrorCode::kNotFound);
}

TEST(Stream, CannotCancelAnotherStreamsOperation) {
  Fixture f;
  auto other = f.context->stream(*f.mesh, qpm::Order::kParallel, f.queue);
  const auto id = f.stream->submit(task());
  EXPECT_EQ(code_of([&] { other->cancel(id); }), ErrorCode::kNotFound);
  other->cancel_all();
  EXPECT_EQ(f.session->held.size(), 1u);
  f.stream->cancel_all();
  EXPECT_TRUE(f.session->held.empty());
}

TEST(Stream, WaitHelpsTheRuntimeAndReportsATimeout) {
  Fixture f;
  f.stream->submit(task());
  EXPECT_FALSE(f.stream->wait(Deadline::now()));
  EXPECT_FALSE(f.stream->wait(Deadline::after_ms(1)));
  EXPECT_GT(f.session->helped.load(), 0);
  f.session->helpful = true;
  EXPECT_TRUE(f.stream->wait(Deadline::never()));
}

TEST(Stream, CloseCancelsAndRefusesMore) {
  Fixture f;
  f.stream->submit(task());
  f.stream->close();
  f.stream->close();
  auto error = f.queue->read_error();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->failure().code, ErrorCode::kCancelled);
  EXPECT_EQ(code_of([&] { f.stream->submit(task()); }), ErrorCode::kClosed);
}

TEST(Stream, ABrokenConnectionLeavesNothingBehind) {
  Fixture f;
  f.session->broken = true;
  EXPECT_EQ(code_of([&] { f.stream->submit(task()); }), ErrorCode::kConnectionLost);
  EXPECT_EQ(f.queue->outstanding(), 0u);
  EXPECT_EQ(f.context->router()->outstanding(), 0u);
  std::vector<Request> group(1);
  group[0] = request(nullptr, 3);
  EXPECT_EQ(code_of([&] { f.stream->submit_many(group); }), ErrorCode::kConnectionLost);
  EXPECT_EQ(f.context->router()->outstanding(), 0u);
  EXPECT_TRUE(f.stream->wait(Deadline::now()));
}

TEST(Stream, AFailedSubmissionWakesThoseWhoWaitForItsCredit) {
  Fixture f(qpm::Order::kParallel, 1);
  f.stream->submit(task());
  auto other = f.context->stream(*f.mesh, qpm::Order::kParallel, nullptr);
  std::atomic<int> lost{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      if (code_of([&] { other->submit(task()); }) == ErrorCode::kConnectionLost) ++lost;
    });
  {
    std::lock_guard lock(f.session->mutex);
    f.session->broken = true;
  }
  f.session->finish_all();
  for (auto& t : threads) t.join();
  EXPECT_EQ(lost.load(), 3);
}

TEST(Stream, TimingPartsAddUpToTheWallTime) {
  Fixture f;
  Task t = task();
  t.convert_ns = 100;
  t.tools_ns = 200;
  const auto before = Clock::now();
  const auto id = f.stream->submit(std::move(t));
  auto result = success();
  result.timing.queue_ns = 1;
  result.timing.execute_ns = 2;
  f.session->finish(id, std::move(result));
  const auto wall = static_cast<uint64_t>(std::chrono::nanoseconds(Clock::now() - before).count());
  const auto timing = f.read().at(0)->results[0].timing;
  EXPECT_EQ(timing.convert_ns, 100u);
  EXPECT_EQ(timing.tools_ns, 200u);
  EXPECT_EQ(timing.queue_ns, 1u);
  EXPECT_LE(timing.total_ns(), wall + 300);
  EXPECT_GE(timing.total_ns(), 303u);
}

TEST(Stream, WithoutAQueueCompletionsAreDropped) {
  auto session = std::make_shared<FakeSession>();
  auto context = Context::over(session);
  auto mesh = context->mesh();
  auto stream = context->stream(*mesh, qpm::Order::kParallel, nullptr);
  static int released;
  released = 0;
  stream->submit(task(), UserContext(&released, [](void*) { ++released; }));
  EXPECT_EQ(released, 1);  // at once: nobody will ask for it
  session->finish_all();
  EXPECT_TRUE(stream->wait(Deadline::now()));
}

// ---- operations besides tasks ------------------------------------------------------------------------------------

TEST(Stream, ABarrierCompletesAfterAllBeforeItAndHoldsWhatComesAfter) {
  Fixture f;
  int mine = 0;
  const auto first = f.stream->submit(task());
  const auto second = f.stream->submit(task());
  const auto barrier = f.stream->barrier(UserContext(&mine));
  const auto after = f.stream->submit(task());
  EXPECT_EQ(f.session->order.size(), 2u);
  f.session->finish(second);
  EXPECT_EQ(f.read().size(), 1u);
  f.session->finish(first);
  while (f.session->count() < 3) std::this_thread::yield();
  auto done = f.read();
  ASSERT_EQ(done.size(), 2u);
  EXPECT_EQ(done[0]->id, first);
  EXPECT_EQ(done[1]->id, barrier);
  EXPECT_EQ(done[1]->kind, Kind::kBarrier);
  EXPECT_EQ(done[1]->context.get(), &mine);
  f.session->finish_all();
  EXPECT_EQ(f.read().at(0)->id, after);
}

TEST(Stream, ABarrierOfAnIdleStreamIsDoneAtOnce) {
  Fixture f;
  const auto id = f.stream->barrier();
  EXPECT_EQ(f.read().at(0)->id, id);
  EXPECT_TRUE(f.stream->wait(Deadline::now()));
}

TEST(Stream, AQueryGivesTheDevicesAsTheyAre) {
  Fixture f;
  f.stream->submit(task());
  const auto all = f.stream->query();
  EXPECT_TRUE(f.queue->wait(Deadline::after_s(30)));  // a parallel stream does not wait for the task
  auto done = f.read();
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0]->id, all);
  ASSERT_EQ(done[0]->devices.size(), 2u);
  EXPECT_EQ(done[0]->devices[0].name, "one");
  f.stream->query({2});
  EXPECT_TRUE(f.queue->wait(Deadline::after_s(30)));
  EXPECT_EQ(f.read().at(0)->devices.at(0).name, "two");
}

TEST(Stream, AQueryOfASequentialStreamHasItsTurn) {
  Fixture f(qpm::Order::kSequential);
  const auto first = f.stream->submit(task());
  const auto query = f.stream->query();
  const auto after = f.stream->submit(task());
  EXPECT_EQ(f.session->order.size(), 1u);
  f.session->finish(first);
  while (f.session->count() < 2) std::this_thread::yield();
  f.session->finish_all();
  auto done = f.read();
  ASSERT_EQ(done.size(), 3u);
  EXPECT_EQ(done[0]->id, first);
  EXPECT_EQ(done[1]->id, query);
  EXPECT_EQ(done[2]->id, after);
}

TEST(Stream, WhatIsHeldCanBeCancelled) {
  Fixture f;
  const auto running = f.stream->submit(task());
  const auto barrier = f.stream->barrier();
  const auto held = f.stream->submit(task());
  f.stream->cancel(held);
  auto error = f.queue->read_error();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->id, held);
  EXPECT_EQ(error->failure().code, ErrorCode::kCancelled);
  f.stream->cancel(barrier);
  EXPECT_EQ(f.queue->read_error()->id, barrier);
  EXPECT_EQ(f.session->held.size(), 1u);
  f.session->finish(running);
  EXPECT_EQ(f.read().at(0)->id, running);
}

TEST(Stream, CloseEndsWhatIsHeld) {
  Fixture f;
  f.stream->submit(task());
  f.stream->barrier();
  f.stream->submit(task());
  f.stream->query();
  f.stream->close();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(f.queue->read_error()->failure().code, ErrorCode::kCancelled);
  EXPECT_EQ(f.queue->outstanding(), 0u);
}

TEST(Stream, HeldTasksAreBoundedByTheWindow) {
  Fixture f(qpm::Order::kParallel, 4);
  f.stream->submit(task());
  f.stream->barrier();
  std::vector<Request> batch(20);
  for (auto& r : batch) r = request();
  EXPECT_EQ(f.stream->submit_many(batch, Deadline::now()).size(), 3u);  // the barrier is one of the four
  std::string text;
  EXPECT_EQ(code_of([&] { f.stream->submit(task(), {}, Deadline::now()); }, &text), ErrorCode::kResourceExhausted);
  EXPECT_NE(text.find("4 wait for their turn"), std::string::npos) << text;
  while (!f.stream->wait(Deadline::now())) f.session->finish_all();
  EXPECT_EQ(f.read().size(), 5u);
  EXPECT_LE(f.session->most, 4u);
}

TEST(Stream, CancelOfEverythingReachesEveryStream) {
  Fixture f;
  auto other = f.context->stream(*f.mesh, qpm::Order::kSequential, f.queue);
  f.stream->submit(task());
  other->submit(task());
  other->barrier();
  f.context->cancel();
  EXPECT_TRUE(f.session->held.empty());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f.queue->read_error()->failure().code, ErrorCode::kCancelled);
}

TEST(Stream, EachKindHasItsQueue) {
  Fixture f;
  Queues queues;
  queues.tasks = f.context->completion_queue();
  queues.queries = f.context->completion_queue();
  queues.errors = f.context->completion_queue();
  auto stream = f.context->stream(*f.mesh, qpm::Order::kParallel, queues);
  const auto good = stream->submit(task());
  const auto bad = stream->submit(task());
  const auto query = stream->query();
  const auto barrier = stream->barrier();
  f.session->fail(bad, ErrorCode::kDevice, "broken");
  f.session->finish(good);
  EXPECT_TRUE(stream->wait(Deadline::after_s(30)));
  std::vector<OperationPtr> out;
  EXPECT_EQ(queues.tasks->read(out, 9, 1, Deadline::now()), ReadStatus::kEntries);
  ASSERT_EQ(out.size(), 2u);  // barriers have no queue of their own
  EXPECT_EQ(out[0]->id, good);
  EXPECT_EQ(out[1]->id, barrier);
  out.clear();
  EXPECT_EQ(queues.queries->read(out, 9, 1, Deadline::now()), ReadStatus::kEntries);
  EXPECT_EQ(out.at(0)->id, query);
  EXPECT_EQ(queues.errors->read_error()->id, bad);
  for (const auto& q : {queues.tasks, queues.queries, queues.errors}) {
    EXPECT_EQ(q->outstanding(), 0u);
    EXPECT_EQ(q->size(), 0u);
  }
}

TEST(Stream, OnAllDevicesAPartialFailureNamesThem) {
  Fixture f;
  auto mesh = f.context->mesh({{}, {}, 0, true});
  auto stream = f.context->stream(*mesh, qpm::Order::kSequential, f.queue);
  const auto id = stream->submit(task());
  ASSERT_EQ(f.session->order.size(), 2u);
  f.session->fail(f.session->order[1], ErrorCode::kDevice, "the laser is off");
  EXPECT_EQ(f.queue->size(), 0u);
  f.session->finish(f.session->order[0]);
  auto error = f.queue->read_error();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->id, id);
  EXPECT_EQ(error->failure().code, ErrorCode::kDevice);
  EXPECT_EQ(error->failure().message, "1 of 2 devices failed: two: the laser is off");
  ASSERT_EQ(error->results.size(), 2u);
  EXPECT_FALSE(error->results[0].failure);
}

TEST(Stream, ManyThreadsGetEveryCompletionOnce) {
  Fixture f(qpm::Order::kParallel, 16, true);
  constexpr int kThreads = 4, kEach = 500;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) f.stream->submit(task());
    });
  std::set<OperationId> seen;
  while (seen.size() < kThreads * kEach) {
    std::vector<OperationPtr> out;
    f.queue->read(out, 64, 1, Deadline::after_s(10));
    ASSERT_FALSE(out.empty());
    for (auto& o : out) EXPECT_TRUE(seen.insert(o->id).second);
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(f.context->router()->outstanding(), 0u);
}

}  // namespace
}  // namespace qfw::qpi::testing
