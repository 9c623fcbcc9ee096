// The pool of threads that kernels and the runtime share. No OpenMP.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace qfw::simenv {

unsigned usable_cpus() noexcept;  // by sched_getaffinity, at least 1

class ThreadPool {
 public:
  explicit ThreadPool(unsigned threads = 0);  // 0: usable_cpus()
  ~ThreadPool();                              // finishes what is queued, then joins
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned size() const noexcept;
  void submit(std::function<void()> work);  // work must not throw

  // Runs body(i) for i in [0, count), on the pool and on the calling thread, and returns when all are done. The
  // first exception is rethrown. Callable from inside the pool (never deadlocks: the caller works too).
  void parallel_for(size_t count, const std::function<void(size_t)>& body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qfw::simenv
