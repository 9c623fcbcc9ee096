// Meshes in Python, with the short way for a blocking caller.
#include <pybind11/stl.h>

#include "qpi/native/bind.h"

namespace py = pybind11;

namespace qfw::qpi {
namespace {

std::vector<qpm::Result> run(Mesh& mesh, std::vector<Task>&& tasks, double timeout) {
  std::unique_ptr<Run> run;
  {
    py::gil_scoped_release unlock;
    run = mesh.prepare(std::move(tasks));
  }
  const bool done = patiently(timeout, [&](Deadline slice) { return run->wait(slice); });
  if (!done) run->give_up(timeout);
  return run->take();
}

py::list run_one(Mesh& mesh, py::handle task, double timeout) {
  std::vector<Task> tasks;
  tasks.push_back(task_from(task));
  return results_to(run(mesh, std::move(tasks), timeout));
}

py::list run_many(Mesh& mesh, py::handle tasks, double timeout) {
  return results_to(run(mesh, tasks_from(tasks), timeout));
}

// For an event loop: nothing here waits.
std::shared_ptr<Run> prepare(Mesh& mesh, py::handle tasks) {
  auto made = tasks_from(tasks);
  py::gil_scoped_release unlock;
  return unlocked(std::shared_ptr<Run>(mesh.prepare(std::move(made))));
}

}  // namespace

void bind_mesh(py::module_& m) {
  using py::literals::operator""_a;
  py::class_<Run, std::shared_ptr<Run>>(m, "Run", "Tasks on their way for one caller; dropping it cancels them.")
      .def(
          "submit", [](Run& run) { return run.submit(Deadline::now()); }, py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("done", &Run::done)
      .def("fd", &Run::fd)
      .def("take", [](Run& run) { return results_to(run.take()); })
      .def("give_up", &Run::give_up, "seconds"_a);
  py::class_<Mesh, std::shared_ptr<Mesh>>(m, "Mesh")
      .def_property_readonly("devices", &Mesh::devices)
      .def_property_readonly("all", &Mesh::all)
      .def("prepare", &prepare, "tasks"_a)
      .def("credit_fd", [](Mesh& mesh) { return mesh.router()->credit_fd(); })
      .def("run", &run_one, "task"_a, "timeout"_a)
      .def("run_many", &run_many, "tasks"_a, "timeout"_a);
}

}  // namespace qfw::qpi
