// Meshes in Python, with the short way for a blocking caller.
#include <pybind11/stl.h>

#include "qpi/native/bind.h"

namespace py = pybind11;

namespace qfw::qpi {
namespace {

std::vector<qpm::Result> run(Mesh& mesh, std::vector<Task>&& tasks, double timeout) {
  std::unique_ptr<Run> run;
  const Deadline deadline = Deadline::after_s(timeout);
  const bool done = patiently(timeout, [&](Deadline slice) {
    if (!run) run = mesh.start(std::move(tasks), deadline);
    return run->wait(slice);
  });
  if (!done) run->give_up(timeout);
  return run->take();
}

py::object run_one(Mesh& mesh, py::handle task, double timeout) {
  std::vector<Task> tasks;
  tasks.push_back(task_from(task));
  return results_to(run(mesh, std::move(tasks), timeout))[0];
}

py::list run_many(Mesh& mesh, py::handle tasks, double timeout) {
  return results_to(run(mesh, tasks_from(tasks), timeout));
}

}  // namespace

void bind_mesh(py::module_& m) {
  using py::literals::operator""_a;
  py::class_<Mesh, std::shared_ptr<Mesh>>(m, "Mesh")
      .def_property_readonly("devices", &Mesh::devices)
      .def("run", &run_one, "task"_a, "timeout"_a)
      .def("run_many", &run_many, "tasks"_a, "timeout"_a);
}

}  // namespace qfw::qpi
