// Streams in Python.
#include <pybind11/stl.h>

#include "qpi/native/bind.h"

namespace py = pybind11;

namespace qfw::qpi {
namespace {

// Waits for credit in slices, so that Ctrl-C gets through, and submits what fits each time.
std::vector<OperationId> submit(Stream& stream, std::vector<Request>& requests, double timeout, bool placed = false) {
  std::vector<OperationId> ids;
  patiently(timeout, [&](Deadline slice) {
    const auto made = stream.try_submit(std::span(requests).subspan(ids.size()), slice, placed);
    ids.insert(ids.end(), made.begin(), made.end());
    return ids.size() == requests.size();
  });
  if (ids.empty()) stream.no_credit().raise();
  return ids;
}

OperationId submit_one(Stream& stream, py::handle task, py::handle context, double timeout) {
  std::vector<Request> requests(1);
  requests[0].tasks.push_back(task_from(task));
  requests[0].context = context_from(context);
  return submit(stream, requests, timeout).front();
}

std::vector<OperationId> submit_many(Stream& stream, py::handle tasks, py::handle contexts, double timeout) {
  std::vector<Request> requests;
  auto context = py::iter(contexts);
  for (const py::handle task : tasks) {
    Request& request = requests.emplace_back();
    request.tasks.push_back(task_from(task));
    request.context = context_from(*context++);
  }
  return submit(stream, requests, timeout);
}

// Each group is a qfw.qpi.pipeline.Expanded, and comes back as the context of its one completion.
std::vector<OperationId> submit_groups(Stream& stream, py::handle groups, double timeout) {
  std::vector<Request> requests;
  for (const py::handle group : groups) {
    Request& request = requests.emplace_back();
    request.tasks = tasks_from(group.attr("tasks"));
    const auto tools_ns = group.attr("tools_ns").cast<uint64_t>();
    const auto places = group.attr("places").cast<std::vector<uint32_t>>();  // none: all tasks are for place 0
    for (size_t i = 0; i < request.tasks.size(); ++i) {
      request.tasks[i].tools_ns = tools_ns;
      if (i < places.size()) request.tasks[i].place = places[i];
    }
    request.context = context_from(group);
  }
  return submit(stream, requests, timeout, true);
}

OperationId query(Stream& stream, std::vector<qpm::DeviceId> devices, py::handle context, double timeout) {
  auto mine = context_from(context);
  py::gil_scoped_release unlock;
  return stream.query(std::move(devices), std::move(mine), Deadline::after_s(timeout));
}

OperationId barrier(Stream& stream, py::handle context, double timeout) {
  auto mine = context_from(context);
  py::gil_scoped_release unlock;
  return stream.barrier(std::move(mine), Deadline::after_s(timeout));
}

}  // namespace

void bind_stream(py::module_& m) {
  using py::literals::operator""_a;
  using Unlocked = py::call_guard<py::gil_scoped_release>;
  py::class_<Stream, std::shared_ptr<Stream>>(m, "Stream")
      .def("submit", &submit_one, "task"_a, "context"_a, "timeout"_a)
      .def("submit_many", &submit_many, "tasks"_a, "contexts"_a, "timeout"_a)
      .def("submit_groups", &submit_groups, "groups"_a, "timeout"_a)
      .def("query", &query, "devices"_a, "context"_a, "timeout"_a)
      .def("barrier", &barrier, "context"_a, "timeout"_a)
      .def("credit_fd", &Stream::credit_fd)
      .def("cancel", &Stream::cancel, "operation"_a, Unlocked())
      .def("cancel_all", &Stream::cancel_all, Unlocked())
      .def(
          "wait", [](Stream& s, double timeout) { return patiently(timeout, [&](Deadline d) { return s.wait(d); }); },
          "timeout"_a)
      .def("close", &Stream::close, Unlocked());
}

}  // namespace qfw::qpi
