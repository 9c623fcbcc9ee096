// Jobs in Python.
#include <pybind11/stl.h>

#include "qpi/native/bind.h"
#include "qpi/native/job.h"

namespace py = pybind11;

namespace qfw::qpi {
namespace {

const char* name_of(qpm::JobState state) {
  switch (state) {
    case qpm::JobState::kQueued:
      return "queued";
    case qpm::JobState::kRunning:
      return "running";
    case qpm::JobState::kDone:
      return "done";
  }
  return "running";
}

py::list taken(Job& job) {
  std::vector<std::pair<size_t, qpm::Result>> done;
  {
    py::gil_scoped_release unlock;
    done = job.take();
  }
  std::vector<qpm::Result> results;
  for (auto& [place, result] : done) results.push_back(std::move(result));
  const py::list natives = results_to(std::move(results));
  py::list out;
  for (size_t i = 0; i < done.size(); ++i) out.append(py::make_tuple(done[i].first, natives[i]));
  return out;
}

}  // namespace

void bind_job(py::module_& m) {
  using py::literals::operator""_a;
  using Unlocked = py::call_guard<py::gil_scoped_release>;
  py::class_<qpm::JobInfo>(m, "JobInfo", "What a runtime remembers of a job; qfw.qpi.JobInfo reads it.")
      .def_readonly("id", &qpm::JobInfo::id)
      .def_property_readonly("state", [](const qpm::JobInfo& j) { return name_of(j.state); })
      .def_readonly("tasks", &qpm::JobInfo::tasks)
      .def_readonly("completed", &qpm::JobInfo::completed)
      .def_readonly("failed", &qpm::JobInfo::failed)
      .def_readonly("position", &qpm::JobInfo::position)
      .def_readonly("created_s", &qpm::JobInfo::created_s)
      .def_property_readonly("metadata", [](const qpm::JobInfo& j) { return py::bytes(j.metadata); });
  py::class_<Job, std::shared_ptr<Job>>(m, "Job", "A job attached to; qfw.qpi.Job reads it.")
      .def_static(
          "attach",
          [](std::shared_ptr<Context> context, const std::string& id) {
            return unlocked(Job::attach(std::move(context), id));
          },
          "context"_a, "id"_a, Unlocked())
      .def_property_readonly("info", &Job::info)
      .def(
          "wait", [](Job& j, double timeout) { return patiently(timeout, [&](Deadline d) { return j.wait(d); }); },
          "timeout"_a)
      .def("take", &taken)
      .def("cancel", &Job::cancel, Unlocked())
      .def("close", &Job::close, Unlocked());
  m.def("jobs", &jobs, "context"_a, "ids"_a, Unlocked());
  m.def("forget_job", &forget_job, "context"_a, "id"_a, Unlocked());
}

}  // namespace qfw::qpi
