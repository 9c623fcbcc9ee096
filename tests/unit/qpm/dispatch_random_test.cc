// The dispatcher under random events, against what it promises: every task ends once, capacities hold, sequential
// streams run one task at a time and complete in order, and no device idles while something could run on it.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "qpm/native/dispatch.h"

namespace qfw::qpm {
namespace {

constexpr DeviceId kDevices = 3;

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) {
    for (DeviceId d = 0; d < kDevices; ++d) dispatcher_.add_device(d, "d" + std::to_string(d), capacity_[d]);
  }

  void step() {
    ++now_;
    switch (pick(24)) {
      case 0:
        return open_session();
      case 1:
        return open_stream();
      case 2:
        return close_stream();
      case 3:
        return pick(6) ? void() : close_session();
      case 4:
        return status();
      case 5:
        return pause();
      case 6:
      case 7:
        return cancel();
      case 8:
        return expire();
      case 9:
      case 10:
      case 11:
      case 12:
      case 13:
        return finish();
      default:
        return submit();
    }
  }

  // Ends everything; afterwards nothing may be left.
  void end() {
    while (!sessions_.empty()) close_session();
    while (!running_.empty()) finish();
    EXPECT_EQ(dispatcher_.queued(), 0u);
    EXPECT_EQ(dispatcher_.running(), 0u);
    EXPECT_EQ(dispatcher_.next_deadline(), UINT64_MAX);
    EXPECT_TRUE(live_.empty());
  }

 private:
  using Key = std::pair<SessionId, StreamId>;
  struct Stream {
    bool sequential;
    std::vector<DeviceId> devices;
  };

  uint64_t pick(uint64_t n) { return random_() % n; }
  bool accepts(DeviceId d) const { return status_[d] == DeviceStatus::kOnline; }

  template <typename Map>
  auto any(Map& map) {
    auto it = map.begin();
    std::advance(it, static_cast<long>(pick(map.size())));
    return it;
  }

  void open_session() {
    if (sessions_.size() >= 4) return;
    dispatcher_.open_session(++last_session_, 1.0 + static_cast<double>(pick(3)));
    sessions_[last_session_] = false;
  }

  void open_stream() {
    if (sessions_.empty()) return;
    const SessionId s = any(sessions_)->first;
    Stream stream{pick(2) == 0, {}};
    for (DeviceId d = 0; d < kDevices; ++d)
      if (pick(2)) stream.devices.push_back(d);
    if (stream.devices.empty()) stream.devices.push_back(static_cast<DeviceId>(pick(kDevices)));
    dispatcher_.open_stream(s, ++last_stream_, stream.devices,
                            stream.sequential ? Order::kSequential : Order::kParallel);
    streams_[{s, last_stream_}] = stream;
  }

  void close_stream() {
    if (streams_.empty()) return;
    const Key key = any(streams_)->first;
    streams_.erase(key);
    dispatcher_.close_stream(key.first, key.second, out_);
    take();
  }

  void close_session() {
    if (sessions_.empty()) return;
    const SessionId s = any(sessions_)->first;
    dispatcher_.close_session(s, out_);
    sessions_.erase(s);
    std::erase_if(streams_, [&](const auto& e) { return e.first.first == s; });
    closed_.insert(s);
    take();
  }

  void status() {
    constexpr DeviceStatus kAll[] = {DeviceStatus::kOnline, DeviceStatus::kOnline, DeviceStatus::kStarting,
                                     DeviceStatus::kFault};
    const auto d = static_cast<DeviceId>(pick(kDevices));
    status_[d] = kAll[pick(4)];
    dispatcher_.set_device_status(d, status_[d], "", out_);
    take();
  }

  void pause() {
    if (sessions_.empty()) return;
    auto it = any(sessions_);
    it->second = pick(2);
    dispatcher_.pause_session(it->first, it->second, out_);
    take();
  }

  void cancel() {
    if (live_.empty()) return;
    const auto& t = any(live_)->second;
    dispatcher_.cancel(t->session, t->task, out_);
    take();
  }

  void expire() {
    dispatcher_.expire(now_, out_);
    take();
  }

  void submit() {
    if (streams_.empty()) return;
    const auto& [key, stream] = *any(streams_);
    auto t = std::make_shared<Ticket>();
    t->session = key.first;
    t->stream = key.second;
    t->task = ++last_task_;
    t->priority = static_cast<int32_t>(pick(3));
    t->deadline = pick(4) ? 0 : now_ + pick(40);
    t->cost_ns = 1.0 + static_cast<double>(pick(1000));
    if (!pick(3)) t->devices = {stream.devices[pick(stream.devices.size())]};
    if (!pick(20)) t->doom = {ErrorCode::kInvalidArgument, "refused"};
    live_[t->task] = t;
    if (stream.sequential) order_[key].push_back(t->task);
    dispatcher_.submit(t, out_);
    take();
  }

  void finish() {
    if (running_.empty()) return;
    const TicketPtr t = any(running_)->second;
    running_.erase(t->task);
    complete(*t);
    if (pick(2)) dispatcher_.forget(*t);
    dispatcher_.finished(*t, out_);
    take();
  }

  // A task has ended; in a sequential stream it must be the first that has not. (A session that closes ends all at
  // once.)
  void complete(const Ticket& t) {
    EXPECT_EQ(live_.erase(t.task), 1u) << "task " << t.task << " ended twice";
    auto order = order_.find({t.session, t.stream});
    if (order == order_.end() || closed_.count(t.session)) return;
    ASSERT_FALSE(order->second.empty());
    EXPECT_EQ(order->second.front(), t.task) << "a sequential stream ended out of order";
    order->second.erase(order->second.begin());
  }

  void take() {
    for (const auto& t : out_.fail) {
      EXPECT_TRUE(t->doom);
      EXPECT_EQ(running_.count(t->task), 0u);
      complete(*t);
    }
    for (const auto& t : out_.stop) EXPECT_EQ(running_.count(t->task), 1u);
    for (const auto& t : out_.start) {
      EXPECT_TRUE(accepts(t->device));
      EXPECT_TRUE(t->devices.empty() || t->devices[0] == t->device);
      EXPECT_FALSE(sessions_.at(t->session)) << "a paused session's task started";
      EXPECT_TRUE(running_.emplace(t->task, t).second);
    }
    out_ = {};
    check();
  }

  void check() {
    uint32_t load[kDevices] = {};
    std::map<Key, int> in_flight;
    for (const auto& [id, t] : running_) {
      ++load[t->device];
      ++in_flight[{t->session, t->stream}];
    }
    for (DeviceId d = 0; d < kDevices; ++d) EXPECT_LE(load[d], capacity_[d]);
    for (const auto& [key, n] : in_flight)
      if (order_.count(key)) {
        EXPECT_LE(n, 1);
      }
    EXPECT_EQ(dispatcher_.running(), running_.size());
    EXPECT_EQ(dispatcher_.queued(), live_.size() - running_.size());
    for (const auto& [id, t] : live_) {
      if (running_.count(id)) continue;
      const auto stream = streams_.find({t->session, t->stream});
      if (stream == streams_.end() || sessions_.at(t->session)) continue;
      if (stream->second.sequential && (in_flight.count(stream->first) || order_[stream->first].front() != id))
        continue;
      for (DeviceId d : t->devices.empty() ? stream->second.devices : t->devices)
        EXPECT_FALSE(accepts(d) && load[d] < capacity_[d]) << "device " << d << " idles while task " << id << " waits";
    }
  }

  std::mt19937_64 random_;
  const uint32_t capacity_[kDevices] = {1, 2, 3};
  DeviceStatus status_[kDevices] = {};
  Dispatcher dispatcher_{{60, 8, 1000}};
  Dispatcher::Actions out_;
  uint64_t now_ = 1;
  SessionId last_session_ = 0;
  StreamId last_stream_ = 0;
  TaskId last_task_ = 0;
  std::map<SessionId, bool> sessions_;  // paused?
  std::set<SessionId> closed_;
  std::map<Key, Stream> streams_;
  std::map<TaskId, TicketPtr> live_, running_;
  std::map<Key, std::vector<TaskId>> order_;  // of sequential streams: what has not ended
};

TEST(DispatchRandomTest, KeepsItsPromises) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Model model(seed);
    for (int i = 0; i < 800 && !::testing::Test::HasFailure(); ++i) model.step();
    if (!::testing::Test::HasFailure()) model.end();
    ASSERT_FALSE(::testing::Test::HasFailure());
  }
}

}  // namespace
}  // namespace qfw::qpm
