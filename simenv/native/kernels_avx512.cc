// The kernels for AVX-512: eight lanes.
#if defined(__AVX512F__)
#define QFW_LANES 8
#define QFW_REAL double
#include "simenv/native/kernels_impl.h"
QFW_KERNEL_TABLE(kKernelsAvx512, SimdLevel::kAvx512)
#endif
