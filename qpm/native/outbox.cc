#include "qpm/native/outbox.h"

#include <algorithm>
#include <utility>

#include "qfw/qpm/api/v1/event.pb.h"
#include "qfw/qpm/api/v1/runtime.pb.h"

namespace qfw::qpm {
namespace {

namespace pb = api::v1;

constexpr uint64_t kMessageBytes = 1u << 20;  // completions are merged up to about this size
constexpr size_t kMessageCount = 1024;
constexpr size_t kMaxEvents = 1024;  // that wait for a client
constexpr uint64_t kSmallBytes = 256u << 10;

uint64_t weight(const Completion& c) {
  uint64_t total = 256 + c.result.failure.message.size();
  for (const auto& r : c.result.rows) total += wire::inline_size(r, UINT64_MAX);
  return total;
}

}  // namespace

Outbox::Outbox(const wire::Limits& limits, Write write, Pressure pressure)
    : limits_(limits), write_(std::move(write)), pressure_(std::move(pressure)) {}
Outbox::~Outbox() = default;

void Outbox::push(std::vector<Completion>&& completions, bool wake) {
  bool press = false;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    for (auto& c : completions) {
      bytes_ += weight(c);
      waiting_.push_back(std::move(c));
    }
    if (bytes_ > limits_.outbox_bytes && !pressed_) press = pressed_ = true;
  }
  if (wake) filled_.notify_one();
  if (press) report_pressure();
}

void Outbox::push(std::vector<Event>&& events) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  for (auto& e : events) {
    if (events_.size() >= kMaxEvents) {
      const uint64_t lost = events_.front().lost + 1;
      events_.pop_front();
      events_.front().lost += lost;
    }
    events_.push_back(std::move(e));
  }
  filled_.notify_one();
}

bool Outbox::write_events() {
  std::deque<Event> events;
  {
    std::lock_guard lock(mutex_);
    events.swap(events_);
  }
  if (events.empty()) return true;
  pb::ServerMessage message;
  for (const auto& e : events) wire::put(e, *message.mutable_events()->add_events());
  return write_(message, false);
}

void Outbox::report_pressure() {
  std::lock_guard reporting(pressure_mutex_);
  bool pressed = false;
  {
    std::lock_guard lock(mutex_);
    pressed = pressed_;
  }
  if (pressed == reported_) return;
  reported_ = pressed;
  pressure_(pressed);
}

bool Outbox::send(const pb::ServerMessage& message) {
  std::lock_guard lock(write_mutex_);
  if (!broken_ && !write_(message, false)) broken_ = true;
  return !broken_;
}

bool Outbox::take(std::vector<Completion>& batch) {
  bool release = false;
  {
    std::lock_guard lock(mutex_);
    if (waiting_.empty()) return false;
    uint64_t size = 0;
    while (!waiting_.empty() && batch.size() < kMessageCount) {
      const uint64_t next = weight(waiting_.front());
      if (!batch.empty() && size + next > kMessageBytes) break;
      size += next;
      bytes_ -= next;
      batch.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    if (pressed_ && bytes_ <= limits_.outbox_bytes / 4) {
      release = true;
      pressed_ = false;
    }
  }
  if (release) report_pressure();
  return true;
}

void Outbox::drain(bool small_only) {
  std::unique_lock writer(write_mutex_, std::defer_lock);
  if (small_only) {
    if (!writer.try_lock()) return filled_.notify_one();
    std::lock_guard lock(mutex_);
    if (bytes_ > kSmallBytes) return filled_.notify_one();
  } else {
    writer.lock();
  }
  if (!broken_ && !write_events()) broken_ = true;
  std::vector<Completion> batch;
  while (take(batch)) {
    bool more = false;
    {
      std::lock_guard lock(mutex_);
      more = !waiting_.empty();
    }
    if (!broken_ && !write_batch(batch, more)) broken_ = true;
    batch.clear();
  }
}

void Outbox::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      filled_.wait(lock, [this] { return closed_ || last_ || !waiting_.empty() || !events_.empty(); });
      if (closed_) return;
      if (waiting_.empty() && events_.empty()) break;
    }
    drain();
  }
  send(*last_);
}

void Outbox::finish(const pb::ServerMessage& last) {
  std::lock_guard lock(mutex_);
  if (!last_) last_ = std::make_unique<pb::ServerMessage>(last);
  filled_.notify_all();
}

size_t Outbox::waiting() const {
  std::lock_guard lock(mutex_);
  return waiting_.size();
}

void Outbox::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  waiting_.clear();
  events_.clear();
  bytes_ = 0;
  filled_.notify_all();
}

bool Outbox::write_batch(std::vector<Completion>& batch, bool more) {
  pb::ServerMessage message;
  auto* all = message.mutable_completions();
  for (const auto& c : batch) {
    auto* out = all->add_completions();
    out->set_task(c.task);
    out->set_stream(c.stream);
    wire::put(c.result, c.arrived_ns, *out->mutable_result());
    if (!write_arrays(c)) return false;
    uint64_t size = 0;
    for (const auto& r : c.result.rows) size += wire::inline_size(r, limits_.inline_bytes);
    if (size > 4 * kMessageBytes) {
      if (!write_rows(c, limits_.inline_bytes)) return false;
      continue;
    }
    for (const auto& r : c.result.rows) wire::put(r, limits_.inline_bytes, *out->mutable_result()->add_rows());
  }
  return write_(message, more);
}

bool Outbox::write_arrays(const Completion& c) {
  pb::ServerMessage message;
  for (const auto& array : wire::large_arrays(c.result.rows, limits_.inline_bytes)) {
    for (uint64_t at = 0; at < array.bytes; at += limits_.chunk_bytes) {
      auto* chunk = message.mutable_chunk();
      chunk->set_task(c.task);
      chunk->set_row(array.row);
      chunk->set_array(static_cast<pb::ArrayChunk::Array>(array.which));
      chunk->set_total(array.bytes);
      chunk->set_offset(at);
      chunk->set_data(array.data + at, std::min(limits_.chunk_bytes, array.bytes - at));
      if (!write_(message, true)) return false;
    }
  }
  return true;
}

bool Outbox::write_rows(const Completion& c, uint64_t inline_bytes) {
  const auto& rows = c.result.rows;
  for (size_t at = 0; at < rows.size();) {
    pb::ServerMessage message;
    auto* block = message.mutable_rows();
    block->set_task(c.task);
    block->set_first(static_cast<uint32_t>(at));
    for (uint64_t size = 0; at < rows.size() && size < kMessageBytes; ++at) {
      size += wire::inline_size(rows[at], inline_bytes);
      wire::put(rows[at], inline_bytes, *block->add_rows());
    }
    if (!write_(message, true)) return false;
  }
  return true;
}

}  // namespace qfw::qpm
