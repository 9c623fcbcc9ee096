// What a fuzz target defines. With -DQFW_FUZZER=ON (Clang) it is a libFuzzer target whose corpus grows from its
// samples; else driver.cc gives it a main():
//   TARGET FILE...        each file once
//   TARGET RUNS SEED      mutations of the samples
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

using Input = std::vector<uint8_t>;

std::vector<Input> samples();  // good inputs to start from
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
