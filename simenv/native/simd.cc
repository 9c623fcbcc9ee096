#include <cstdlib>
#include <string_view>

#include "simenv/native/kernels.h"

namespace qfw::simenv {

extern const Kernels kKernelsBaseline, kKernelsBaselineSingle;
#if defined(__x86_64__)
extern const Kernels kKernelsAvx2, kKernelsAvx2Single;
extern const Kernels kKernelsAvx512, kKernelsAvx512Single;
#endif

namespace {

SimdLevel cpu_level() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return SimdLevel::kScalar;
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  return wide ? SimdLevel::kAvx512 : SimdLevel::kAvx2;
#else
  return SimdLevel::kScalar;
#endif
}

SimdLevel allowed_level() noexcept {
  const SimdLevel cpu = cpu_level();
  const char* wish = std::getenv("QFW_SIMD");
  if (wish == nullptr) return cpu;
  for (SimdLevel level : {SimdLevel::kScalar, SimdLevel::kAvx2, SimdLevel::kAvx512})
    if (simd_name(level) == wish) return level < cpu ? level : cpu;
  return cpu;
}

}  // namespace

SimdLevel best_simd_level() noexcept {
  static const SimdLevel level = allowed_level();
  return level;
}

std::string_view simd_name(SimdLevel level) noexcept {
  switch (level) {
    case SimdLevel::kAvx512:
      return "avx512";
    case SimdLevel::kAvx2:
      return "avx2";
    case SimdLevel::kScalar:
      break;
  }
  return "scalar";
}

const Kernels& kernels(SimdLevel level, Precision precision) noexcept {
  const bool single = precision == Precision::kSingle;
#if defined(__x86_64__)
  static const SimdLevel cpu = cpu_level();
  if (level > cpu) level = cpu;
  if (level == SimdLevel::kAvx512) return single ? kKernelsAvx512Single : kKernelsAvx512;
  if (level == SimdLevel::kAvx2) return single ? kKernelsAvx2Single : kKernelsAvx2;
#else
  (void)level;
#endif
  return single ? kKernelsBaselineSingle : kKernelsBaseline;
}

}  // namespace qfw::simenv
