// The kernels for any CPU of the architecture: two lanes (SSE2 on x86-64, NEON on aarch64).
#define QFW_LANES 2
#define QFW_REAL double
#include "simenv/native/kernels_impl.h"
QFW_KERNEL_TABLE(kKernelsBaseline, SimdLevel::kScalar)
