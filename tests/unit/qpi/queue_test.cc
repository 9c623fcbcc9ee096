#include "qpi/native/queue.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

#include "tests/unit/qpi/fake_session.h"

namespace qfw::qpi::testing {
namespace {

void push(CompletionQueue& queue, OperationId id, bool failed = false) {
  auto operation = std::make_unique<Operation>();
  operation->id = id;
  operation->results.resize(1);
  if (failed) operation->results[0].failure = {ErrorCode::kDevice, "broken", false, 0.0};
  queue.deliver(std::move(operation));
}

bool readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, 0) == 1;
}

TEST(Queue, ReadsNeverMixSuccessAndError) {
  CompletionQueue queue;
  queue.reserve(4);
  push(queue, 1);
  push(queue, 2);
  push(queue, 3, true);
  push(queue, 4);
  std::vector<OperationPtr> out;
  EXPECT_EQ(queue.read_error(), nullptr);
  EXPECT_EQ(queue.read(out, 10, 4, Deadline::never()), ReadStatus::kEntries);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(queue.read(out, 10, 1, Deadline::never()), ReadStatus::kError);
  EXPECT_EQ(out.size(), 2u);
  EXPECT_EQ(queue.read_error()->id, 3u);
  EXPECT_EQ(queue.read(out, 10, 1, Deadline::now()), ReadStatus::kEntries);
  EXPECT_EQ(out.back()->id, 4u);
  EXPECT_EQ(queue.read(out, 10, 1, Deadline::now()), ReadStatus::kEmpty);
}

TEST(Queue, ATimeoutTakesNothing) {
  CompletionQueue queue;
  queue.reserve(2);
  push(queue, 1);
  std::vector<OperationPtr> out;
  EXPECT_EQ(queue.read(out, 2, 2, Deadline::after_ms(1)), ReadStatus::kTimeout);
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(queue.size(), 1u);
  push(queue, 2);
  EXPECT_EQ(queue.read(out, 2, 2, Deadline::never()), ReadStatus::kEntries);
  EXPECT_EQ(out.size(), 2u);
}

TEST(Queue, GivesWhatThereIsWhenNothingMoreIsToCome) {
  CompletionQueue queue;
  queue.reserve(1);
  push(queue, 1);
  std::vector<OperationPtr> out;
  EXPECT_EQ(queue.read(out, 10, 10, Deadline::never()), ReadStatus::kEntries);
  EXPECT_EQ(out.size(), 1u);
}

TEST(Queue, IsBoundedByItsCapacity) {
  CompletionQueue queue(2);
  queue.reserve(2);
  std::string text;
  EXPECT_EQ(code_of([&] { queue.reserve(1); }, &text), ErrorCode::kResourceExhausted);
  EXPECT_NE(text.find("capacity of 2"), std::string::npos) << text;
  push(queue, 1);
  EXPECT_EQ(code_of([&] { queue.reserve(1); }), ErrorCode::kResourceExhausted);  // unread entries count
  std::vector<OperationPtr> out;
  queue.read(out, 1, 1, Deadline::now());
  EXPECT_EQ(code_of([&] { queue.reserve(1); }), ErrorCode::kOk);
  EXPECT_EQ(code_of([&] { CompletionQueue none(0); }), ErrorCode::kInvalidArgument);
}

TEST(Queue, TheDescriptorIsReadableExactlyWhileEntriesAreThere) {
  CompletionQueue queue;
  queue.reserve(3);
  push(queue, 1);
  const int fd = queue.fd();
  EXPECT_TRUE(readable(fd));
  EXPECT_EQ(queue.fd(), fd);
  std::vector<OperationPtr> out;
  queue.read(out, 1, 1, Deadline::now());
  EXPECT_FALSE(readable(fd));
  push(queue, 2);
  push(queue, 3, true);
  EXPECT_TRUE(readable(fd));
  queue.read(out, 5, 1, Deadline::now());
  EXPECT_TRUE(readable(fd));
  queue.read_error();
  EXPECT_FALSE(readable(fd));
}

TEST(Queue, AnArrivalWakesAReader) {
  CompletionQueue queue;
  queue.reserve(1);
  std::thread other([&] { push(queue, 1); });
  std::vector<OperationPtr> out;
  EXPECT_EQ(queue.read(out, 1, 1, Deadline::never()), ReadStatus::kEntries);
  other.join();
}

TEST(Queue, SignalWakesAWaiterWithoutAnEntry) {
  CompletionQueue queue;
  std::atomic<bool> woken{false};
  std::thread reader([&] {
    EXPECT_FALSE(queue.wait(Deadline::never()));
    woken = true;
  });
  while (!woken) {
    queue.signal();
    std::this_thread::yield();
  }
  reader.join();
}

TEST(Queue, CloseWakesAWaiterWithClosed) {
  CompletionQueue queue;
  ErrorCode code = ErrorCode::kOk;
  std::thread reader([&] { code = code_of([&] { queue.wait(Deadline::never()); }); });
  queue.close();
  reader.join();
  EXPECT_EQ(code, ErrorCode::kClosed);
  EXPECT_EQ(code_of([&] { queue.reserve(1); }), ErrorCode::kClosed);
}

TEST(Queue, WhatIsThereCanBeReadAfterClose) {
  CompletionQueue queue;
  queue.reserve(2);
  push(queue, 1);
  queue.close();
  push(queue, 2);
  std::vector<OperationPtr> out;
  EXPECT_EQ(queue.read(out, 5, 2, Deadline::never()), ReadStatus::kEntries);
  EXPECT_EQ(out.size(), 2u);
  EXPECT_EQ(code_of([&] { queue.read(out, 5, 1, Deadline::now()); }), ErrorCode::kClosed);
}

TEST(Queue, AnEntryPutBackIsTheErrorAtTheHead) {
  CompletionQueue queue;
  queue.reserve(2);
  push(queue, 1);
  push(queue, 2);
  std::vector<OperationPtr> out;
  queue.read(out, 1, 1, Deadline::now());
  out[0]->results[0].failure = {ErrorCode::kDevice, "found later", false, 0.0};
  queue.put_back(std::move(out[0]));
  out.clear();
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue.read(out, 2, 2, Deadline::now()), ReadStatus::kError);
  EXPECT_EQ(queue.read_error()->id, 1u);
  EXPECT_EQ(queue.read(out, 2, 1, Deadline::now()), ReadStatus::kEntries);
  EXPECT_EQ(out[0]->id, 2u);
}

TEST(Queue, ReleasesTheContextOfUnreadEntries) {
  static int released;
  released = 0;
  {
    CompletionQueue queue;
    queue.reserve(1);
    auto operation = std::make_unique<Operation>();
    operation->context = UserContext(&released, [](void* p) { ++*static_cast<int*>(p); });
    queue.deliver(std::move(operation));
  }
  EXPECT_EQ(released, 1);
}

}  // namespace
}  // namespace qfw::qpi::testing
