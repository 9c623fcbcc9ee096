// The completion queue in Python.
#include "qpi/native/bind.h"

namespace py = pybind11;

namespace qfw::qpi {
namespace {

// (id, kind, context, results, devices, failure); the last of them None for a success.
py::tuple entry_to(Operation& operation) {
  py::object devices = py::none();
  if (operation.kind == Kind::kQuery) {
    py::list found;
    for (auto& info : operation.devices) found.append(Device(std::move(info)));
    devices = std::move(found);
  }
  auto failure = failure_to(operation.failure());
  return py::make_tuple(operation.id, static_cast<int>(operation.kind), context_to(operation.context),
                        results_to(std::move(operation.results)), std::move(devices), std::move(failure));
}

// Waits for `count` entries and takes up to `most`; None when the head is an error. WaitTimeout takes nothing.
py::object read(CompletionQueue& queue, size_t count, size_t most, double timeout) {
  std::vector<OperationPtr> taken;
  ReadStatus status = ReadStatus::kEmpty;
  const bool in_time = patiently(timeout, [&](Deadline deadline) {
    status = queue.read(taken, most, count, deadline);
    return status != ReadStatus::kTimeout;
  });
  if (status == ReadStatus::kError) return py::none();
  if (!in_time)
    throw Error(ErrorCode::kTimeout, std::to_string(queue.size()) + " of " + std::to_string(count) +
                                         " completions were there after " + std::to_string(timeout) + " s, " +
                                         std::to_string(queue.outstanding()) + " operations are outstanding");
  py::list out(taken.size());
  for (size_t i = 0; i < taken.size(); ++i) out[i] = entry_to(*taken[i]);
  return std::move(out);
}

// Makes an error of an entry that was read as a success.
void put_back(CompletionQueue& queue, OperationId id, py::handle context, int code, const std::string& message) {
  auto operation = std::make_unique<Operation>();
  operation->id = id;
  operation->context = context_from(context);
  operation->whole = {static_cast<ErrorCode>(code), message, false, 0.0};
  queue.put_back(std::move(operation));
}

py::object read_error(CompletionQueue& queue) {
  const auto operation = queue.read_error();
  return operation ? py::object(entry_to(*operation)) : py::none();
}

bool wait(CompletionQueue& queue, double timeout) {
  bool there = false;
  const uint64_t signals = queue.signals();
  patiently(timeout, [&](Deadline deadline) {
    there = queue.wait(deadline);
    return there || queue.signals() != signals;
  });
  return there;
}

}  // namespace

void bind_queue(py::module_& m) {
  using py::literals::operator""_a;
  py::class_<CompletionQueue, std::shared_ptr<CompletionQueue>>(m, "CompletionQueue")
      .def("read", &read, "count"_a, "most"_a, "timeout"_a)
      .def("put_back", &put_back, "id"_a, "context"_a, "code"_a, "message"_a)
      .def("read_error", &read_error)
      .def("wait", &wait, "timeout"_a)
      .def("signal", &CompletionQueue::signal)
      .def("fd", &CompletionQueue::fd)
      .def("__len__", &CompletionQueue::size)
      .def_property_readonly("outstanding", &CompletionQueue::outstanding)
      .def_property_readonly("closed", &CompletionQueue::closed)
      .def("close", &CompletionQueue::close);
}

}  // namespace qfw::qpi
