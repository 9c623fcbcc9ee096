#include "qpm/native/method.h"

#include <gtest/gtest.h>

#include "tests/unit/qpm/fixture.h"

namespace qfw::qpm {
namespace {

using program::GateId;
using program::ProgramBuilder;
using test::counts_task;
using test::ghz;

DeviceInfo device(DeviceId id, const char* name, uint32_t qubits, std::vector<std::string> outputs) {
  DeviceInfo info;
  info.id = id;
  info.name = info.provider = name;
  info.max_qubits = qubits;
  info.max_shots = 1'000'000;
  info.max_rows = 1000;
  for (const auto& g : program::gates()) info.gates.emplace_back(g.name);
  for (const char* op : {"controlled", "unitary", "measure", "reset"}) info.gates.emplace_back(op);
  info.outputs = std::move(outputs);
  for (const char* option : {"method", "precision", "matrix_product_state_truncation_threshold"})
    info.options[option] = "";
  return info;
}

// A ladder of cx gates with rotations between: not Clifford, bond dimension 2^layers.
program::ProgramPtr chain(uint32_t n, int layers, uint32_t step = 1) {
  ProgramBuilder b(n, n);
  const program::Angle angle[] = {{0.3, 0.0, program::kNoParameter}};
  for (int l = 0; l < layers; ++l)
    for (uint32_t q = 0; q + step < n; ++q) {
      const uint32_t on[] = {q, q + step};
      b.gate(GateId::kRy, std::span(on).first(1), angle);
      b.gate(GateId::kCx, on, {});
    }
  for (uint32_t q = 0; q < n; ++q) b.measure(q, q);
  return b.finish();
}

class MethodTest : public ::testing::Test {
 protected:
  const DeviceInfo dense =
      device(0, "statevec", 40, {"counts", "memory", "probabilities", "statevector", "expectations"});
  const DeviceInfo stim = device(1, "stim", 4096, {"counts", "memory", "expectations"});
  const DeviceInfo aer = device(2, "aer", 63, {"counts", "memory", "probabilities", "statevector", "expectations"});

  Choice choose(const Task& task, double dense_ns, std::vector<const DeviceInfo*> others) {
    Offers offers{&dense, dense_ns, {}, {&dense}};
    if (task.program->num_qubits() > dense.max_qubits)
      offers.refusal = {ErrorCode::kLimitExceeded, "qubits " + std::to_string(task.program->num_qubits())};
    for (const auto* o : others) offers.others.push_back(o);
    return choose_method(task, offers);
  }
  static Task automatic(program::ProgramPtr p, uint64_t shots = 100) {
    Task t = counts_task(1, std::move(p), shots);
    t.options = {{"method", "auto"}, {"precision", "single"}};
    return t;
  }
};

TEST_F(MethodTest, OnlyAutoAsksForIt) {
  Task t = counts_task(1, ghz(3));
  EXPECT_FALSE(wants_auto(t));
  t.options["method"] = "statevector";
  EXPECT_FALSE(wants_auto(t));
  EXPECT_TRUE(wants_auto(automatic(ghz(3))));
}

TEST_F(MethodTest, SmallOnesStayAndKeepTheirOptions) {
  const Choice c = choose(automatic(ghz(5)), 1e3, {&stim, &aer});
  EXPECT_FALSE(c.refusal);
  EXPECT_EQ(c.device, dense.id);
  EXPECT_EQ(c.method, "statevector");
  EXPECT_EQ(c.options, (std::map<std::string, std::string>{{"precision", "single"}}));
  EXPECT_NE(c.reason.find("5 qubits"), std::string::npos);
}

TEST_F(MethodTest, CliffordGoesToTheStabilizerSimulator) {
  const Choice large = choose(automatic(ghz(60)), 0, {&stim, &aer});
  EXPECT_FALSE(large.refusal);
  EXPECT_EQ(large.device, stim.id);
  EXPECT_EQ(large.method, "stabilizer");
  EXPECT_TRUE(large.options.empty());
  EXPECT_NE(large.reason.find("not possible"), std::string::npos);
  EXPECT_EQ(choose(automatic(ghz(24)), 1e9, {&stim}).method, "stabilizer");
  EXPECT_EQ(choose(automatic(ghz(24)), 1e3, {&stim}).method, "statevector") << "when that is quicker";
}

TEST_F(MethodTest, LittleEntanglementGoesToAProductState) {
  const Choice c = choose(automatic(chain(50, 3)), 0, {&stim, &aer});
  EXPECT_FALSE(c.refusal);
  EXPECT_EQ(c.device, aer.id);
  EXPECT_EQ(c.method, "matrix_product_state");
  EXPECT_EQ(c.options.at("method"), "matrix_product_state");
  EXPECT_EQ(c.options.count("precision"), 0u);
  EXPECT_NE(c.reason.find("at most 8"), std::string::npos) << c.reason;
}

TEST_F(MethodTest, WhatNobodyCanDoExactlyIsRefusedWithTheReasons) {
  const Choice deep = choose(automatic(chain(50, 20)), 0, {&stim, &aer});
  EXPECT_EQ(deep.refusal.code, ErrorCode::kLimitExceeded);
  EXPECT_NE(deep.refusal.message.find("'ry' on qubit 0 is not Clifford"), std::string::npos) << deep.refusal.message;
  EXPECT_NE(deep.refusal.message.find("2^20"), std::string::npos) << deep.refusal.message;
  EXPECT_TRUE(choose(automatic(chain(50, 1, 2)), 0, {&stim, &aer}).refusal) << "gates on other than neighbours";
  const Choice alone = choose(automatic(ghz(60)), 0, {});
  EXPECT_NE(alone.refusal.message.find("qfw[stim]"), std::string::npos) << alone.refusal.message;
  EXPECT_EQ(choose(automatic(chain(30, 20)), 1e9, {&stim, &aer}).method, "statevector");
}

TEST_F(MethodTest, OutputsDecideToo) {
  Task t = automatic(ghz(24));
  t.outputs = kStatevector;
  t.shots = 0;
  EXPECT_EQ(choose(t, 1e12, {&stim, &aer}).method, "statevector");
  t.outputs = kProbabilities;
  EXPECT_EQ(choose(t, 1e12, {&stim, &aer}).method, "statevector") << "all 2^24 of them";
  t.probability_qubits = {0, 23};
  EXPECT_EQ(choose(t, 1e12, {&stim, &aer}).method, "matrix_product_state");
  t.outputs = kExpectations;
  t.observables = {program::PauliSum{}};
  EXPECT_EQ(choose(t, 1e12, {&stim, &aer}).method, "stabilizer");
  t.outputs = kGradients;
  EXPECT_EQ(choose(t, 1e12, {&stim, &aer}).method, "statevector");
}

TEST_F(MethodTest, ExpectationsAfterMeasurementsInTheMiddleStay) {
  ProgramBuilder b(20, 1);
  const uint32_t zero[] = {0};
  b.gate(GateId::kH, zero, {});
  b.measure(0, 0);
  b.gate(GateId::kH, zero, {});
  Task t = automatic(b.finish());
  EXPECT_EQ(choose(t, 1e12, {&stim, &aer}).method, "stabilizer");
  t.outputs = kExpectations;
  t.shots = 0;
  t.observables = {program::PauliSum{}};
  EXPECT_EQ(choose(t, 1e12, {&stim, &aer}).method, "statevector");
}

TEST_F(MethodTest, EveryRowCounts) {
  ProgramBuilder b(20, 20);
  const program::Angle angle[] = {{0.0, 1.0, b.parameter("a")}};
  for (uint32_t q = 0; q < 20; ++q) {
    b.gate(GateId::kRz, std::span(&q, 1), angle);
    b.measure(q, q);
  }
  Task t = automatic(b.finish());
  t.bindings = {3, 1, {0.0, 1.5707963267948966, 3.1415926535897931}};
  EXPECT_EQ(choose(t, 1e12, {&stim}).method, "stabilizer");
  t.bindings.values[2] = 0.4;
  EXPECT_EQ(choose(t, 1e12, {&stim}).method, "statevector");
}

}  // namespace
}  // namespace qfw::qpm
