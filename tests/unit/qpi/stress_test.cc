// Everything at once on one context: under ThreadSanitizer this is what looks for races in the router.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "qpi/native/context.h"
#include "tests/unit/qpi/fake_session.h"

namespace qfw::qpi::testing {
namespace {

std::vector<Task> tasks(size_t count) {
  std::vector<Task> made;
  for (size_t i = 0; i < count; ++i) made.push_back(task());
  return made;
}

// Operations of one stream by one of many threads; returns how many.
int use(Stream& stream, int round) {
  std::vector<Request> batch(3);
  for (auto& r : batch) r = request(nullptr, round % 4 == 0 ? 20 : 1);  // a group beyond the window of 16, or one task
  int submitted = static_cast<int>(stream.submit_many(batch).size());
  if (round % 5 == 0 && stream.barrier()) ++submitted;
  if (round % 7 == 0 && stream.query()) ++submitted;
  if (round % 11 == 0) stream.cancel_all();
  return submitted;
}

int read_all(CompletionQueue& queue) {
  int seen = 0;
  for (;;) {
    std::vector<OperationPtr> out;
    const auto status = queue.read(out, 64, 1, Deadline::now());
    seen += static_cast<int>(out.size());
    if (status == ReadStatus::kError) {
      seen += queue.read_error() ? 1 : 0;
    } else if (status != ReadStatus::kEntries) {
      return seen;
    }
  }
}

TEST(Stress, EveryOperationCompletesOnceWhateverManyThreadsDo) {
  auto session = std::make_shared<FakeSession>(16);
  auto context = Context::over(session);
  auto mesh = context->mesh();
  auto queue = context->completion_queue();
  std::vector<std::unique_ptr<Stream>> streams;
  for (auto order : {qpm::Order::kParallel, qpm::Order::kSequential, qpm::Order::kParallel})
    streams.push_back(context->stream(*mesh, order, queue));
  std::atomic<bool> stop{false};
  std::thread device([&] {
    for (; !stop; std::this_thread::yield()) session->finish_all();
  });
  std::atomic<int> submitted{0};
  std::vector<std::thread> threads;
  for (size_t number = 0; number < 6; ++number)
    threads.emplace_back([&, number] {
      for (int round = 0; round < 150; ++round) {
        submitted += use(*streams[(number + static_cast<size_t>(round)) % 3], round);
        if (round % 13 == 0) context->cancel();
        if (round % 17 == 0) {
          EXPECT_EQ(mesh->run(tasks(40)).size(), 40u);
        }
      }
    });
  for (auto& thread : threads) thread.join();
  for (auto& stream : streams) EXPECT_TRUE(stream->wait(Deadline::never()));
  stop = true;
  device.join();
  EXPECT_EQ(read_all(*queue), submitted.load());
  EXPECT_EQ(queue->outstanding(), 0u);
  EXPECT_EQ(context->router()->outstanding(), 0u);
  EXPECT_LE(session->most, 16u);
}

}  // namespace
}  // namespace qfw::qpi::testing
