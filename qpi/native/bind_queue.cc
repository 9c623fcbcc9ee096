// The completion queue in Python.
#include "qpi/native/bind.h"

namespace py = pybind11;

namespace qfw::qpi {
namespace {

py::tuple entry_to(Operation& operation) {
  return py::make_tuple(operation.id, context_to(operation.context), results_to(std::move(operation.results)));
}

// Waits for `count` entries; None when the head is an error. WaitTimeout leaves everything in the queue.
py::object read(CompletionQueue& queue, size_t count, double timeout) {
  std::vector<OperationPtr> taken;
  ReadStatus status = ReadStatus::kEmpty;
  const bool in_time = patiently(timeout, [&](Deadline deadline) {
    status = queue.read(taken, count, count, deadline);
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
      .def("read", &read, "count"_a, "timeout"_a)
      .def("read_error", &read_error)
      .def("wait", &wait, "timeout"_a)
      .def("signal", &CompletionQueue::signal)
      .def("fd", &CompletionQueue::fd)
      .def("__len__", &CompletionQueue::size)
      .def_property_readonly("outstanding", &CompletionQueue::outstanding)
      .def("close", &CompletionQueue::close);
}

}  // namespace qfw::qpi
