// Devices in Python.
#include <pybind11/stl.h>

#include "qpi/native/bind.h"

namespace py = pybind11;

namespace qfw::qpi {

void bind_device(py::module_& m) {
  py::class_<Device>(m, "Device", "A device as it was when it was listed; qfw.qpi.Device is made of it.")
      .def_property_readonly("id", &Device::id)
      .def_property_readonly("name", &Device::name)
      .def_property_readonly("provider", [](const Device& d) { return d.info().provider; })
      .def_property_readonly("description", [](const Device& d) { return d.info().description; })
      .def_property_readonly("version", [](const Device& d) { return d.info().version; })
      .def_property_readonly("simulator", [](const Device& d) { return d.info().simulator; })
      .def_property_readonly("status", [](const Device& d) { return status_name(d.info().status); })
      .def_property_readonly("status_reason", [](const Device& d) { return d.info().status_reason; })
      .def_property_readonly("max_qubits", [](const Device& d) { return d.info().max_qubits; })
      .def_property_readonly("max_shots", [](const Device& d) { return d.info().max_shots; })
      .def_property_readonly("max_rows", [](const Device& d) { return d.info().max_rows; })
      .def_property_readonly("capacity", [](const Device& d) { return d.info().capacity; })
      .def_property_readonly("queued", [](const Device& d) { return d.info().queued; })
      .def_property_readonly("instances", [](const Device& d) { return d.info().instances; })
      .def_property_readonly("max_ranks", [](const Device& d) { return d.info().max_ranks; })
      .def_property_readonly("threads", [](const Device& d) { return d.info().threads; })
      .def_property_readonly("gates", [](const Device& d) { return d.info().gates; })
      .def_property_readonly("outputs", [](const Device& d) { return d.info().outputs; })
      .def_property_readonly("coupling", [](const Device& d) { return d.info().coupling; })
      .def_property_readonly("options", [](const Device& d) { return d.info().options; });
}

}  // namespace qfw::qpi
