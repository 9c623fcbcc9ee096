// What the binding files of this room share.
#pragma once

#include <pybind11/pybind11.h>

#include <functional>
#include <memory>
#include <string>

#include "qpm/api/native/device_info.h"
#include "qpm/native/device.h"
#include "qpm/native/runtime.h"

namespace qfw::qpm {

// DeviceInfo from the dict of qfw.qpm.plugin.DeviceSpec.info(), and back. InvalidArgument for a missing name.
DeviceInfo device_info_from(const pybind11::dict& info);
pybind11::dict device_info_to(const DeviceInfo& info);

// A Python object that C++ threads may copy and drop without the global lock; `get()` needs it.
class __attribute__((visibility("hidden"))) PyRef {
 public:
  explicit PyRef(pybind11::object object)
      : object_(new pybind11::object(std::move(object)), [](pybind11::object* o) {
          if (!Py_IsInitialized()) return;  // too late: the interpreter has gone
          pybind11::gil_scoped_acquire lock;
          delete o;
        }) {}
  const pybind11::object& get() const { return *object_; }

 private:
  std::shared_ptr<pybind11::object> object_;
};

// What went wrong in Python, as a task's failure: qfw's own errors keep their number, others become kDevice with the
// exception's type and its last line. Needs the global lock.
Failure failure_from(pybind11::error_already_set& error);
Failure failure_from(pybind11::handle exception);

void add_pool_stats(Runtime& runtime, pybind11::dict& stats);  // of all pools of instances together

void bind_devices(pybind11::class_<Runtime, std::shared_ptr<Runtime>>& runtime);  // bind_devices.cc

}  // namespace qfw::qpm
