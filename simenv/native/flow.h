// A Program as branches run it: blocks of steps, straight runs of gates planned once, and the points where branches
// may meet again.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "program/native/program.h"
#include "simenv/native/plan.h"

namespace qfw::simenv {

enum class StepKind : uint8_t { kGates, kMeasure, kReset, kClassical, kMeet };

struct Step {
  StepKind kind = StepKind::kGates;
  // Of a measurement: nothing happens to its qubit and its bit afterwards, so that it can be drawn from the final
  // state. Of a reset: nothing happens to its qubit afterwards.
  bool late = false;
  uint8_t qubit = 0;                                  // kMeasure, kReset
  uint32_t at = 0;                                    // bit, or index in Flow::runs or Flow::meetings
  const program::Instruction* instruction = nullptr;  // kClassical
};

// Gates between two events, as a plan of one segment. Those whose angles follow variables see a row of the program's
// parameters and then all its variables.
struct GateRun {
  std::vector<program::Instruction> gates;
  std::vector<std::vector<program::Angle>> angles;  // of gates that follow variables, with slots in that row
  std::vector<uint32_t> variables;                  // that they follow; empty: parameters alone
  Plan plan;
};

// Where branches that agree in what is still read, and in their states, go on as one.
struct Meeting {
  std::vector<uint64_t> bits;       // a mask of the bits that may still be read
  std::vector<uint32_t> variables;  // that may still be read
};

struct FlowBlock {
  uint32_t first = 0, last = 0;  // steps
  uint32_t cost = 1;             // its instructions and the terminator
  uint32_t rank = 0;             // branches in blocks of lower rank go on first
  program::Terminator terminator = program::Terminator::kEnd;
  uint32_t condition = 0, target = 0, target_else = 0;
};

struct Flow {
  unsigned qubits = 0;
  uint32_t bits = 0;
  std::vector<FlowBlock> blocks;
  std::vector<Step> steps;
  std::vector<std::unique_ptr<const GateRun>> runs;
  std::vector<Meeting> meetings;
};

// `windows`: of the runs; without, their plans are only fused.
Flow make_flow(const program::Program& program, bool windows = true);

}  // namespace qfw::simenv
