#include "simenv/native/simulator.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <thread>

#include "program/native/builder.h"
#include "simenv/native/branch.h"
#include "simenv/native/plan.h"
#include "simenv/native/tally.h"
#include "tests/unit/simenv/reference.h"

namespace qfw::simenv {
namespace {

using program::GateId;
using program::ProgramBuilder;

void gate(ProgramBuilder& b, GateId id, std::vector<uint32_t> qubits, std::vector<double> values = {}) {
  std::vector<program::Angle> angles;
  for (double v : values) angles.push_back({v});
  b.gate(id, qubits, angles);
}

program::ProgramPtr layers(uint32_t qubits, int count, bool measured) {
  ProgramBuilder b(qubits, measured ? qubits : 0);
  for (int l = 0; l < count; ++l) {
    for (uint32_t q = 0; q < qubits; ++q) gate(b, GateId::kRy, {q}, {0.3 * l + q});
    for (uint32_t q = 0; q + 1 < qubits; ++q) gate(b, GateId::kCx, {q, q + 1});
  }
  if (measured)
    for (uint32_t q = 0; q < qubits; ++q) b.measure(q, q);
  return b.finish();
}

ErrorCode code_of(const Simulator& simulator, const Request& request, const Stop& stop) {
  try {
    simulator.run(request, nullptr, stop);
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::kOk;
}

TEST(Simulator, OutputsAreTheSameBitsOnAnyNumberOfThreads) {
  const auto program = layers(17, 3, true);
  Request request;
  request.shots = 20000;
  request.seed = 12;
  request.memory = request.counts = request.probabilities = request.statevector = true;
  const std::vector<uint32_t> some{3, 16, 0};
  request.probability_qubits = some;
  std::vector<program::PauliSum> sums(1);
  for (uint32_t q = 0; q < 17; ++q) {
    sums[0].terms.push_back({0.5 + q, {{q, program::Pauli::kZ}, {(q + 1) % 17, program::Pauli::kX}}});
    sums[0].terms.push_back({0.25, {{q, program::Pauli::kY}, {(q + 5) % 17, program::Pauli::kY}}});
  }
  request.observables = sums;
  for (SimdLevel level : testing::all_levels()) {
    const Simulator simulator(program, level);
    const Outcome alone = simulator.run(request, nullptr, Stop());
    for (unsigned threads : {2u, 4u}) {
      ThreadPool pool(threads);
      const Outcome found = simulator.run(request, &pool, Stop());
      EXPECT_EQ(found.memory, alone.memory);
      EXPECT_EQ(found.count_keys, alone.count_keys);
      EXPECT_EQ(found.counts, alone.counts);
      EXPECT_EQ(found.probabilities, alone.probabilities);
      EXPECT_EQ(found.statevector, alone.statevector);
      EXPECT_EQ(found.expectations, alone.expectations);
    }
  }
}

TEST(Simulator, ManyRunsAtOnceOfOneSimulator) {
  const Simulator simulator(layers(12, 3, true));
  Request request;
  request.shots = 500;
  request.counts = true;
  const Outcome expected = simulator.run(request, nullptr, Stop());
  ThreadPool pool(4);
  pool.parallel_for(16, [&](size_t) {
    const Outcome found = simulator.run(request, &pool, Stop());
    if (found.counts != expected.counts) throw std::runtime_error("other counts");
  });
}

TEST(Simulator, StopEndsALongRunSoon) {
  const Simulator simulator(layers(25, 60, false));
  Request request;
  std::vector<program::PauliSum> sums(1);
  sums[0].terms.push_back({1.0, {{0, program::Pauli::kZ}}});
  request.observables = sums;
  Stop stop;
  std::chrono::steady_clock::time_point asked;
  std::thread canceller([&] {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(30);
    while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
    asked = std::chrono::steady_clock::now();
    stop.request();
  });
  EXPECT_EQ(code_of(simulator, request, stop), ErrorCode::kCancelled);
  const auto ended = std::chrono::steady_clock::now();
  canceller.join();
  RecordProperty("cancel_ms", static_cast<int>(std::chrono::duration<double, std::milli>(ended - asked).count()));
  const Stop past(std::chrono::steady_clock::now() + std::chrono::milliseconds(20));
  EXPECT_EQ(code_of(simulator, request, past), ErrorCode::kDeadlineExceeded);
}

TEST(Simulator, MemoryIsCheckedBeforeItIsTaken) {
  ProgramBuilder big(40, 0);
  const auto program = big.finish();
  Request request;
  request.statevector = true;
  try {
    Simulator(program).run(request, nullptr, Stop());
    FAIL() << "16 TiB were given";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kResourceExhausted);
    EXPECT_NE(std::string(e.what()).find("17592186044416 bytes"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("available"), std::string::npos) << e.what();
  }
}

TEST(Simulator, AddressSpaceLimitIsRespected) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers need the address space";
#endif
  rlimit before{};
  ASSERT_EQ(0, getrlimit(RLIMIT_AS, &before));
  const rlimit low{uint64_t{2} << 30, before.rlim_max};
  ASSERT_EQ(0, setrlimit(RLIMIT_AS, &low));
  ProgramBuilder builder(28, 0);
  const Simulator simulator(builder.finish());
  Request request;
  request.statevector = true;
  const ErrorCode code = code_of(simulator, request, Stop());
  ASSERT_EQ(0, setrlimit(RLIMIT_AS, &before));
  EXPECT_EQ(code, ErrorCode::kResourceExhausted);
}

TEST(Simulator, SamplingFollowsTheProbabilities) {
  for (uint32_t qubits : {3u, 10u}) {  // by binomials, by sorted uniforms
    const auto program = layers(qubits, 2, true);
    Request request;
    request.shots = 200000;
    request.seed = 77;
    request.counts = request.probabilities = true;
    const Outcome out = Simulator(program).run(request, nullptr, Stop());
    std::vector<uint64_t> counts(size_t{1} << qubits, 0);
    const size_t row = (qubits + 7) / 8;
    for (size_t i = 0; i < out.counts.size(); ++i) {
      size_t key = 0;
      for (size_t b = 0; b < row; ++b) key |= size_t{out.count_keys[i * row + b]} << 8 * b;
      counts[key] = out.counts[i];
    }
    double chi2 = 0, cells = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      const double expected = out.probabilities[i] * 200000;
      if (expected < 5) continue;
      chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
      ++cells;
    }
    EXPECT_LT(chi2, cells + 4 * std::sqrt(2 * cells)) << qubits;
  }
}

// A program that measures in the middle, resets, and uses the qubit again.
program::ProgramPtr branching() {
  ProgramBuilder b(3, 6);
  for (uint32_t round = 0; round < 3; ++round) {
    for (uint32_t q = 0; q < 3; ++q) gate(b, GateId::kRy, {q}, {0.7 + q + round});
    gate(b, GateId::kCx, {0, 1});
    gate(b, GateId::kCx, {1, 2});
    b.measure(0, round);
    if (round == 1) b.reset(1);
  }
  for (uint32_t q = 0; q < 3; ++q) b.measure(q, 3 + q);
  return b.finish();
}

Outcome followed(const program::Program& program, const BranchLimits& limits) {
  Request request;
  request.shots = 5000;
  request.seed = 3;
  Tally tally(program.num_bits());
  follow_shots(program, make_flow(program), kernels(best_simd_level()), request, nullptr, Stop(), limits, tally);
  Outcome out;
  tally.finish(request.seed, true, true, Stop(), out);
  return out;
}

TEST(Branches, ResultDoesNotDependOnTheMemoryForCopies) {
  const auto program = branching();
  const Outcome first = followed(*program, {0, 64});
  for (const size_t copies : {1, 0}) {
    const Outcome out = followed(*program, {0, copies});
    EXPECT_EQ(out.counts, first.counts);
    EXPECT_EQ(out.count_keys, first.count_keys);
    EXPECT_EQ(out.memory, first.memory);
  }
}

// Together, crowded, and one after another: different draws of one distribution.
TEST(Branches, DistributionDoesNotDependOnHowManyWait) {
  const auto program = branching();
  std::map<uint8_t, double> first;
  for (const size_t waiting : {256, 4, 1, 0}) {
    const Outcome out = followed(*program, {waiting, 64});
    std::map<uint8_t, double> counts;
    for (size_t i = 0; i < out.counts.size(); ++i) counts[out.count_keys[i]] = static_cast<double>(out.counts[i]);
    if (waiting == 256) first = counts;
    for (const auto& [key, count] : counts) EXPECT_NEAR(count, first[key], 7 * std::sqrt(2 * count + 20)) << int{key};
  }
}

// The same circuit with fresh qubits instead of measurement and reset in the middle: the same distribution.
TEST(Branches, AgreeWithDeferredMeasurement) {
  ProgramBuilder b(7, 6);  // qubits 3..5 hold what rounds 0..2 measure, 6 replaces the reset qubit 1
  uint32_t at[] = {0, 1, 2};
  for (uint32_t round = 0; round < 3; ++round) {
    for (uint32_t q = 0; q < 3; ++q) gate(b, GateId::kRy, {at[q]}, {0.7 + q + round});
    gate(b, GateId::kCx, {at[0], at[1]});
    gate(b, GateId::kCx, {at[1], at[2]});
    gate(b, GateId::kCx, {at[0], 3 + round});
    if (round == 1) at[1] = 6;
  }
  for (uint32_t k = 0; k < 3; ++k) b.measure(3 + k, k);
  for (uint32_t q = 0; q < 3; ++q) b.measure(at[q], 3 + q);
  Request request;
  request.shots = 100000;
  request.seed = 5;
  request.counts = true;
  const Outcome deferred = Simulator(b.finish()).run(request, nullptr, Stop());
  request.seed = 6;
  const Outcome followed = Simulator(branching()).run(request, nullptr, Stop());
  std::map<uint8_t, double> difference, sum;
  for (size_t i = 0; i < deferred.counts.size(); ++i) {
    difference[deferred.count_keys[i]] += static_cast<double>(deferred.counts[i]);
    sum[deferred.count_keys[i]] += static_cast<double>(deferred.counts[i]);
  }
  for (size_t i = 0; i < followed.counts.size(); ++i) {
    difference[followed.count_keys[i]] -= static_cast<double>(followed.counts[i]);
    sum[followed.count_keys[i]] += static_cast<double>(followed.counts[i]);
  }
  double chi2 = 0, cells = 0;
  for (const auto& [key, d] : difference) {
    if (sum[key] < 10) continue;
    chi2 += d * d / sum[key];
    ++cells;
  }
  EXPECT_GT(cells, 20);
  EXPECT_LT(chi2, cells + 4 * std::sqrt(2 * cells));
}

TEST(Branches, StatesAreRefused) {
  Request request;
  request.statevector = true;
  EXPECT_EQ(code_of(Simulator(branching()), request, Stop()), ErrorCode::kUnsupported);
}

TEST(Tally, KeysOfManyWordsComeSortedAsNumbers) {
  Tally tally(130);
  const uint64_t a[3] = {1, 0, 2}, b[3] = {5, 0, 1}, c[3] = {0, 9, 1};
  for (const uint64_t* key : {a, b, c, a, b}) tally.add(key, 2);
  Outcome out;
  tally.finish(1, true, true, Stop(), out);
  EXPECT_EQ(out.counts, (std::vector<uint64_t>{4, 2, 4}));
  EXPECT_EQ(out.memory.size(), 10u * 17);
  EXPECT_EQ(out.count_keys[0], 5);
  EXPECT_EQ(out.count_keys[17 + 8], 9);
  EXPECT_EQ(out.count_keys[34 + 16], 2);
}

}  // namespace
}  // namespace qfw::simenv
