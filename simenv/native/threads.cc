#include "simenv/native/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace qfw::simenv {

unsigned usable_cpus() noexcept {
  // A machine may have more CPUs than cpu_set_t holds: the kernel then wants a wider mask (EINVAL).
  for (int cpus = CPU_SETSIZE; cpus <= (1 << 20); cpus *= 4) {
    cpu_set_t* set = CPU_ALLOC(static_cast<size_t>(cpus));
    if (set == nullptr) return 1;
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(cpus));
    const int rc = sched_getaffinity(0, bytes, set);
    const int found = rc == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (rc == 0) return static_cast<unsigned>(std::max(found, 1));
  }
  return 1;
}

struct ThreadPool::Impl {
  std::mutex mutex;
  std::condition_variable ready;
  std::deque<std::function<void()>> queue;
  bool stopping = false;
  std::vector<std::thread> threads;

  void serve() {
    std::unique_lock lock(mutex);
    for (;;) {
      ready.wait(lock, [this] { return stopping || !queue.empty(); });
      if (queue.empty()) return;
      auto work = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
    }
  }

  void push(std::function<void()> work, bool first) {
    {
      std::lock_guard lock(mutex);
      if (first) {
        queue.push_front(std::move(work));
      } else {
        queue.push_back(std::move(work));
      }
    }
    ready.notify_one();
  }
};

namespace {

// One parallel_for. Helpers may come when all is done: they then find no index left and never touch `body`.
struct Loop {
  const std::function<void(size_t)>* body;
  size_t count;
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::condition_variable finished;
  size_t done = 0;
  std::exception_ptr error;

  void work() {
    size_t mine = 0;
    std::exception_ptr caught;
    for (size_t i = next++; i < count; i = next++, ++mine) {
      if (failed.load(std::memory_order_relaxed)) continue;
      try {
        (*body)(i);
      } catch (...) {
        if (!caught) caught = std::current_exception();
        failed.store(true, std::memory_order_relaxed);
      }
    }
    if (mine == 0) return;
    std::lock_guard lock(mutex);
    if (caught && !error) error = caught;
    done += mine;
    if (done == count) finished.notify_all();
  }
};

}  // namespace

ThreadPool::ThreadPool(unsigned threads) : impl_(std::make_unique<Impl>()) {
  if (threads == 0) threads = usable_cpus();
  impl_->threads.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) impl_->threads.emplace_back([impl = impl_.get()] { impl->serve(); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->ready.notify_all();
  for (auto& thread : impl_->threads) thread.join();
}

unsigned ThreadPool::size() const noexcept { return static_cast<unsigned>(impl_->threads.size()); }

void ThreadPool::submit(std::function<void()> work) { impl_->push(std::move(work), false); }

void ThreadPool::parallel_for(size_t count, const std::function<void(size_t)>& body) {
  const size_t workers = std::min<size_t>(size(), count);
  if (workers <= 1) {
    for (size_t i = 0; i < count; ++i) body(i);
    return;
  }
  auto loop = std::make_shared<Loop>();
  loop->body = &body;
  loop->count = count;
  // Ahead of queued work: who waits for a loop holds memory and a core already.
  for (size_t i = 1; i < workers; ++i) impl_->push([loop] { loop->work(); }, true);
  loop->work();
  std::unique_lock lock(loop->mutex);
  loop->finished.wait(lock, [&] { return loop->done == count; });
  if (loop->error) std::rethrow_exception(loop->error);
}

}  // namespace qfw::simenv
