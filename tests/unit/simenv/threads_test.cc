#include "simenv/native/threads.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <latch>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

namespace qfw::simenv {
namespace {

TEST(Threads, UsableCpusFollowsTheAffinityMask) {
  cpu_set_t before, one;
  ASSERT_EQ(0, sched_getaffinity(0, sizeof before, &before));
  EXPECT_EQ(usable_cpus(), static_cast<unsigned>(CPU_COUNT(&before)));
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &before)) {
      CPU_SET(cpu, &one);
      break;
    }
  ASSERT_EQ(0, sched_setaffinity(0, sizeof one, &one));
  EXPECT_EQ(usable_cpus(), 1u);
  EXPECT_EQ(ThreadPool().size(), 1u);
  ASSERT_EQ(0, sched_setaffinity(0, sizeof before, &before));
}

TEST(Threads, ParallelForRunsEachIndexOnce) {
  ThreadPool pool(4);
  for (size_t count : {size_t{0}, size_t{1}, size_t{3}, size_t{1000}}) {
    std::vector<int> runs(count, 0);
    pool.parallel_for(count, [&](size_t i) { ++runs[i]; });
    EXPECT_EQ(std::accumulate(runs.begin(), runs.end(), 0), static_cast<int>(count));
    for (int r : runs) EXPECT_EQ(r, 1);
  }
}

TEST(Threads, ParallelForFromInsideEveryThreadOfThePoolDoesNotDeadlock) {
  ThreadPool pool(3);
  std::atomic<int> sum{0};
  std::latch done(6);
  for (int k = 0; k < 6; ++k)
    pool.submit([&] {
      pool.parallel_for(10, [&](size_t) { pool.parallel_for(5, [&](size_t) { ++sum; }); });
      done.count_down();
    });
  done.wait();
  EXPECT_EQ(sum.load(), 6 * 10 * 5);
}

TEST(Threads, TheFirstExceptionIsRethrownAndThePoolGoesOn) {
  ThreadPool pool(3);
  EXPECT_THROW(pool.parallel_for(100,
                                 [](size_t i) {
                                   if (i == 17) throw std::runtime_error("seventeen");
                                 }),
               std::runtime_error);
  std::atomic<int> sum{0};
  pool.parallel_for(100, [&](size_t) { ++sum; });
  EXPECT_EQ(sum.load(), 100);
}

TEST(Threads, TheDestructorFinishesWhatIsQueued) {
  std::atomic<int> sum{0};
  {
    ThreadPool pool(2);
    for (int k = 0; k < 200; ++k) pool.submit([&] { ++sum; });
  }
  EXPECT_EQ(sum.load(), 200);
}

}  // namespace
}  // namespace qfw::simenv
