// Any bytes decode to a Program or throw qfw::Error; a Program decodes again from its own bytes.
// With -DQFW_FUZZER=ON this is a libFuzzer target; else main() runs files, or mutations of samples:
//   fuzz_program FILE...        each file once
//   fuzz_program RUNS SEED      mutations
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "tests/unit/program/sample.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using qfw::program::Program;
  try {
    const auto program = Program::decode({reinterpret_cast<const std::byte*>(data), size});
    if (Program::decode(program->bytes())->hash() != program->hash()) std::abort();
    double sum = program->global_phase();
    for (const auto& v : program->variables()) sum += static_cast<double>(v.initial);
    for (const auto& b : program->blocks()) sum += b.condition + b.target + b.target_else;
    for (const auto& i : program->instructions()) {
      if (i.classical != nullptr) {
        const auto& c = *i.classical;
        sum += c.variable + c.first + c.bits;
        for (size_t k = 0; k < c.count; ++k) sum += static_cast<double>(c.operands[k].index + c.operands[k].value);
        if (c.count > c.operands.size() || c.op >= qfw::program::Compute::kCount) std::abort();
      }
      for (const uint32_t q : i.qubits) sum += q;
      for (const uint32_t b : i.bits) sum += b;
      for (const auto& a : i.angles) sum += a.offset;
      for (const auto& entry : i.matrix) sum += entry.real();
    }
    [[maybe_unused]] volatile double sink = sum;  // every span was read
  } catch (const qfw::Error& error) {
    if (*error.what() == '\0') std::abort();
  }
  return 0;
}

#ifndef QFW_FUZZER
namespace {

int run_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::fprintf(stderr, "cannot read %s\n", path), 1;
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  return LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

// One change: a flipped bit, a word of interest, a cut, or a stretch copied elsewhere.
void mutate(std::vector<uint8_t>& bytes, std::mt19937_64& random) {
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
  const qfw::program::ProgramPtr samples[] = {qfw::program::testing::sample(), qfw::program::testing::dynamic_sample()};
  for (uint64_t run = 0; run < runs; ++run) {
    const auto& sample = samples[run % 2];
    const auto* first = reinterpret_cast<const uint8_t*>(sample->bytes().data());
    std::vector<uint8_t> bytes(first, first + sample->bytes().size());
    for (uint64_t k = 1 + random() % 6; k > 0; --k) mutate(bytes, random);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%llu mutations\n", static_cast<unsigned long long>(runs));
}
#endif
