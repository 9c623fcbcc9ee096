// Dynamic programs in C++: what liveness finds, where branches meet, and that limits change no distribution.
#include "simenv/native/branch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>

#include "program/native/builder.h"
#include "simenv/native/flow.h"
#include "simenv/native/liveness.h"
#include "simenv/native/records.h"
#include "simenv/native/tally.h"

namespace qfw::simenv {
namespace {

using program::Compute;
using program::GateId;
using program::Operand;
using program::ProgramBuilder;
using program::ProgramPtr;
using program::VariableType;

Operand bit(uint32_t i) { return {Operand::Kind::kBit, {}, i, 0}; }

void h(ProgramBuilder& b, uint32_t q) { b.gate(GateId::kH, {&q, 1}, {}); }
void x(ProgramBuilder& b, uint32_t q) { b.gate(GateId::kX, {&q, 1}, {}); }

// Turns qubit 0 until it reads 1, then conditionally flips qubit 1 and measures both: blocks 0 start, 1 loop, 2 flip, 3
// end.
ProgramPtr looping() {
  ProgramBuilder b(2, 4);
  const uint32_t flag = b.variable(VariableType::kBoolean), done = b.variable(VariableType::kBoolean);
  const uint32_t loop = b.block(), flip = b.block(), end = b.block();
  const program::Angle angle{1.1, 0.0, program::kNoParameter};
  const uint32_t q[] = {0, 1};
  b.gate(GateId::kRy, {q + 1, 1}, {&angle, 1});
  b.measure(1, 3);
  b.jump(loop);
  b.enter(loop);
  b.reset(0);
  b.gate(GateId::kRy, {q, 1}, {&angle, 1});
  b.measure(0, 0);
  const Operand copied[] = {bit(0)};
  b.compute(Compute::kCopy, done, copied);
  b.branch(done, flip, loop);
  b.enter(flip);
  h(b, 1);
  b.measure(1, 1);
  const Operand again[] = {bit(1)};
  b.compute(Compute::kCopy, flag, again);
  b.branch(flag, end, end);
  b.enter(end);
  x(b, 1);
  b.measure(1, 2);
  b.end();
  return b.finish();
}

Outcome followed(const program::Program& program, const BranchLimits& limits, const Stop& stop = Stop(),
                 uint64_t max_steps = kDefaultMaxSteps) {
  Request request;
  request.shots = 4000;
  request.seed = 11;
  request.max_steps = max_steps;
  Tally tally(program.num_bits());
  follow_shots(program, make_flow(program), kernels(best_simd_level()), request, nullptr, stop, limits, tally);
  Outcome out;
  tally.finish(request.seed, true, true, stop, out);
  return out;
}

TEST(Dynamic, SimulatingAgainGivesTheSameBits) {
  const ProgramPtr program = looping();
  const Outcome first = followed(*program, {0, 64});
  for (const size_t copies : {3, 1, 0}) EXPECT_EQ(followed(*program, {0, copies}).memory, first.memory) << copies;
}

TEST(Dynamic, LimitsChangeNoDistribution) {
  const ProgramPtr program = looping();
  for (const size_t waiting : {256, 8, 2, 1, 0}) {
    const Outcome out = followed(*program, {waiting, 64});
    double total = 0.0, third = 0.0, flipped = 0.0;
    for (size_t i = 0; i < out.counts.size(); ++i) {
      const auto count = static_cast<double>(out.counts[i]);
      total += count;
      third += out.count_keys[i] & 8 ? count : 0.0;
      flipped += out.count_keys[i] & 2 ? count : 0.0;
      EXPECT_TRUE(out.count_keys[i] & 1);
      EXPECT_NE((out.count_keys[i] >> 1 & 1), (out.count_keys[i] >> 2 & 1));
    }
    EXPECT_EQ(total, 4000.0);
    EXPECT_NEAR(third, 4000 * std::pow(std::sin(0.55), 2), 200) << waiting;
    EXPECT_NEAR(flipped, 2000, 200) << waiting;
  }
}

TEST(Dynamic, ExactValuesDoNotDependOnHowManyWait) {
  const ProgramPtr program = looping();
  const program::PauliSum sum{{{1.0, {{1, program::Pauli::kZ}}}, {0.5, {{0, program::Pauli::kZ}}}}};
  Request request;
  request.observables = {&sum, 1};
  for (const size_t waiting : {256, 4, 1, 0}) {
    for (const size_t copies : {64, 0}) {
      Outcome out;
      follow_weights(*program, make_flow(*program), kernels(best_simd_level()), request, nullptr, Stop(),
                     {waiting, copies}, out);
      EXPECT_NEAR(out.expectations[0], -0.5, 1e-9) << waiting << " " << copies;
    }
  }
}

TEST(Dynamic, ARequestToStopAndTheStepLimitEndALoop) {
  ProgramBuilder b(1, 1);
  b.jump(0);
  const ProgramPtr endless = b.finish();
  const auto code = [&](const Stop& stop) {
    try {
      followed(*endless, {256, 64}, stop, 1000);
      return ErrorCode::kOk;
    } catch (const Error& error) {
      return error.code();
    }
  };
  EXPECT_EQ(code(Stop()), ErrorCode::kLimitExceeded);
  Stop stopped;
  stopped.request();
  EXPECT_EQ(code(stopped), ErrorCode::kCancelled);
}

TEST(Liveness, KnowsWhatIsStillRead) {
  const ProgramPtr program = looping();
  const Liveness live = find_liveness(*program);
  ASSERT_TRUE(live.valid);
  const auto read_at_end = [&](size_t block) {
    std::string out;
    for (size_t i = 0; i < 6; ++i) out += live.at_end[block].read.has(i) ? '1' : '0';
    return out;
  };
  EXPECT_EQ(read_at_end(0), "000000");  // bits 0..3, then flag and done
  EXPECT_EQ(read_at_end(1), "000001");
  EXPECT_EQ(read_at_end(2), "000010");
  EXPECT_EQ(read_at_end(3), "000000");
  EXPECT_EQ(live.at_end[1].acted, 3u);
  EXPECT_EQ(live.at_end[2].acted, 2u);
  EXPECT_EQ(live.at_end[2].measured, 2u);
  EXPECT_TRUE(live.at_end[2].touched.has(2));
  EXPECT_FALSE(live.at_end[2].touched.has(3));
}

TEST(Liveness, LoopsComeBeforeWhatFollowsThem) {
  EXPECT_EQ(block_ranks(*looping()), (std::vector<uint32_t>{0, 1, 2, 3}));
}

TEST(Flow, FindsLateMeasurementsAndMeetings) {
  const Flow flow = make_flow(*looping());
  std::string kinds;
  for (const Step& step : flow.steps) {
    constexpr char kLetters[] = "gmrcM";
    kinds += kLetters[static_cast<size_t>(step.kind)];
    if (step.late) kinds += '!';
  }
  // The first measurement's qubit is used again; the last one is late; the second block and the last are joins.
  EXPECT_EQ(kinds, "gmMrMgmcgmcMm!g");
  EXPECT_EQ(flow.meetings.size(), 3u);
}

TEST(Flow, AProgramTooLargeToLookAtHasNoMeetings) {
  ProgramBuilder b(1, program::kMaxBits);
  for (int i = 0; i < 600; ++i) b.jump(b.block()), b.enter(static_cast<uint32_t>(i + 1));
  b.measure(0, 0);
  b.end();
  const ProgramPtr program = b.finish();
  EXPECT_FALSE(find_liveness(*program).valid);
  const Flow flow = make_flow(*program);
  EXPECT_TRUE(flow.meetings.empty());
  EXPECT_FALSE(flow.steps.back().late);
}

TEST(Records, GroupsWithEqualBitsBecomeOne) {
  Records a(1), b(1);
  const uint64_t keys[] = {5, 1, 5};
  a.add(&keys[0], 7, 10);
  b.add(&keys[1], 8, 20);
  b.add(&keys[2], 9, 30);
  a.add_all(b);
  ASSERT_EQ(a.size(), 2u);
  EXPECT_EQ(a.total(), 60u);
  EXPECT_EQ(*a.key(0), 1u);
  EXPECT_EQ(a.shots(1), 40u);
  EXPECT_EQ(a.seed(1), 7u);
  a.set_bit(2, false);
  EXPECT_EQ(*a.key(1), 1u);
  const auto [zeros, ones] = a.split(1.0);
  EXPECT_EQ(zeros.size(), 0u);
  EXPECT_EQ(ones.total(), 60u);
}

}  // namespace
}  // namespace qfw::simenv
