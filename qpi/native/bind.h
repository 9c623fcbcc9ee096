// What the binding files of this room share.
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "qpi/native/context.h"

namespace qfw::qpi {

void bind_device(pybind11::module_& m);
void bind_result(pybind11::module_& m);
void bind_queue(pybind11::module_& m);
void bind_stream(pybind11::module_& m);
void bind_mesh(pybind11::module_& m);
void bind_event(pybind11::module_& m);
void bind_job(pybind11::module_& m);
void bind_context(pybind11::module_& m);

// Reads a qfw.qpi.Task by its attributes. InvalidArgument or LimitExceeded with value and limit.
Task task_from(pybind11::handle task);
std::vector<Task> tasks_from(pybind11::handle tasks);

std::shared_ptr<EventQueue> make_event_queue(Context& context, const std::vector<std::string>& devices,
                                             const std::vector<std::string>& kinds, size_t capacity);

// A Python object as a caller's pointer: the reference is given back when nobody takes it.
UserContext context_from(pybind11::handle object);
pybind11::object context_to(UserContext& context);  // None when there was none

using ResultPtr = std::shared_ptr<const qpm::Result>;
pybind11::list results_to(std::vector<qpm::Result>&& results);
pybind11::object failure_to(const qpm::Failure& failure);  // (code, message, transient, retry_after), or None

// The same object, but destroyed without the global lock: ending a session waits for threads that may want the lock.
template <class T>
std::shared_ptr<T> unlocked(std::shared_ptr<T> object) {
  T* raw = object.get();
  return std::shared_ptr<T>(raw, [object = std::move(object)](T*) mutable {
    if (!PyGILState_Check()) return object.reset();
    pybind11::gil_scoped_release unlock;
    object.reset();
  });
}

// Waits without the global lock, in slices, so that Ctrl-C gets through. `once(deadline)` returns true when done.
// False when `seconds` (negative: never) ran out.
template <class Once>
bool patiently(double seconds, Once&& once) {
  constexpr double kSlice = 0.1;
  const Deadline end = Deadline::after_s(seconds);
  for (double left = seconds;;) {
    const Deadline slice = left >= 0.0 && left <= kSlice ? end : Deadline::after_s(kSlice);
    {
      pybind11::gil_scoped_release unlock;
      if (once(slice)) return true;
    }
    if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
    if (end.passed()) return false;
    if (left >= 0.0) left = std::max(kSlice, left - kSlice);
  }
}

}  // namespace qfw::qpi
