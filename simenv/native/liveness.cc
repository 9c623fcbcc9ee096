#include "simenv/native/liveness.h"

#include <algorithm>
#include <utility>

namespace qfw::simenv {

using program::Block;
using program::Instruction;
using program::Op;
using program::Operand;
using program::Program;
using program::Terminator;

namespace {

constexpr size_t kMostWords = size_t{1} << 22;  // of all sets together

size_t elements_of(const Program& program) { return size_t{program.num_bits()} + program.variables().size(); }

// Calls `visit` with the blocks that `block` leads to.
template <typename Visit>
void for_successors(const Block& block, const Visit& visit) {
  if (block.terminator == Terminator::kEnd) return;
  visit(block.target);
  if (block.terminator == Terminator::kBranch) visit(block.target_else);
}

void step_back(const Program& program, const Block& block, Live& live) {
  for (size_t i = block.instructions.size(); i-- > 0;) live.before(program, block.instructions[i]);
}

}  // namespace

bool ElementSet::add_all(const ElementSet& other) {
  uint64_t fresh = 0;
  for (size_t w = 0; w < words_.size(); ++w) {
    fresh |= other.words_[w] & ~words_[w];
    words_[w] |= other.words_[w];
  }
  return fresh != 0;
}

bool Live::add_all(const Live& other) {
  const uint64_t fresh = (other.acted & ~acted) | (other.measured & ~measured);
  acted |= other.acted;
  measured |= other.measured;
  const bool touches = touched.add_all(other.touched), reads = read.add_all(other.read);
  return fresh != 0 || touches || reads;
}

void Live::before(const Program& program, const Instruction& in) {
  const size_t variables = program.num_bits();
  const auto reads_bit = [&](uint32_t bit) { read.add(bit), touched.add(bit); };
  switch (in.op) {
    case Op::kBarrier:
      return;
    case Op::kMeasure:
      measured |= uint64_t{1} << in.qubits[0];
      read.remove(in.bits[0]);
      touched.add(in.bits[0]);
      return;
    case Op::kReset:
    case Op::kGate:
    case Op::kUnitary:
      for (const uint32_t q : in.qubits) acted |= uint64_t{1} << q;
      for (const auto& angle : in.angles)
        if (angle.of_variable()) read.add(variables + angle.variable());
      return;
    default:
      break;
  }
  const program::Classical& c = *in.classical;
  if (in.op == Op::kWriteBit) {
    read.remove(in.bits[0]);
    touched.add(in.bits[0]);
  } else {
    read.remove(variables + c.variable);
  }
  for (uint32_t i = 0; i < c.bits; ++i) reads_bit(c.first + i);
  for (size_t i = 0; i < c.count; ++i) {
    const Operand& o = c.operands[i];
    if (o.kind == Operand::Kind::kBit) reads_bit(o.index);
    if (o.kind == Operand::Kind::kVariable) read.add(variables + o.index);
  }
}

Liveness find_liveness(const Program& program) {
  const auto blocks = program.blocks();
  const size_t elements = elements_of(program);
  Liveness out;
  if ((elements / 64 + 1) * blocks.size() * 2 > kMostWords) return out;
  out.valid = true;
  out.at_end.assign(blocks.size(), Live{0, 0, ElementSet(elements), ElementSet(elements)});
  std::vector<std::vector<uint32_t>> sources(blocks.size());
  std::vector<uint32_t> work;
  std::vector<bool> queued(blocks.size(), true);
  for (uint32_t b = 0; b < blocks.size(); ++b) {
    for_successors(blocks[b], [&](uint32_t to) { sources[to].push_back(b); });
    if (blocks[b].terminator == Terminator::kBranch) out.at_end[b].read.add(program.num_bits() + blocks[b].condition);
    work.push_back(b);
  }
  while (!work.empty()) {
    const uint32_t b = work.back();
    work.pop_back();
    queued[b] = false;
    Live live = out.at_end[b];
    step_back(program, blocks[b], live);
    for (const uint32_t from : sources[b]) {
      if (!out.at_end[from].add_all(live) || queued[from]) continue;
      queued[from] = true;
      work.push_back(from);
    }
  }
  return out;
}

// Reverse postorder of a depth-first walk that looks at the block with the higher number first: a loop's body, which
// converters make before what follows the loop, gets the lower rank.
std::vector<uint32_t> block_ranks(const Program& program) {
  const auto blocks = program.blocks();
  std::vector<uint32_t> rank(blocks.size(), 0xffffffffu), order;
  std::vector<bool> seen(blocks.size(), false);
  std::vector<std::pair<uint32_t, std::vector<uint32_t>>> walk;
  const auto visit = [&](uint32_t b) {
    if (seen[b]) return;
    seen[b] = true;
    std::vector<uint32_t> next;
    for_successors(blocks[b], [&](uint32_t to) { next.push_back(to); });
    std::sort(next.begin(), next.end());
    walk.emplace_back(b, std::move(next));
  };
  visit(0);
  while (!walk.empty()) {
    auto& [b, next] = walk.back();
    if (next.empty()) {
      order.push_back(b);
      walk.pop_back();
    } else {
      const uint32_t to = next.back();
      next.pop_back();
      visit(to);
    }
  }
  for (size_t i = 0; i < order.size(); ++i) rank[order[i]] = static_cast<uint32_t>(order.size() - 1 - i);
  return rank;
}

}  // namespace qfw::simenv
