#include <pybind11/pybind11.h>

namespace qfw {
void bind_simenv(pybind11::module_& m) { (void)m; }
}  // namespace qfw
