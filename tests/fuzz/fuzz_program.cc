// Any bytes decode to a Program or throw qfw::Error; a Program decodes again from its own bytes.
#include <cstdlib>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/program/sample.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
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

std::vector<Input> samples() {
  std::vector<Input> all;
  for (const auto& program : {qfw::program::testing::sample(), qfw::program::testing::dynamic_sample()}) {
    const auto* first = reinterpret_cast<const uint8_t*>(program->bytes().data());
    all.emplace_back(first, first + program->bytes().size());
  }
  return all;
}
