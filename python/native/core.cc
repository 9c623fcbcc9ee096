// The compiled module qfw._core: one submodule per room, each bound in its own room's native/bind_*.cc.
#include <pybind11/pybind11.h>

namespace py = pybind11;

namespace qfw {
void bind_program(py::module_& m);
void bind_simenv(py::module_& m);
void bind_qpm(py::module_& m);
void bind_qpi(py::module_& m);
}  // namespace qfw

PYBIND11_MODULE(_core, m) {
  m.doc() = "qfw's compiled module; import the rooms (qfw.program, qfw.qpi, ...), not this.";
  m.attr("__version__") = QFW_VERSION;
  auto program = m.def_submodule("program");
  qfw::bind_program(program);
  auto simenv = m.def_submodule("simenv");
  qfw::bind_simenv(simenv);
  auto qpm = m.def_submodule("qpm");
  qfw::bind_qpm(qpm);
  auto qpi = m.def_submodule("qpi");
  qfw::bind_qpi(qpi);
}
