// The kernels for AVX2 with FMA: eight lanes of single precision.
#if defined(__AVX2__)
#define QFW_LANES 8
#define QFW_REAL float
#include "simenv/native/kernels_impl.h"
QFW_KERNEL_TABLE(kKernelsAvx2Single, SimdLevel::kAvx2)
#endif
