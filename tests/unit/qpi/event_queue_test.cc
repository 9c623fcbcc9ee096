// Event queues come and go while events are told.
#include "qpi/native/event_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/unit/qpi/fake_session.h"

namespace qfw::qpi::testing {
namespace {

// As every transport does: the sink is called under the lock that a subscription takes.
class Talking : public FakeSession {
 public:
  void subscribe(std::span<const qpm::DeviceId>, uint32_t kinds, qpm::EventSink sink) override {
    std::lock_guard lock(mutex_);
    sink_ = kinds ? std::move(sink) : nullptr;
  }
  void tell() {
    std::lock_guard lock(mutex_);
    if (sink_) sink_(std::vector<qpm::Event>(4));
  }
  bool listened_to() {
    std::lock_guard lock(mutex_);
    return sink_ != nullptr;
  }

 private:
  std::mutex mutex_;
  qpm::EventSink sink_;
};

TEST(EventQueue, EndsWhileEventsAreTold) {
  const auto session = std::make_shared<Talking>();
  const auto source = std::make_shared<EventSource>([session] { return session; });
  std::atomic<bool> over{false};
  std::thread teller([&] {
    while (!over) session->tell();
  });
  size_t heard = 0;
  for (int i = 0; i < 2000 || heard == 0; ++i) {
    const auto kept = source->open({}, 3);
    source->open({}, 3);  // ends at once
    heard += kept->read(3, Deadline::after_s(5.0)).size();
  }
  EXPECT_GT(heard, 0u);
  EXPECT_FALSE(session->listened_to());
  over = true;
  teller.join();
}

}  // namespace
}  // namespace qfw::qpi::testing
