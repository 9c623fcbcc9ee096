// qfw._core.qpi: the native classes behind qfw.qpi. One class per file.
#include "qpi/native/bind.h"

namespace qfw {

void bind_qpi(pybind11::module_& m) {
  qpi::bind_device(m);
  qpi::bind_result(m);
  qpi::bind_queue(m);
  qpi::bind_stream(m);
  qpi::bind_mesh(m);
  qpi::bind_event(m);
  qpi::bind_context(m);
  qpi::bind_job(m);
}

}  // namespace qfw
