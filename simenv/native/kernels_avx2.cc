// The kernels for AVX2 with FMA: four lanes.
#if defined(__AVX2__)
#define QFW_LANES 4
#define QFW_REAL double
#include "simenv/native/kernels_impl.h"
QFW_KERNEL_TABLE(kKernelsAvx2, SimdLevel::kAvx2)
#endif
