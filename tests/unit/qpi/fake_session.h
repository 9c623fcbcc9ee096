// A session whose completions the test decides: held until told, or done at once inside submit().
#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "program/native/builder.h"
#include "qpi/native/router.h"
#include "qpm/api/native/session.h"

namespace qfw::qpi::testing {

inline qpm::Result success(const std::string& device = "fake") {
  qpm::Result result;
  result.device = device;
  result.rows.resize(1);
  result.timing.execute_ns = 10;
  return result;
}

class FakeSession : public qpm::Session {
 public:
  explicit FakeSession(uint32_t window = 8, bool immediate = false) : window_(window), immediate_(immediate) {}

  std::string endpoint() const override { return "fake"; }
  std::vector<qpm::DeviceInfo> devices() override {
    std::vector<qpm::DeviceInfo> found(2);
    found[0].id = 1;
    found[0].name = "one";
    found[0].max_qubits = 20;
    found[1].id = 2;
    found[1].name = "two";
    found[1].max_qubits = 5;
    found[1].simulator = false;
    return found;
  }
  void set_sink(Sink sink) override { sink_ = std::move(sink); }
  void open_stream(qpm::StreamId stream, std::span<const qpm::DeviceId>, qpm::Order, const qpm::JobSpec*) override {
    open.insert(stream);
  }
  void close_stream(qpm::StreamId stream) override {
    std::vector<qpm::TaskId> ids;
    {
      std::lock_guard lock(mutex);
      open.erase(stream);
      for (const auto& t : held)
        if (t.stream == stream) ids.push_back(t.id);
    }
    cancel(ids);
  }
  uint32_t window() const override { return window_; }
  void submit(std::vector<qpm::Task>&& tasks) override {
    {
      std::lock_guard lock(mutex);
      if (broken) throw Error(ErrorCode::kConnectionLost, "the fake connection is broken");
      messages.push_back(tasks.size());
      for (auto& t : tasks) {
        order.push_back(t.id);
        held.push_back(std::move(t));
      }
      most = std::max(most, held.size());
    }
    if (immediate_) finish_all();
  }
  void cancel(std::span<const qpm::TaskId> tasks) override {
    for (auto id : tasks) fail(id, ErrorCode::kCancelled, "cancelled");
  }
  bool help() override {
    helped.fetch_add(1);
    qpm::TaskId id = 0;
    {
      std::lock_guard lock(mutex);
      if (!helpful || held.empty()) return false;
      id = held.front().id;
    }
    finish(id);
    return true;
  }
  void close() override {
    closed = true;
    if (lazy_close) return;
    std::vector<qpm::TaskId> ids;
    {
      std::lock_guard lock(mutex);
      for (const auto& t : held) ids.push_back(t.id);
    }
    cancel(ids);
  }

  size_t count() {  // of tasks ever submitted
    std::lock_guard lock(mutex);
    return order.size();
  }

  // Ends one task; false when it is not held.
  bool finish(qpm::TaskId id, qpm::Result result = success()) {
    qpm::Completion completion;
    {
      std::lock_guard lock(mutex);
      const auto at = std::find_if(held.begin(), held.end(), [&](const auto& t) { return t.id == id; });
      if (at == held.end()) return false;
      completion = {id, at->stream, std::move(result)};
      held.erase(at);
    }
    std::vector<qpm::Completion> message;
    message.push_back(std::move(completion));
    sink_(std::move(message));
    return true;
  }
  bool fail(qpm::TaskId id, ErrorCode code, const std::string& text) {
    qpm::Result result;
    result.failure = {code, text, false, 0.0};
    return finish(id, std::move(result));
  }
  void finish_all() {
    for (;;) {
      qpm::TaskId id = 0;
      {
        std::lock_guard lock(mutex);
        if (held.empty()) return;
        id = held.front().id;
      }
      finish(id);
    }
  }

  std::mutex mutex;
  std::vector<qpm::Task> held;
  std::vector<qpm::TaskId> order;  // every id ever submitted
  std::vector<size_t> messages;    // their sizes
  std::set<qpm::StreamId> open;
  size_t most = 0;  // tasks outstanding at once
  std::atomic<int> helped{0};
  bool helpful = false;  // help() ends the oldest task
  bool broken = false;   // submit() throws
  bool closed = false;
  bool lazy_close = false;  // close() leaves tasks without an end

 private:
  uint32_t window_;
  bool immediate_;
  Sink sink_;
};

inline program::ProgramPtr bell() {
  program::ProgramBuilder builder(2, 2);
  const uint32_t pair[] = {0, 1};
  builder.gate(program::GateId::kH, std::span(pair, 1), {});
  builder.gate(program::GateId::kCx, pair, {});
  builder.measure(0, 0);
  builder.measure(1, 1);
  return builder.finish();
}

inline Task task(uint64_t shots = 10) {
  static const program::ProgramPtr program = bell();
  Task t;
  t.task.program = program;
  t.task.shots = shots;
  return t;
}

inline Request request(void* context = nullptr, size_t tasks = 1) {
  Request r;
  for (size_t i = 0; i < tasks; ++i) r.tasks.push_back(task());
  r.context = UserContext(context);
  return r;
}

// The code of what `call` throws; kOk when it does not.
template <class F>
ErrorCode code_of(F&& call, std::string* text = nullptr) {
  try {
    call();
  } catch (const Error& e) {
    if (text) *text = e.what();
    return e.code();
  }
  return ErrorCode::kOk;
}

}  // namespace qfw::qpi::testing
