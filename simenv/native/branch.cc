#include "simenv/native/branch.h"

#include <algorithm>
#include <cstring>

#include "simenv/native/expect.h"
#include "simenv/native/follower.h"
#include "simenv/native/sample.h"

namespace qfw::simenv {

namespace {

class ShotFollower : public Follower {
 public:
  ShotFollower(const program::Program& program, const Flow& flow, const Kernels& kernels, const Request& request,
               ThreadPool* pool, const Stop& stop, const BranchLimits& limits, Tally& tally)
      : Follower(program, flow, kernels, request, pool, stop, limits, false), tally_(tally) {}

 private:
  void end(Branch& branch) override {
    const Records& records = branch.records;
    if (records.size() == 1) {
      sample(*branch.state, branch.finals, records.shots(0), records.seed(0), records.key(0), tally_, stop_);
      return;
    }
    if (!branch.finals.empty()) return deal(branch);
    for (size_t i = 0; i < records.size(); ++i) tally_.add(records.key(i), records.shots(i));
  }

  // Draws the final bits of all groups together, in random order, and deals them out.
  void deal(const Branch& branch) {
    const Records& records = branch.records;
    const size_t words = tally_.words(), row_bytes = (flow_.bits + 7) / 8;
    std::vector<uint64_t> key(words, 0);
    std::vector<uint64_t> others(words, ~uint64_t{0});  // bits that are not drawn here
    for (const FinalBit& f : branch.finals) others[f.bit / 64] &= ~(uint64_t{1} << f.bit % 64);
    Tally drawn(flow_.bits);
    Outcome out;
    if (!sample(*branch.state, branch.finals, records.total(), records.seed(0), key.data(), drawn, stop_)) return;
    drawn.finish(records.seed(0), true, false, stop_, out);
    const uint8_t* bits = out.memory.data();
    for (size_t i = 0; i < records.size(); ++i) {
      for (uint64_t shot = 0; shot < records.shots(i); ++shot, bits += row_bytes) {
        std::fill(key.begin(), key.end(), 0);
        for (size_t b = 0; b < row_bytes; ++b) key[b / 8] |= uint64_t{bits[b]} << b % 8 * 8;
        for (size_t w = 0; w < words; ++w) key[w] |= records.key(i)[w] & others[w];
        tally_.add(key.data(), 1);
      }
      stop_.check();
    }
  }

  Tally& tally_;
};

class WeightFollower : public Follower {
 public:
  WeightFollower(const program::Program& program, const Flow& flow, const Kernels& kernels, const Request& request,
                 ThreadPool* pool, const Stop& stop, const BranchLimits& limits, Outcome& out)
      : Follower(program, flow, kernels, request, pool, stop, limits, true), out_(out) {
    out_.expectations.assign(request.observables.size(), 0.0);
  }

 private:
  void end(Branch& branch) override {
    for (size_t i = 0; i < request_.observables.size(); ++i) {
      const program::PauliSum left = after(branch.finals, request_.observables[i]);
      out_.expectations[i] += branch.weight * expectation(*branch.state, left, stop_);
    }
    if (!request_.probabilities) return;
    const auto p = probabilities(*branch.state, request_.probability_qubits, stop_);
    out_.probabilities.resize(p.size(), 0.0);
    for (size_t i = 0; i < p.size(); ++i) out_.probabilities[i] += branch.weight * p[i];
  }

  // What is left of a sum when these measurements have happened: terms with X or Y on their qubits have mean 0.
  static program::PauliSum after(const std::vector<FinalBit>& finals, const program::PauliSum& sum) {
    program::PauliSum left;
    for (const auto& term : sum.terms) {
      const bool gone = std::any_of(term.factors.begin(), term.factors.end(), [&](const auto& f) {
        return f.pauli != program::Pauli::kZ &&
               std::any_of(finals.begin(), finals.end(), [&](const FinalBit& m) { return m.qubit == f.qubit; });
      });
      if (!gone) left.terms.push_back(term);
    }
    return left;
  }

  Outcome& out_;
};

}  // namespace

void follow_shots(const program::Program& program, const Flow& flow, const Kernels& kernels, const Request& request,
                  ThreadPool* pool, const Stop& stop, const BranchLimits& limits, Tally& tally) {
  ShotFollower(program, flow, kernels, request, pool, stop, limits, tally).run(request.shots, request.seed);
}

void follow_weights(const program::Program& program, const Flow& flow, const Kernels& kernels, const Request& request,
                    ThreadPool* pool, const Stop& stop, const BranchLimits& limits, Outcome& out) {
  WeightFollower(program, flow, kernels, request, pool, stop, limits, out).run(1, request.seed);
}

}  // namespace qfw::simenv
