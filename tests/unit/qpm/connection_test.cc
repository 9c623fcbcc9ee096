// What a client may send: anything. Messages go straight into a Connection, without a socket.
#include "qpm/native/connection.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "qfw/qpm/api/v1/runtime.pb.h"
#include "tests/unit/qpm/fixture.h"

namespace qfw::qpm {
namespace {

namespace pb = api::v1;
using test::ghz;

std::string hash_of(const program::Program& p) {
  return std::string(reinterpret_cast<const char*>(p.hash().data()), p.hash().size());
}
pb::PutProgram put(const program::Program& p) {
  pb::PutProgram out;
  out.set_sha256(hash_of(p));
  out.set_total(p.bytes().size());
  out.set_data(p.bytes().data(), p.bytes().size());
  return out;
}
pb::Task task(const program::Program& p, uint64_t id = 1) {
  pb::Task t;
  t.set_id(id);
  t.set_stream(1);
  t.set_program(hash_of(p));
  t.mutable_bindings()->set_rows(1);
  t.set_shots(10);
  t.set_outputs(1);
  return t;
}

class ConnectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    RuntimeOptions o;
    o.threads = 2;
    o.window = 16;
    runtime = Runtime::make(o);
    runtime->add_statevec();
    wire::Limits limits;
    limits.program_bytes = 1 << 20;
    limits.task_bytes = 1 << 20;
    connection = std::make_unique<Connection>(runtime, limits, [this](const pb::ServerMessage& m, bool) {
      std::lock_guard lock(mutex);
      sent.push_back(m);
      changed.notify_all();
      return true;
    });
    writer = std::thread([this] { connection->write_until_closed(); });
  }
  void TearDown() override {
    connection->close();
    writer.join();
    connection.reset();
    runtime->stop();
  }

  void hello() {
    pb::ClientMessage m;
    m.mutable_hello()->set_protocol(1);
    ASSERT_TRUE(connection->handle(m));
    ASSERT_TRUE(sent.at(0).has_welcome());
  }
  void open(StreamId stream = 1) {
    pb::ClientMessage m;
    m.mutable_open_stream()->set_stream(stream);
    m.mutable_open_stream()->add_devices(0);
    ASSERT_TRUE(connection->handle(m));
  }
  // The session's end: what the client is told.
  ErrorCode broken(const pb::ClientMessage& m) {
    EXPECT_FALSE(connection->handle(m));
    std::lock_guard lock(mutex);
    EXPECT_TRUE(sent.back().has_failure());
    return static_cast<ErrorCode>(sent.back().failure().code());
  }
  // The failure of the one task of a message that is sent.
  ErrorCode outcome(const pb::ClientMessage& m) {
    std::unique_lock lock(mutex);
    sent.clear();
    lock.unlock();
    EXPECT_TRUE(connection->handle(m));
    lock.lock();
    auto there = [this] { return !sent.empty() && sent.back().has_completions(); };
    EXPECT_TRUE(changed.wait_for(lock, test::kPatience, there));
    if (!there()) return ErrorCode::kInternal;
    return static_cast<ErrorCode>(sent.back().completions().completions(0).result().failure().code());
  }

  std::shared_ptr<Runtime> runtime;
  std::unique_ptr<Connection> connection;
  std::thread writer;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<pb::ServerMessage> sent;
};

TEST_F(ConnectionTest, HelloFirstAndOnceAndOfOurProtocol) {
  pb::ClientMessage early;
  early.mutable_submit()->add_tasks();
  EXPECT_EQ(broken(early), ErrorCode::kProtocol);
  EXPECT_EQ(broken(pb::ClientMessage()), ErrorCode::kProtocol);
  pb::ClientMessage old;
  old.mutable_hello()->set_protocol(77);
  EXPECT_EQ(broken(old), ErrorCode::kProtocol);
  pb::ClientMessage heavy;
  heavy.mutable_hello()->set_protocol(1);
  heavy.mutable_hello()->set_weight(-3);
  EXPECT_EQ(broken(heavy), ErrorCode::kProtocol);
  sent.clear();
  hello();
  pb::ClientMessage twice;
  twice.mutable_hello()->set_protocol(1);
  EXPECT_EQ(broken(twice), ErrorCode::kProtocol);
}

TEST_F(ConnectionTest, TaskBeforeItsProgram) {
  hello();
  open();
  pb::ClientMessage m;
  *m.mutable_submit()->add_tasks() = task(*ghz(2));
  EXPECT_EQ(outcome(m), ErrorCode::kNotFound);
  *m.mutable_submit()->add_programs() = put(*ghz(2));
  EXPECT_EQ(outcome(m), ErrorCode::kOk);
  m.mutable_submit()->mutable_tasks(0)->clear_program();
  EXPECT_EQ(outcome(m), ErrorCode::kInvalidArgument);
  m.mutable_submit()->mutable_tasks(0)->set_program("short");
  EXPECT_EQ(broken(m), ErrorCode::kProtocol);
}

TEST_F(ConnectionTest, ProgramsThatDoNotDecodeAreTheirTasksFault) {
  hello();
  open();
  pb::ClientMessage m;
  pb::PutProgram* bad = m.mutable_submit()->add_programs();
  *bad = put(*ghz(2));
  (*bad->mutable_data())[bad->data().size() / 2] ^= 0x55;  // another program's bytes, or none at all
  *m.mutable_submit()->add_tasks() = task(*ghz(2));
  EXPECT_EQ(outcome(m), ErrorCode::kInvalidProgram);
  *m.mutable_submit()->mutable_programs(0) = put(*ghz(2));
  EXPECT_EQ(outcome(m), ErrorCode::kOk);
}

TEST_F(ConnectionTest, PiecesOfAProgramMustFollowOneAnother) {
  hello();
  open();
  const auto p = ghz(40);
  pb::ClientMessage m;
  *m.mutable_put_program() = put(*p);
  m.mutable_put_program()->mutable_data()->resize(100);
  ASSERT_TRUE(connection->handle(m));
  m.mutable_put_program()->set_offset(200);
  EXPECT_EQ(broken(m), ErrorCode::kProtocol);
  m.mutable_put_program()->set_offset(0);
  m.mutable_put_program()->set_total(5ull << 30);
  EXPECT_EQ(broken(m), ErrorCode::kLimitExceeded);
  m.mutable_put_program()->set_offset(UINT64_MAX - 5);
  EXPECT_NE(broken(m), ErrorCode::kOk);
}

TEST_F(ConnectionTest, ChunksOfBindings) {
  hello();
  open();
  const auto p = test::rotation();
  pb::ClientMessage chunk;
  auto* c = chunk.mutable_chunk();
  c->set_task(1);
  c->set_total(16);
  c->set_data(std::string(16, '\0'));
  ASSERT_TRUE(connection->handle(chunk));
  pb::ClientMessage m;
  *m.mutable_submit()->add_programs() = put(*p);
  *m.mutable_submit()->add_tasks() = task(*p);
  auto* t = m.mutable_submit()->mutable_tasks(0);
  t->set_outputs(kStatevector);
  t->mutable_bindings()->set_rows(2);
  t->mutable_bindings()->set_columns(1);
  EXPECT_EQ(outcome(m), ErrorCode::kOk);
  EXPECT_EQ(outcome(m), ErrorCode::kInvalidArgument);  // its bindings are used up
  t->mutable_bindings()->set_values("1234567");
  EXPECT_EQ(outcome(m), ErrorCode::kInvalidArgument);
  c->set_offset(8);
  EXPECT_EQ(broken(chunk), ErrorCode::kProtocol);
  c->set_offset(0);
  c->set_array(pb::ArrayChunk::STATEVECTOR);
  EXPECT_EQ(broken(chunk), ErrorCode::kProtocol);
  c->set_array(pb::ArrayChunk::BINDINGS);
  c->set_total(4ull << 20);
  EXPECT_EQ(broken(chunk), ErrorCode::kLimitExceeded);
}

TEST_F(ConnectionTest, MalformedObservables) {
  hello();
  open();
  const auto p = ghz(2, false);
  pb::ClientMessage m;
  *m.mutable_submit()->add_programs() = put(*p);
  *m.mutable_submit()->add_tasks() = task(*p);
  auto* t = m.mutable_submit()->mutable_tasks(0);
  t->set_outputs(kExpectations);
  t->set_shots(0);
  auto* o = t->add_observables();
  o->add_coefficients(1.0);
  EXPECT_EQ(outcome(m), ErrorCode::kInvalidArgument);  // sizes missing
  o->add_sizes(3);
  EXPECT_EQ(outcome(m), ErrorCode::kInvalidArgument);  // fewer factors than named
  o->set_sizes(0, 1);
  o->add_qubits(0);
  o->set_paulis("\x07");
  EXPECT_EQ(outcome(m), ErrorCode::kInvalidArgument);  // no such Pauli
  o->set_paulis("\x03");
  EXPECT_EQ(outcome(m), ErrorCode::kOk);
  o->set_qubits(0, 9);
  EXPECT_EQ(outcome(m), ErrorCode::kInvalidArgument);
  t->set_outputs(1u << 20);
  EXPECT_EQ(outcome(m), ErrorCode::kInvalidArgument);
}

TEST_F(ConnectionTest, BeyondTheWindowEveryTaskIsRefused) {
  hello();
  open();
  pb::ClientMessage m;
  *m.mutable_submit()->add_programs() = put(*ghz(2));
  for (uint64_t i = 0; i < 17; ++i) *m.mutable_submit()->add_tasks() = task(*ghz(2), i);
  EXPECT_EQ(outcome(m), ErrorCode::kResourceExhausted);
  std::lock_guard lock(mutex);
  EXPECT_EQ(sent.back().completions().completions_size(), 17);
}

TEST_F(ConnectionTest, StreamsAndCancelsOfAnyNumber) {
  hello();
  open(5);
  pb::ClientMessage again;
  again.mutable_open_stream()->set_stream(5);
  again.mutable_open_stream()->add_devices(0);
  ASSERT_TRUE(connection->handle(again));
  EXPECT_EQ(static_cast<ErrorCode>(sent.back().opened().failure().code()), ErrorCode::kInvalidArgument);
  pb::ClientMessage m;
  m.mutable_cancel()->add_tasks(123456);
  EXPECT_TRUE(connection->handle(m));
  m.mutable_close_stream()->set_stream(999);
  EXPECT_TRUE(connection->handle(m));
  m.mutable_bye();
  EXPECT_FALSE(connection->handle(m));
}

TEST(SlowClientTest, OneThatFloodsAndNeverReadsIsCutOff) {
  RuntimeOptions o;
  o.threads = 1;
  o.window = 16;
  auto runtime = Runtime::make(o);
  auto device = std::make_unique<test::ManualDevice>("manual");
  auto* manual = device.get();
  runtime->add_device(std::move(device));
  std::mutex mutex;
  std::condition_variable changed;
  bool aborted = false, blocked = false;
  const auto this_thread = std::this_thread::get_id();
  Connection connection(
      runtime, wire::Limits{},
      [&](const pb::ServerMessage&, bool) {
        if (std::this_thread::get_id() == this_thread) return true;
        std::unique_lock lock(mutex);
        blocked = true;
        changed.notify_all();
        changed.wait(lock, [&] { return aborted; });
        return false;
      },
      [&] {
        std::lock_guard lock(mutex);
        aborted = true;
        changed.notify_all();
      });
  pb::ClientMessage m;
  m.mutable_hello()->set_protocol(1);
  ASSERT_TRUE(connection.handle(m));
  m.mutable_open_stream()->set_stream(1);
  m.mutable_open_stream()->add_devices(0);
  ASSERT_TRUE(connection.handle(m));
  m.Clear();
  *m.mutable_submit()->add_programs() = put(*ghz(2));
  *m.mutable_submit()->add_tasks() = task(*ghz(2), 1);
  ASSERT_TRUE(connection.handle(m));
  std::thread writer([&] { connection.write_until_closed(); });
  std::thread([&] { manual->end(1); }).join();  // its completion is the first that the client does not take
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, test::kPatience, [&] { return blocked; }));
  }
  m.Clear();
  for (uint64_t i = 0; i < 10; ++i) *m.mutable_submit()->add_tasks() = task(*ghz(2), i);
  for (auto& t : *m.mutable_submit()->mutable_tasks()) t.set_stream(77);  // not open: each is refused
  int taken = 0;
  while (connection.handle(m) && taken < 1000) ++taken;
  EXPECT_TRUE(aborted);
  EXPECT_GE(taken, 100);
  EXPECT_LT(taken, 110) << "two windows and 1024 answers, ten with a message";
  connection.close();
  writer.join();
  runtime->stop();
}

TEST(SlowClientTest, PausesItsOwnSessionAlone) {
  auto runtime = Runtime::make({.threads = 2});
  runtime->add_statevec();
  std::mutex mutex;
  std::condition_variable changed;
  bool taking = false;
  size_t arrived = 0;
  wire::Limits limits;
  limits.outbox_bytes = 1 << 20;
  Connection connection(runtime, limits, [&](const pb::ServerMessage& m, bool) {
    std::unique_lock lock(mutex);
    if (m.has_chunk() || m.has_completions()) changed.wait_for(lock, test::kPatience, [&] { return taking; });
    arrived += static_cast<size_t>(m.completions().completions_size());
    changed.notify_all();
    return true;
  });
  std::thread writer([&] { connection.write_until_closed(); });
  std::thread reader([&] {
    pb::ClientMessage m;
    m.mutable_hello()->set_protocol(1);
    connection.handle(m);
    m.mutable_open_stream()->set_stream(1);
    m.mutable_open_stream()->add_devices(0);
    connection.handle(m);
    const auto p = ghz(16, false);  // a state vector of 1 MiB
    pb::Submit* submit = m.mutable_submit();
    *submit->add_programs() = put(*p);
    for (uint64_t i = 0; i < 40; ++i) {
      *submit->add_tasks() = task(*p, i);
      submit->mutable_tasks(static_cast<int>(i))->set_outputs(kStatevector);
      submit->mutable_tasks(static_cast<int>(i))->set_shots(0);
    }
    connection.handle(m);
  });
  const auto end = std::chrono::steady_clock::now() + test::kPatience;
  auto paused = [&] {
    const RuntimeStats s = runtime->stats();
    return s.submitted == 40 && s.queued > 0 && s.running == 0;
  };
  while (!paused() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_TRUE(paused());
  EXPECT_LT(runtime->stats().completed, 40u);
  test::Client other(runtime->session());
  other.session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
  EXPECT_FALSE(other.run(test::counts_task(1, ghz(2))).failure);
  {
    std::unique_lock lock(mutex);
    taking = true;
    changed.notify_all();
    EXPECT_TRUE(changed.wait_for(lock, test::kPatience, [&] { return arrived == 40; }));
  }
  reader.join();
  connection.close();
  writer.join();
}

// Every completion passes the high mark and every message the low one, on different threads.
TEST(SlowClientTest, PauseAndResumeNeverCross) {
  auto runtime = Runtime::make({.threads = 2});
  runtime->add_statevec();
  std::mutex mutex;
  std::condition_variable changed;
  size_t arrived = 0;
  wire::Limits limits;
  limits.outbox_bytes = 1;
  Connection connection(runtime, limits, [&](const pb::ServerMessage& m, bool) {
    std::lock_guard lock(mutex);
    arrived += static_cast<size_t>(m.completions().completions_size());
    changed.notify_all();
    return true;
  });
  std::thread writer([&] { connection.write_until_closed(); });
  pb::ClientMessage m;
  m.mutable_hello()->set_protocol(1);
  connection.handle(m);
  m.mutable_open_stream()->set_stream(1);
  m.mutable_open_stream()->add_devices(0);
  connection.handle(m);
  const auto p = ghz(2);
  for (uint64_t round = 0; round < 200; ++round) {
    pb::Submit* submit = m.mutable_submit();
    submit->Clear();
    *submit->add_programs() = put(*p);
    for (uint64_t i = 0; i < 20; ++i) {
      *submit->add_tasks() = task(*p, round * 20 + i);
      submit->mutable_tasks(static_cast<int>(i))->set_shots(2000);  // too long together for the submitting thread
    }
    connection.handle(m);
    std::unique_lock lock(mutex);
    const bool whole = changed.wait_for(lock, test::kPatience, [&] { return arrived == (round + 1) * 20; });
    EXPECT_TRUE(whole) << arrived;
    if (!whole) break;
  }
  connection.close();
  writer.join();
}

TEST_F(ConnectionTest, RandomMessagesNeverHarm) {
  hello();
  open();
  std::mt19937_64 random(7);
  const auto p = ghz(3);
  pb::ClientMessage m;
  *m.mutable_submit()->add_programs() = put(*p);
  *m.mutable_submit()->add_tasks() = task(*p);
  const std::string good = m.SerializeAsString();
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = good;
    for (int k = 0; k < 1 + i % 7; ++k) bytes[random() % bytes.size()] = static_cast<char>(random());
    pb::ClientMessage mutant;
    if (mutant.ParsePartialFromString(bytes) && mutant.has_submit()) connection->handle(mutant);
  }
  m.mutable_submit()->mutable_tasks(0)->set_id(1ull << 60);
  std::unique_lock lock(mutex);
  auto answered = [&] {
    for (const auto& s : sent)
      for (const auto& c : s.completions().completions())
        if (c.task() == 1ull << 60) return c.result().failure().code() == pb::OK;
    return false;
  };
  lock.unlock();
  connection->handle(m);
  lock.lock();
  EXPECT_TRUE(changed.wait_for(lock, test::kPatience, answered));
}

}  // namespace
}  // namespace qfw::qpm
