// Event queues in Python.
#include <pybind11/stl.h>

#include "qpi/native/bind.h"

namespace py = pybind11;

namespace qfw::qpi {
namespace {

constexpr const char* kSeverities[] = {"info", "warning", "error"};

uint32_t kinds_from(const std::vector<std::string>& words) {
  if (words.empty()) return qpm::kAllEvents;
  uint32_t kinds = 0;
  for (const auto& word : words) {
    uint32_t bit = 0;
    for (uint32_t kind = 0; qpm::kAllEvents >> kind; ++kind)
      if (word == event_name(static_cast<qpm::EventKind>(kind))) bit = 1u << kind;
    if (!bit)
      throw Error(ErrorCode::kInvalidArgument,
                  "an event of the kind \"" + word + "\"; allowed: status, fault, drain, calibration, noise");
    kinds |= bit;
  }
  return kinds;
}

// (kind, device, message, status, severity, calibration_set, values, time, sequence, lost)
py::tuple event_to(qpm::Event&& e) {
  return py::make_tuple(event_name(e.kind), e.device_name, e.message, status_name(e.status),
                        kSeverities[static_cast<size_t>(e.severity)], e.calibration_set, e.values, e.time_s, e.sequence,
                        e.lost);
}

py::list read(EventQueue& queue, size_t most, double timeout) {
  std::vector<qpm::Event> taken;
  patiently(timeout, [&](Deadline deadline) {
    taken = queue.read(most, deadline);
    return !taken.empty();
  });
  py::list out;
  for (auto& e : taken) out.append(event_to(std::move(e)));
  return out;
}

}  // namespace

std::shared_ptr<EventQueue> make_event_queue(Context& context, const std::vector<std::string>& devices,
                                             const std::vector<std::string>& kinds, size_t capacity) {
  const uint32_t bits = kinds_from(kinds);
  py::gil_scoped_release unlock;
  return unlocked(context.event_queue(devices, bits, capacity));
}

void bind_event(py::module_& m) {
  using py::literals::operator""_a;
  py::class_<EventQueue, std::shared_ptr<EventQueue>>(m, "EventQueue")
      .def("read", &read, "most"_a, "timeout"_a)
      .def("fd", &EventQueue::fd)
      .def("__len__", &EventQueue::size)
      .def("close", &EventQueue::close, py::call_guard<py::gil_scoped_release>());
}

}  // namespace qfw::qpi
