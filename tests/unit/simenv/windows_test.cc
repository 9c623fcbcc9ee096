// Fusion and windows change nothing: compared with the plain simulation, for small blocks so that states of 12 qubits
// already have many.
#include <gtest/gtest.h>

#include <cstring>

#include "simenv/native/plan.h"
#include "simenv/native/state.h"
#include "tests/unit/simenv/reference.h"

namespace qfw::simenv {
namespace {

using testing::Mix;

std::vector<program::Complex> run(const program::Program& program, std::span<const double> row, SimdLevel level,
                                  unsigned block_bits, ThreadPool* pool) {
  const Plan plan = make_plan(program, block_bits);
  std::vector<double> values(plan.row_doubles);
  plan.evaluate(row, values.data());
  State state(kernels(level), program.num_qubits(), pool, true, Stop());
  state.start({values[0], values[1]});
  state.apply(plan, 0, values.data(), Stop());
  return state.take();
}

TEST(Windows, AgreeWithThePlainSimulation) {
  testing::RandomPrograms random(7);
  for (Mix mix : {Mix::kAll, Mix::kNeighbours, Mix::kDiagonal})
    for (bool parametric : {false, true})
      for (unsigned block_bits : {8u, 9u, 12u}) {
        const auto program = random.make(12, 150, mix, parametric);
        const auto expected = testing::reference_state(*program, random.row());
        for (SimdLevel level : testing::all_levels())
          EXPECT_LT(testing::distance(run(*program, random.row(), level, block_bits, nullptr), expected), 1e-11)
              << "mix " << static_cast<int>(mix) << " parametric " << parametric << " block " << block_bits << " "
              << simd_name(level);
      }
}

TEST(Windows, SameBitsOnAnyNumberOfThreads) {
  testing::RandomPrograms random(9);
  ThreadPool two(2), four(4);
  const auto program = random.make(12, 120, Mix::kAll, true);
  for (SimdLevel level : testing::all_levels()) {
    const auto alone = run(*program, random.row(), level, 8, nullptr);
    for (ThreadPool* pool : {&two, &four}) {
      const auto together = run(*program, random.row(), level, 8, pool);
      EXPECT_EQ(0, std::memcmp(alone.data(), together.data(), alone.size() * sizeof alone[0]));
    }
  }
}

TEST(Windows, NeedFarFewerPassesThanGates) {
  program::ProgramBuilder builder(18, 0);
  for (int layer = 0; layer < 10; ++layer)
    for (uint32_t q = layer % 2; q + 1 < 18; q += 2) {
      const uint32_t pair[] = {q, q + 1};
      const program::Angle angle[] = {{0.3}};
      builder.gate(program::GateId::kRxx, pair, angle);
    }
  const Plan plan = make_plan(*builder.finish());
  EXPECT_LE(plan.windows.size(), 5u);
  size_t ops = 0;
  for (const Window& w : plan.windows) ops += w.last - w.first;
  EXPECT_EQ(ops, plan.ops.size());
}

}  // namespace
}  // namespace qfw::simenv
