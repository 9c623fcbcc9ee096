// C API: event queues.
#include "qpi/native/capi.h"

using namespace qfw::qpi;
using namespace qfw::qpi::capi;
using qfw::ErrorCode;

struct qpi_eq {
  std::shared_ptr<Context> context;
  std::shared_ptr<EventQueue> queue;
};

static_assert(QPI_EVENT_STATUS == qfw::qpm::event_bit(qfw::qpm::EventKind::kStatus));
static_assert(QPI_EVENT_NOISE == qfw::qpm::event_bit(qfw::qpm::EventKind::kNoise));
static_assert(QPI_EVENT_ALL == qfw::qpm::kAllEvents);

namespace {

struct Owner {
  qfw::qpm::Event event;
  std::vector<qpi_event_value> values;
};

qpi_event event_to(qfw::qpm::Event&& from) {
  auto owner = std::make_unique<Owner>();
  owner->event = std::move(from);
  const auto& event = owner->event;
  for (const auto& [name, value] : event.values) owner->values.push_back({name.c_str(), value});
  qpi_event made = QPI_EVENT_INIT;
  made.kind = static_cast<int>(qfw::qpm::event_bit(event.kind));
  made.lost = event.lost;
  made.sequence = event.sequence;
  made.time_s = event.time_s;
  made.device = event.device_name.c_str();
  made.status = static_cast<int>(event.status);
  made.severity = static_cast<int>(event.severity);
  made.message = event.message.c_str();
  made.calibration_set = event.calibration_set.c_str();
  made.values = owner->values.data();
  made.num_values = owner->values.size();
  made.owner = owner.release();
  return made;
}

}  // namespace

extern "C" {

int qpi_eq_open(qpi_context* context, const qpi_eq_attr* attr, qpi_eq** eq) {
  return guard([&] {
    need(eq, "eq") = nullptr;
    const auto a = read(attr, qpi_eq_attr QPI_EQ_ATTR_INIT, "qpi_eq_attr");
    std::vector<std::string> names;
    for (const char* name : array(a.devices, a.num_devices, "qpi_eq_attr.devices"))
      names.emplace_back(&need(name, "a name in qpi_eq_attr.devices"));
    auto& from = need(context, "context").context;
    *eq = new qpi_eq{from, from->event_queue(names, a.kinds, a.capacity)};
    return 0;
  });
}

int64_t qpi_eq_read(qpi_eq* eq, qpi_event* events, size_t count, int timeout_ms) {
  return guard([&]() -> int64_t {
    auto& queue = *need(eq, "eq").queue;
    const size_t stride = read(&need(events, "events"), qpi_event QPI_EVENT_INIT, "qpi_event").size;
    if (count == 0) throw qfw::Error(ErrorCode::kInvalidArgument, "count is 0; room for at least 1 event is needed");
    auto taken = queue.read(count, Deadline::after_ms(timeout_ms));
    if (taken.empty() && timeout_ms == 0) return QPI_EAGAIN;
    if (taken.empty()) return fail(QPI_ETIMEOUT, "no event after " + std::to_string(timeout_ms) + " ms");
    for (size_t i = 0; i < taken.size(); ++i) {
      qpi_event made = event_to(std::move(taken[i]));
      made.size = stride;
      std::memcpy(reinterpret_cast<char*>(events) + i * stride, &made, std::min(stride, sizeof made));
    }
    return static_cast<int64_t>(taken.size());
  });
}

void qpi_event_clear(qpi_event* event) {
  if (!event) return;
  delete static_cast<Owner*>(event->owner);
  *event = QPI_EVENT_INIT;
}

int qpi_eq_fd(qpi_eq* eq) {
  return guard([&] { return need(eq, "eq").queue->fd(); });
}

size_t qpi_eq_count(const qpi_eq* eq) { return eq ? eq->queue->size() : 0; }

void qpi_eq_close(qpi_eq* eq) {
  if (eq) eq->queue->close();
  delete eq;
}

}  // extern "C"
