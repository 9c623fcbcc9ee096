#include "qpi/native/endpoint.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "program/native/error.h"
#include "qpi/native/connect.h"
#include "tests/unit/qpi/fake_session.h"

namespace qfw::qpi::testing {
namespace {
namespace fs = std::filesystem;

constexpr const char* kVariables[] = {"QFW_ENDPOINT",        "QFW_RUN_ID",       "SLURM_JOB_ID",   "SLURM_CLUSTER_NAME",
                                      "SLURM_RESTART_COUNT", "QFW_RUN_BASE_DIR", "SLURMD_NODENAME"};

class EndpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/qfw-endpoint-XXXXXX";
    root_ = ::mkdtemp(name);
    ::setenv("XDG_RUNTIME_DIR", root_.c_str(), 1);
    for (const char* v : kVariables) ::unsetenv(v);
  }
  void TearDown() override {
    for (int fd : held_) ::close(fd);
    for (const char* v : kVariables) ::unsetenv(v);
    fs::remove_all(root_);
  }
  std::string make(const std::string& id, bool live) {
    const auto dir = root_ / "qfw" / id;
    fs::create_directories(dir);
    std::ofstream(dir / "endpoint.json") << R"({"version": 1, "runId": ")" << id << R"(", "runtime": "unix:/run/)" << id
                                         << R"(", "control": "unix:/c", "pid": "12", "startedAt": 1.5, "later": true})";
    std::ofstream(dir / "lock") << "";
    if (live) {
      held_.push_back(::open((dir / "lock").c_str(), O_RDWR));
      EXPECT_EQ(::flock(held_.back(), LOCK_EX), 0);
    }
    return (dir / "endpoint.json").string();
  }
  fs::path root_;
  std::vector<int> held_;
};

TEST_F(EndpointTest, NoneWhenNoRunIsLive) {
  EXPECT_FALSE(find_endpoint());
  make("dead", false);
  EXPECT_FALSE(find_endpoint());
}

TEST_F(EndpointTest, WhatIsSeenOfARunThatWasLost) {
  const std::string alive = make("alive", true), dead = make("dead", false);
  auto seen = sight(alive);
  EXPECT_TRUE(seen.alive && !seen.gone);
  EXPECT_EQ(seen.address, "unix:/run/alive");
  fs::remove(alive);  // its daemon starts
  seen = sight(alive);
  EXPECT_TRUE(seen.alive && !seen.gone);
  EXPECT_EQ(seen.address, "");
  seen = sight(dead);  // killed: the file is still there, the lock is free
  EXPECT_TRUE(!seen.alive && !seen.gone);
  EXPECT_EQ(seen.address, "");
  fs::remove(fs::path(dead).replace_filename("lock"));
  EXPECT_TRUE(sight(dead).gone);
  fs::remove_all(fs::path(alive).parent_path());
  EXPECT_TRUE(sight(alive).gone);
}

TEST_F(EndpointTest, TheOnlyLiveOne) {
  make("dead", false);
  make("alive", true);
  const auto found = find_endpoint();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->run_id, "alive");
  EXPECT_EQ(found->runtime, "unix:/run/alive");
}

TEST_F(EndpointTest, SeveralLiveOnesAreListed) {
  make("b", true);
  make("a", true);
  std::string text;
  EXPECT_EQ(code_of([] { find_endpoint(); }, &text), ErrorCode::kInvalidArgument);
  EXPECT_NE(text.find("2 runs are live (a, b)"), std::string::npos) << text;
}

TEST_F(EndpointTest, TheEnvironmentDecidesInItsOrder) {
  make("a", true);
  make("b", true);
  const auto path = make("c", true);
  ::setenv("SLURM_JOB_ID", "a", 1);
  EXPECT_EQ(find_endpoint()->run_id, "a");
  ::setenv("QFW_RUN_ID", "b", 1);
  EXPECT_EQ(find_endpoint()->run_id, "b");
  ::setenv("QFW_ENDPOINT", path.c_str(), 1);
  EXPECT_EQ(find_endpoint()->run_id, "c");
}

TEST_F(EndpointTest, AJobHasARunForEachOfItsStarts) {
  make("alive", true);
  ::setenv("QFW_RUN_BASE_DIR", (root_ / "qfw").c_str(), 1);
  make("frontier-7.0", false);
  make("slurm-7.2", false);
  ::setenv("SLURM_JOB_ID", "7", 1);
  ::setenv("SLURM_CLUSTER_NAME", "frontier", 1);
  EXPECT_EQ(find_endpoint()->run_id, "frontier-7.0");
  ::setenv("SLURM_RESTART_COUNT", "2", 1);
  EXPECT_EQ(find_endpoint()->run_id, "alive");
  ::unsetenv("SLURM_CLUSTER_NAME");
  EXPECT_EQ(find_endpoint()->run_id, "slurm-7.2");
  ::setenv("QFW_RUN_ID", "frontier-7.0", 1);
  EXPECT_EQ(find_endpoint()->run_id, "frontier-7.0");
}

TEST_F(EndpointTest, ANodeIsWhatSlurmCallsIt) {
  Endpoint endpoint;
  endpoint.runtime = "unix:/gone";
  endpoint.runtime_tls = "10.0.0.7:99";
  endpoint.hostname = "q1";
  ::setenv("SLURMD_NODENAME", "c1", 1);
  EXPECT_EQ(reach(endpoint).address, "10.0.0.7:99");
  ::setenv("SLURMD_NODENAME", "q1", 1);
  EXPECT_EQ(reach(endpoint).address, "unix:/gone");
}

TEST_F(EndpointTest, ANamedRunMustBeThere) {
  make("a", true);
  ::setenv("SLURM_JOB_ID", "77", 1);
  EXPECT_EQ(find_endpoint()->run_id, "a");  // a Slurm job without a run of its own
  ::setenv("QFW_RUN_ID", "gone", 1);
  EXPECT_EQ(code_of([] { find_endpoint(); }), ErrorCode::kUnavailable);
  ::setenv("QFW_ENDPOINT", "/nowhere.json", 1);
  EXPECT_EQ(code_of([] { find_endpoint(); }), ErrorCode::kUnavailable);
}

TEST_F(EndpointTest, RefusesWhatIsNoEndpointFile) {
  const auto path = make("a", false);
  std::ofstream(path) << "not json";
  EXPECT_EQ(code_of([&] { read_endpoint(path); }), ErrorCode::kProtocol);
  std::ofstream(path) << R"({"version": 9, "runtime": "unix:/x"})";
  EXPECT_EQ(code_of([&] { read_endpoint(path); }), ErrorCode::kProtocol);
  std::ofstream(path) << R"({"version": 1})";
  EXPECT_EQ(code_of([&] { read_endpoint(path); }), ErrorCode::kProtocol);
}

}  // namespace
}  // namespace qfw::qpi::testing
