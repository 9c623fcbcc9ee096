// Adjoint gradients against differences of expectation values of a plain simulation, and their reproducibility.
#include "simenv/native/gradient.h"

#include <gtest/gtest.h>

#include <cmath>

#include "simenv/native/derivative.h"
#include "simenv/native/simulator.h"
#include "tests/unit/simenv/reference.h"

namespace qfw::simenv {
namespace {

using program::PauliSum;

double mean(const std::vector<program::Complex>& state, const PauliSum& sum) {
  const std::vector<program::Complex> paulis[3] = {
      {0, 1, 1, 0}, {0, program::Complex(0, -1), program::Complex(0, 1), 0}, {1, 0, 0, -1}};
  double total = 0.0;
  for (const auto& term : sum.terms) {
    auto other = state;
    for (const auto& f : term.factors)
      testing::apply_dense(other, {}, {f.qubit}, paulis[static_cast<int>(f.pauli) - 1]);
    for (size_t i = 0; i < state.size(); ++i) total += term.coefficient * (std::conj(state[i]) * other[i]).real();
  }
  return total;
}

PauliSum random_sum(testing::RandomPrograms& random, uint32_t qubits, int terms) {
  PauliSum sum;
  sum.terms.push_back({0.25, {}});
  for (int i = 0; i < terms; ++i) {
    program::PauliTerm term{random.angle(), {}};
    for (uint32_t q = 0; q < qubits; ++q)
      if (random.below(3) == 0) term.factors.push_back({q, static_cast<program::Pauli>(1 + random.below(3))});
    sum.terms.push_back(term);
  }
  return sum;
}

// By a central difference of fourth order: its error is near 1e-10.
std::vector<double> differences(const program::Program& program, std::vector<double> row, const PauliSum& sum) {
  constexpr double kStep = 2e-3;
  std::vector<double> out;
  for (double& value : row) {
    const double here = value;
    const auto at = [&](double by) {
      value = here + by;
      return mean(testing::reference_state(program, row), sum);
    };
    out.push_back((8 * (at(kStep) - at(-kStep)) - (at(2 * kStep) - at(-2 * kStep))) / (12 * kStep));
    value = here;
  }
  return out;
}

TEST(Derivative, OfEveryRowOfTheGateTable) {
  constexpr double kStep = 1e-3;
  for (const program::Gate& gate : program::gates())
    for (unsigned which = 0; which < gate.params; ++which) {
      double angles[program::kMaxGateParams] = {0.3, -1.7, 2.2, 0.9};
      program::Complex found[16], plus[16], minus[16];
      derivative(gate, {angles, gate.params}, which, found);
      angles[which] += kStep;
      gate.matrix(angles, plus);
      angles[which] -= 2 * kStep;
      gate.matrix(angles, minus);
      const unsigned dim = 1u << (gate.qubits - gate.controls);
      for (unsigned i = 0; i < dim * dim; ++i)
        EXPECT_LT(std::abs(found[i] - (plus[i] - minus[i]) / (2 * kStep)), 1e-6) << gate.name << " " << which;
    }
}

TEST(Gradient, OfRandomPrograms) {
  for (uint32_t seed = 0; seed < 12; ++seed) {
    testing::RandomPrograms random(seed);
    const uint32_t qubits = 1 + seed % 6;
    const auto program = random.make(qubits, 30, testing::Mix::kAll, true);
    const std::vector<double> row = random.row();
    std::vector<PauliSum> sums;
    for (int i = 0; i < 4; ++i) sums.push_back(random_sum(random, qubits, 1 + 3 * i));
    Request request;
    request.row = row;
    request.observables = sums;
    request.gradients = true;
    for (SimdLevel level : testing::all_levels()) {
      const auto found = Simulator(program, level).run(request, nullptr, Stop()).gradients;
      ASSERT_EQ(found.size(), sums.size() * row.size());
      for (size_t o = 0; o < sums.size(); ++o) {
        const auto expected = differences(*program, row, sums[o]);
        for (size_t p = 0; p < row.size(); ++p) EXPECT_NEAR(found[o * row.size() + p], expected[p], 1e-7) << seed;
      }
    }
  }
}

// Fused, with several windows and layers of phases: small blocks against one block and no fusion to speak of.
TEST(Gradient, DoesNotDependOnBlocksOrThreads) {
  for (testing::Mix mix : {testing::Mix::kAll, testing::Mix::kNeighbours, testing::Mix::kDiagonal})
    for (Precision precision : {Precision::kDouble, Precision::kSingle}) {
      constexpr uint32_t kQubits = 13;
      testing::RandomPrograms random(7);
      const auto program = random.make(kQubits, 150, mix, true);
      const std::vector<double> row = random.row();
      const std::vector<PauliSum> sums{random_sum(random, kQubits, 5), random_sum(random, kQubits, 9)};
      const Kernels& k = kernels(best_simd_level(), precision);
      std::vector<double> first;
      for (unsigned block_bits : {13u, 8u, 9u})
        for (unsigned threads : {1u, 3u}) {
          const Plan plan = make_plan(*program, block_bits);
          const GradientPlan gradient(plan);
          std::vector<double> values(plan.row_doubles);
          plan.evaluate(row, values.data());
          ThreadPool pool(threads);
          State state(k, kQubits, threads == 1 ? nullptr : &pool, false, Stop());
          state.start({values[0], values[1]});
          state.apply(plan, 0, values.data(), Stop());
          const auto found =
              gradients(gradient, row, values.data(), sums, {}, program->num_parameters(), threads, state, Stop());
          if (first.empty()) first = found;
          ASSERT_EQ(found.size(), first.size());
          const double close = precision == Precision::kDouble ? 1e-12 : 1e-4;
          for (size_t i = 0; i < found.size(); ++i)
            ASSERT_NEAR(found[i], first[i], close) << block_bits << " " << threads;
        }
    }
}

TEST(Gradient, IsTheSameBitsOnAnyNumberOfThreads) {
  testing::RandomPrograms random(3);
  const auto program = random.make(16, 60, testing::Mix::kNeighbours, true);
  const std::vector<double> row = random.row();
  const std::vector<PauliSum> sums{random_sum(random, 16, 6), random_sum(random, 16, 1)};
  Request request;
  request.row = row;
  request.observables = sums;
  request.gradients = true;
  const Simulator simulator(program);
  const auto alone = simulator.run(request, nullptr, Stop());
  ThreadPool pool(4);
  EXPECT_EQ(simulator.run(request, &pool, Stop()).gradients, alone.gradients);
  const std::vector<uint32_t> one{static_cast<uint32_t>(row.size()) - 1};
  request.gradient_parameters = one;
  const auto last = simulator.run(request, &pool, Stop()).gradients;
  EXPECT_EQ(last, (std::vector<double>{alone.gradients[row.size() - 1], alone.gradients[2 * row.size() - 1]}));
}

TEST(Gradient, StopsWhenAsked) {
  testing::RandomPrograms random(3);
  const auto program = random.make(5, 20, testing::Mix::kAll, true);
  const std::vector<double> row = random.row();
  const std::vector<PauliSum> sums{random_sum(random, 5, 2)};
  Request request;
  request.row = row;
  request.observables = sums;
  request.gradients = true;
  Stop stop;
  stop.request();
  EXPECT_THROW(Simulator(program).run(request, nullptr, stop), Error);
}

}  // namespace
}  // namespace qfw::simenv
