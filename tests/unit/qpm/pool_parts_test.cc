// Sweeps in parts: sizes, seeds, rows back in order, rows that failed by their numbers in the whole, parts that failed.
#include "qpm/native/pool_parts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/qpm/fixture.h"

namespace qfw::qpm {
namespace {

JobPtr sweep_of(uint32_t rows) {
  Task t;
  t.program = test::rotation();
  t.outputs = kExpectations;
  t.bindings.rows = rows;
  t.bindings.columns = 1;
  for (uint32_t i = 0; i < rows; ++i) t.bindings.values.push_back(i);
  t.first_row = 1000;  // it may be a part itself
  t.deadline_ns = 5'000'000'000;
  auto job = std::make_shared<Job>(std::move(t), now_ns());
  job->seed = 7;
  job->cost_ns = 1e6 * rows;
  return job;
}

// What an instance makes of a part: each row is its binding.
Result answer(const JobPtr& part) {
  part->began = part->ended = now_ns();
  Result r;
  r.device = "it";
  for (uint32_t i = 0; i < part->work.bindings.rows; ++i)
    r.rows.emplace_back().expectations = {part->work.bindings.values[i]};
  return r;
}

TEST(PoolParts, SizesFollowTheTimeOfARow) {
  EXPECT_EQ(rows_of_part(1000, 1e6, 1), 1000u);     // nobody to share with
  EXPECT_EQ(rows_of_part(1000, 1e3, 4), 1000u);     // not worth the way
  EXPECT_EQ(rows_of_part(1000, 1e6, 100), 20u);     // 20 ms each
  EXPECT_EQ(rows_of_part(100'000, 1e6, 4), 3125u);  // 8 parts for each of 4
  EXPECT_EQ(rows_of_part(3, 1e9, 4), 1u);
  EXPECT_EQ(rows_of_part(1, 1e12, 4), 1u);
}

TEST(PoolParts, PartsAreTheWholeInPieces) {
  const JobPtr whole = sweep_of(10);
  Sweep sweep(whole, 4);
  ASSERT_EQ(sweep.parts().size(), 3u);
  uint32_t at = 0;
  for (const JobPtr& part : sweep.parts()) {
    EXPECT_EQ(part->work.first_row, 1000 + at);
    EXPECT_EQ(part->seed, 7u);
    EXPECT_EQ(part->deadline, whole->deadline);
    EXPECT_EQ(part->cost_ns, 1e6 * part->work.bindings.rows);
    for (double value : part->work.bindings.values) EXPECT_EQ(value, at++);
  }
  EXPECT_EQ(at, 10u);
}

TEST(PoolParts, RowsComeBackInOrderWhateverEndsFirst) {
  const JobPtr whole = sweep_of(10);
  Sweep sweep(whole, 3);
  bool stop = false;
  for (size_t i : {2, 0, 3, 1}) EXPECT_EQ(sweep.returned(sweep.parts()[i], answer(sweep.parts()[i]), stop), i == 1);
  EXPECT_FALSE(stop);
  const Result r = sweep.result();
  EXPECT_FALSE(r.failure);
  EXPECT_EQ(r.device, "it");
  ASSERT_EQ(r.rows.size(), 10u);
  for (uint32_t i = 0; i < 10; ++i) EXPECT_EQ(r.rows[i].expectations.at(0), i);
  EXPECT_GT(whole->began, 0u);
  EXPECT_GE(whole->ended, whole->began);
}

TEST(PoolParts, ARowThatFailsIsNamedByItsNumberInTheWhole) {
  Sweep sweep(sweep_of(10), 5);
  bool stop = false;
  sweep.returned(sweep.parts()[0], answer(sweep.parts()[0]), stop);
  Result second = answer(sweep.parts()[1]);
  second.rows[2].failure = second.failure = {ErrorCode::kDevice, "too hot"};
  EXPECT_TRUE(sweep.returned(sweep.parts()[1], std::move(second), stop));
  EXPECT_FALSE(stop) << "other rows are good";
  const Result r = sweep.result();
  EXPECT_EQ(r.failure.code, ErrorCode::kDevice);
  EXPECT_EQ(r.failure.message, "rows 7 failed (1 of 10): too hot");
  EXPECT_EQ(r.rows.at(7).failure.message, "too hot");
  EXPECT_EQ(r.rows.at(8).expectations.at(0), 8.0);
}

TEST(PoolParts, APartThatFailsEndsTheWhole) {
  Sweep sweep(sweep_of(10), 5);
  bool stop = false;
  Result lost;
  lost.failure = {ErrorCode::kDeviceLost, "it sank"};
  EXPECT_FALSE(sweep.returned(sweep.parts()[1], std::move(lost), stop));
  EXPECT_TRUE(stop);
  Result cancelled;
  cancelled.failure = {ErrorCode::kCancelled, "the task was cancelled"};
  EXPECT_TRUE(sweep.returned(sweep.parts()[0], std::move(cancelled), stop));
  const Result r = sweep.result();
  EXPECT_EQ(r.failure.code, ErrorCode::kDeviceLost);
  EXPECT_TRUE(r.rows.empty());
}

}  // namespace
}  // namespace qfw::qpm
