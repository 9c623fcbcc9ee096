// The context in Python, and the search for a run.
#include <pybind11/stl.h>

#include "qpi/native/bind.h"
#include "qpi/native/endpoint.h"

namespace py = pybind11;

namespace qfw::qpi {
namespace {

qpm::Order order_from(const std::string& word) {
  if (word == "parallel") return qpm::Order::kParallel;
  if (word == "sequential") return qpm::Order::kSequential;
  throw Error(ErrorCode::kInvalidArgument, "order is \"" + word + "\"; allowed: parallel, sequential");
}

using QueuePtr = std::shared_ptr<CompletionQueue>;
using JobPair = std::optional<std::pair<std::string, std::string>>;

std::shared_ptr<Stream> make_stream(Context& context, const Mesh& mesh, const std::string& order, QueuePtr tasks,
                                    QueuePtr queries, QueuePtr barriers, QueuePtr errors, JobPair job) {
  const auto wanted = order_from(order);
  std::optional<qpm::JobSpec> spec;
  if (job) spec = qpm::JobSpec{std::move(job->first), std::move(job->second)};
  py::gil_scoped_release unlock;
  const Queues queues{std::move(tasks), std::move(queries), std::move(barriers), std::move(errors)};
  return unlocked(std::shared_ptr<Stream>(context.stream(mesh, wanted, queues, nullptr, spec ? &*spec : nullptr)));
}

std::shared_ptr<Mesh> make_mesh(Context& context, std::vector<std::string> names, std::optional<bool> simulator,
                                uint32_t min_qubits, bool all) {
  return unlocked(context.mesh({std::move(names), simulator, min_qubits, all}));
}

}  // namespace

void bind_context(py::module_& m) {
  using py::literals::operator""_a;
  using Unlocked = py::call_guard<py::gil_scoped_release>;
  py::class_<Context, std::shared_ptr<Context>>(m, "Context")
      .def_static(
          "connect",
          [](const std::string& endpoint, double timeout, std::optional<double> reconnect) {
            return unlocked(Context::connect(endpoint, {timeout, reconnect}));
          },
          "endpoint"_a, "timeout"_a, "reconnect"_a = py::none(), Unlocked())
      .def_static(
          "over", [](std::shared_ptr<qpm::Session> session) { return unlocked(Context::over(std::move(session))); },
          "session"_a, Unlocked())
      .def_property_readonly("endpoint", &Context::endpoint)
      .def_property_readonly("window", &Context::window)
      .def("devices", &Context::devices, Unlocked())
      .def("device", &Context::device, "name"_a, Unlocked())
      .def("mesh", &make_mesh, "names"_a, "simulator"_a, "min_qubits"_a, "all"_a, Unlocked())
      .def("completion_queue", &Context::completion_queue, "capacity"_a, Unlocked())
      .def("event_queue", &make_event_queue, "devices"_a, "kinds"_a, "capacity"_a)
      .def("stream", &make_stream, "mesh"_a, "order"_a, "tasks"_a, "queries"_a, "barriers"_a, "errors"_a,
           "job"_a = py::none())
      .def("cancel", &Context::cancel, Unlocked())
      .def("close", &Context::close, Unlocked());
  m.attr("DEFAULT_EVENTS") = EventQueue::kDefaultCapacity;
  m.attr("DEFAULT_CAPACITY") = CompletionQueue::kDefaultCapacity;
  m.def("find_endpoint", []() -> py::object {
    const auto found = find_endpoint();
    return found ? py::object(py::str(found->path)) : py::none();
  });
  m.def(
      "read_endpoint", [](const std::string& path) { return read_endpoint(path).runtime; }, "path"_a);
}

}  // namespace qfw::qpi
