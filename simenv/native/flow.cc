#include "simenv/native/flow.h"

#include <algorithm>
#include <map>
#include <utility>

#include "simenv/native/liveness.h"
#include "simenv/native/window.h"

namespace qfw::simenv {

using program::Angle;
using program::Instruction;
using program::Op;
using program::Program;
using program::Terminator;

namespace {

constexpr size_t kMostMeetingWords = size_t{1} << 22;  // of all meetings' masks together

bool follows_variables(const Instruction& in) {
  return std::any_of(in.angles.begin(), in.angles.end(), [](const Angle& a) { return a.of_variable(); });
}

class FlowMaker {
 public:
  FlowMaker(const Program& program, bool windows)
      : program_(program), windows_(windows), liveness_(find_liveness(program)) {
    flow_.qubits = program.num_qubits();
    flow_.bits = program.num_bits();
  }

  Flow make() {
    const auto ranks = block_ranks(program_);
    const std::vector<bool> joins = find_joins();
    for (size_t b = 0; b < program_.blocks().size(); ++b) {
      const program::Block& block = program_.blocks()[b];
      FlowBlock& out = flow_.blocks.emplace_back();
      out.first = static_cast<uint32_t>(flow_.steps.size());
      out.cost = static_cast<uint32_t>(block.instructions.size()) + 1;
      out.rank = ranks[b];
      out.terminator = block.terminator;
      out.condition = block.condition;
      out.target = block.target;
      out.target_else = block.target_else;
      add_block(block, b, joins[b]);
      out.last = static_cast<uint32_t>(flow_.steps.size());
    }
    return std::move(flow_);
  }

 private:
  std::vector<bool> find_joins() const {
    std::vector<uint8_t> entries(program_.blocks().size(), 0);
    entries[0] = 1;
    for (const program::Block& block : program_.blocks()) {
      if (block.terminator == Terminator::kEnd) continue;
      for (const uint32_t to : {block.target, block.target_else}) {
        if (to == block.target_else && block.terminator != Terminator::kBranch) continue;
        entries[to] = static_cast<uint8_t>(std::min(entries[to] + 1, 2));
      }
    }
    std::vector<bool> joins;
    for (const uint8_t count : entries) joins.push_back(count > 1);
    return joins;
  }

  void add_block(const program::Block& block, size_t index, bool join) {
    find_late(block, index);
    if (join && liveness_.valid) add_meeting(start_);
    std::vector<Instruction> gates;
    bool following = false;  // one of `gates` follows a variable
    const auto close = [&] {
      if (!gates.empty()) add_run(std::exchange(gates, {}));
      following = false;
    };
    for (size_t i = 0; i < block.instructions.size(); ++i) {
      const Instruction& in = block.instructions[i];
      switch (in.op) {
        case Op::kGate:
        case Op::kUnitary:
          following |= follows_variables(in);
          gates.push_back(in);
          break;
        case Op::kBarrier:
          break;
        case Op::kMeasure:
        case Op::kReset: {
          const bool late = !late_.empty() && late_[i];
          const bool reset = in.op == Op::kReset;
          if (reset || !late) close();
          flow_.steps.push_back({reset ? StepKind::kReset : StepKind::kMeasure, late,
                                 static_cast<uint8_t>(in.qubits[0]), reset ? kNowhere : in.bits[0], nullptr});
          if (reset && !late && liveness_.valid) add_meeting(after_reset_[i]);
          break;
        }
        default:
          if (following) close();
          flow_.steps.push_back({StepKind::kClassical, false, 0, 0, &in});
      }
    }
    close();
  }

  // Walks a block backwards: which measurements and resets are late, and what is live after each reset.
  void find_late(const program::Block& block, size_t index) {
    late_.clear();
    after_reset_.clear();
    if (!liveness_.valid) return;
    late_.assign(block.instructions.size(), false);
    Live live = liveness_.at_end[index];
    for (size_t i = block.instructions.size(); i-- > 0;) {
      const Instruction& in = block.instructions[i];
      if (in.op == Op::kMeasure || in.op == Op::kReset) {
        const bool acted = live.acted >> in.qubits[0] & 1, measured = live.measured >> in.qubits[0] & 1;
        late_[i] = !acted && (in.op == Op::kReset ? !measured : !live.touched.has(in.bits[0]));
        if (in.op == Op::kReset && !late_[i]) after_reset_.emplace(i, live.read);
      }
      live.before(program_, in);
    }
    start_ = live.read;
  }

  void add_meeting(const ElementSet& read) {
    meeting_words_ += read.words().size();
    if (meeting_words_ > kMostMeetingWords) return;  // branches go on apart: slower, not wrong
    Meeting meeting;
    meeting.bits.assign((flow_.bits + 63) / 64, 0);
    for (uint32_t b = 0; b < flow_.bits; ++b)
      if (read.has(b)) meeting.bits[b / 64] |= uint64_t{1} << b % 64;
    for (uint32_t v = 0; v < program_.variables().size(); ++v)
      if (read.has(size_t{flow_.bits} + v)) meeting.variables.push_back(v);
    flow_.steps.push_back({StepKind::kMeet, false, 0, static_cast<uint32_t>(flow_.meetings.size()), nullptr});
    flow_.meetings.push_back(std::move(meeting));
  }

  void add_run(std::vector<Instruction>&& gates) {
    auto run = std::make_unique<GateRun>();
    run->gates = std::move(gates);
    for (Instruction& in : run->gates) {
      if (!follows_variables(in)) continue;
      std::vector<Angle> angles(in.angles.begin(), in.angles.end());
      for (Angle& a : angles) {
        if (!a.of_variable()) continue;
        run->variables.push_back(a.variable());
        a.parameter = program_.num_parameters() + a.variable();
      }
      run->angles.push_back(std::move(angles));
      in.angles = run->angles.back();
    }
    run->plan = fused_plan(flow_.qubits, run->gates);
    if (windows_) make_windows(run->plan, default_block_bits(flow_.qubits));
    flow_.steps.push_back({StepKind::kGates, false, 0, static_cast<uint32_t>(flow_.runs.size()), nullptr});
    flow_.runs.push_back(std::move(run));
  }

  const Program& program_;
  const bool windows_;
  const Liveness liveness_;
  Flow flow_;
  std::vector<bool> late_;                    // of the block's instructions; empty: none
  std::map<size_t, ElementSet> after_reset_;  // by instruction
  ElementSet start_;
  size_t meeting_words_ = 0;
};

}  // namespace

Flow make_flow(const Program& program, bool windows) { return FlowMaker(program, windows).make(); }

}  // namespace qfw::simenv
