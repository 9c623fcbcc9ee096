// The kernels for AVX-512: sixteen lanes of single precision.
#if defined(__AVX512F__)
#define QFW_LANES 16
#define QFW_REAL float
#include "simenv/native/kernels_impl.h"
QFW_KERNEL_TABLE(kKernelsAvx512Single, SimdLevel::kAvx512)
#endif
