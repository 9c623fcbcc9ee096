// One state shared by ranks, which are threads here: the same as a whole one. tests/unit/simenv/test_distributed.py
// does it with MPI.
#include <gtest/gtest.h>

#include <array>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "simenv/native/comm.h"
#include "simenv/native/distribute.h"
#include "simenv/native/state.h"
#include "tests/unit/simenv/reference.h"

namespace qfw::simenv {
namespace {

using testing::Mix;

// What threads that stand for ranks have in common.
class Team {
 public:
  explicit Team(unsigned rank_bits) : rank_bits_(rank_bits), gathered_(size_t{1} << rank_bits) {}

  unsigned rank_bits() const { return rank_bits_; }

  void send(unsigned from, unsigned to, std::span<const std::byte> bytes) {
    std::lock_guard lock(mutex_);
    mail_[{from, to}] = std::vector<std::byte>(bytes.begin(), bytes.end());
    changed_.notify_all();
  }

  void receive(unsigned from, unsigned to, std::span<std::byte> bytes) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return mail_.contains({from, to}); });
    const auto letter = mail_.extract({from, to}).mapped();
    ASSERT_EQ(letter.size(), bytes.size());
    std::memcpy(bytes.data(), letter.data(), letter.size());
    changed_.notify_all();
  }

  void wait_until_read(unsigned from, unsigned to) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !mail_.contains({from, to}); });
  }

  std::vector<double> gather(unsigned rank, std::span<const double> mine) {
    std::unique_lock lock(mutex_);
    gathered_[rank].assign(mine.begin(), mine.end());
    arrive(lock);
    std::vector<double> all;
    for (const auto& one : gathered_) all.insert(all.end(), one.begin(), one.end());
    arrive(lock);  // nobody writes before all have read
    return all;
  }

 private:
  void arrive(std::unique_lock<std::mutex>& lock) {
    const uint64_t round = round_;
    if (++arrived_ == gathered_.size()) {
      arrived_ = 0;
      ++round_;
      changed_.notify_all();
    } else {
      changed_.wait(lock, [&] { return round_ != round; });
    }
  }

  const unsigned rank_bits_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<unsigned, unsigned>, std::vector<std::byte>> mail_;
  std::vector<std::vector<double>> gathered_;
  size_t arrived_ = 0;
  uint64_t round_ = 0;
};

class ThreadComm : public Comm {
 public:
  ThreadComm(Team& team, unsigned rank) : Comm(rank, team.rank_bits(), 1u << team.rank_bits()), team_(team) {}

  void swap(unsigned partner, std::span<const std::byte> send, std::span<std::byte> receive) override {
    EXPECT_NE(partner, rank());
    if (!send.empty()) team_.send(rank(), partner, send);
    if (!receive.empty()) team_.receive(partner, rank(), receive);
    if (!send.empty()) team_.wait_until_read(rank(), partner);
  }
  std::vector<double> all_gather(std::span<const double> mine) override { return team_.gather(rank(), mine); }

 private:
  Team& team_;
};

void on_ranks(unsigned rank_bits, const std::function<void(Comm&)>& body) {
  Team team(rank_bits);
  std::vector<std::thread> threads;
  for (unsigned r = 0; r < 1u << rank_bits; ++r)
    threads.emplace_back([&, r] {
      ThreadComm comm(team, r);
      body(comm);
    });
  for (auto& thread : threads) thread.join();
}

std::vector<program::Complex> run(const program::Program& program, std::span<const double> row, unsigned rank_bits,
                                  const Kernels& kernels, unsigned block_bits) {
  const Plan plan = distribute(fused_plan(program), rank_bits, nullptr, block_bits);
  std::vector<double> values(plan.row_doubles);
  plan.evaluate(row, values.data());
  std::vector<program::Complex> out;
  on_ranks(rank_bits, [&](Comm& comm) {
    State state(kernels, plan.qubits, nullptr, false, Stop(), &comm);
    state.start({values[0], values[1]}, plan.from);
    state.apply(plan, 0, values.data(), Stop());
    EXPECT_EQ(state.layout(), plan.to);
    EXPECT_NEAR(state.norm(0), 1.0, 1e-5);
    state.straighten(Stop());
    auto all = state.copy();
    EXPECT_EQ(all.empty(), !comm.root());
    if (comm.root()) out = std::move(all);
  });
  return out;
}

TEST(Ranks, HaveTheStateOfThePlainSimulation) {
  testing::RandomPrograms random(11);
  for (uint32_t qubits : {5u, 6u, 8u, 12u})
    for (Mix mix : {Mix::kAll, Mix::kNeighbours, Mix::kDiagonal}) {
      const auto program = random.make(qubits, 100, mix, true);
      const auto expected = testing::reference_state(*program, random.row());
      for (unsigned rank_bits = 1; rank_bits <= std::min(3u, most_rank_bits(qubits)); ++rank_bits)
        for (SimdLevel level : testing::all_levels()) {
          EXPECT_LT(testing::distance(run(*program, random.row(), rank_bits, kernels(level), 8), expected), 1e-11)
              << qubits << " qubits, 2^" << rank_bits << " ranks, " << simd_name(level);
          const auto single = run(*program, random.row(), rank_bits, kernels(level, Precision::kSingle), 8);
          EXPECT_LT(testing::distance(single, expected), 1e-4);
        }
    }
}

TEST(Ranks, ArrangeQubitsInAnyOrder) {
  constexpr unsigned kQubits = 8, kRankBits = 3;
  testing::RandomPrograms random(5);
  const auto program = random.make(kQubits, 60, Mix::kAll, false);
  const Plan plan = distribute(fused_plan(*program), kRankBits, nullptr);
  std::vector<double> values(plan.row_doubles);
  plan.evaluate({}, values.data());
  const auto expected = testing::reference_state(*program, {});
  std::vector<Layout> layouts(12, Layout::straight(kQubits));
  std::mt19937 engine(3);
  for (Layout& layout : layouts) std::shuffle(layout.at.begin(), layout.at.end(), engine);
  on_ranks(kRankBits, [&](Comm& comm) {
    State state(kernels(best_simd_level()), plan.qubits, nullptr, false, Stop(), &comm);
    state.start({values[0], values[1]}, plan.from);
    state.apply(plan, 0, values.data(), Stop());
    for (const Layout& layout : layouts) {
      state.arrange(layout, Stop());
      EXPECT_EQ(state.layout(), layout);
      for (unsigned q = 0; q < kQubits; ++q) {
        double one = 0.0;
        for (size_t i = 0; i < expected.size(); ++i) one += i >> q & 1 ? std::norm(expected[i]) : 0.0;
        EXPECT_NEAR(state.norm(uint64_t{1} << q), one, 1e-12);
      }
      state.flip(kQubits - 1);  // twice, on a rank bit or in the slice
      state.flip(kQubits - 1);
    }
    state.straighten(Stop());
    const auto all = state.copy();
    if (comm.root()) EXPECT_LT(testing::distance(all, expected), 1e-12);
  });
}

TEST(Distribute, NeedsNoExchangeForControlsPhasesAndSwaps) {
  program::ProgramBuilder builder(8, 0);
  for (uint32_t q = 0; q < 5; ++q) builder.gate(program::find_gate("h")->id, std::array{q}, {}, 0);
  for (uint32_t q = 5; q < 8; ++q) {
    builder.gate(program::find_gate("cx")->id, std::array{q, q - 5}, {}, 0);
    builder.gate(program::find_gate("cz")->id, std::array{q, 7 - q}, {}, 0);
    builder.gate(program::find_gate("swap")->id, std::array{q, q - 1}, {}, 0);
  }
  const Plan plan = distribute(fused_plan(*builder.finish()), 3, nullptr);
  EXPECT_TRUE(plan.exchanges.empty());
  EXPECT_NE(plan.from, plan.to);  // the swaps
}

}  // namespace
}  // namespace qfw::simenv
