#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "tests/fuzz/fuzz.h"

namespace {

const Input& any_sample(uint64_t draw) {
  static const std::vector<Input> all = samples();
  return all[draw % all.size()];
}

}  // namespace

#ifdef QFW_FUZZER
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);

// An empty corpus begins with the samples.
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  if (size < 8 || seed % 512 == 0) {
    const Input& sample = any_sample(seed / 512);
    size = std::min(sample.size(), max_size);
    std::memcpy(data, sample.data(), size);
  }
  return LLVMFuzzerMutate(data, size, max_size);
}

#else
namespace {

int run_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::fprintf(stderr, "cannot read %s\n", path), 1;
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  return LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

// One change: a flipped bit, a word of interest, a cut, or a stretch copied elsewhere.
void mutate(Input& bytes, std::mt19937_64& random) {
  constexpr uint32_t kWords[] = {0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff, 0x7ff00000};
  const size_t at = random() % bytes.size();
  switch (random() % 6) {
    case 0:
      bytes[at] ^= static_cast<uint8_t>(1u << (random() % 8));
      return;
    case 1:
      bytes.resize(at + 1);
      return;
    case 2:
      bytes.insert(bytes.end(), 8 * (random() % 4), 0);
      return;
    case 3: {
      const size_t from = random() % bytes.size();
      const size_t count = std::min(random() % 32, bytes.size() - std::max(at, from));
      std::memmove(bytes.data() + at, bytes.data() + from, count);
      return;
    }
    default:
      if (bytes.size() >= 4) std::memcpy(&bytes[std::min(at & ~size_t{3}, bytes.size() - 4)], &kWords[random() % 8], 4);
  }
}

}  // namespace

int main(int argc, char** argv) {
  char* end = nullptr;
  const uint64_t runs = argc == 3 ? std::strtoull(argv[1], &end, 10) : 0;
  if (argc != 3 || *end != '\0') {
    int status = 0;
    for (int i = 1; i < argc; ++i) status |= run_file(argv[i]);
    return status;
  }
  std::mt19937_64 random(std::strtoull(argv[2], nullptr, 10));
  for (uint64_t run = 0; run < runs; ++run) {
    Input bytes = any_sample(run);
    for (uint64_t k = 1 + random() % 6; k > 0; --k) mutate(bytes, random);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%llu mutations\n", static_cast<unsigned long long>(runs));
}
#endif
