// The kernels for any CPU of the architecture: four lanes of single precision (SSE2 on x86-64, NEON on aarch64).
#define QFW_LANES 4
#define QFW_REAL float
#include "simenv/native/kernels_impl.h"
QFW_KERNEL_TABLE(kKernelsBaselineSingle, SimdLevel::kScalar)
