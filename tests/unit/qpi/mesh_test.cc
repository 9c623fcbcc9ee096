#include "qpi/native/mesh.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <thread>

#include "qpi/native/context.h"
#include "tests/unit/qpi/fake_session.h"

namespace qfw::qpi::testing {
namespace {

std::vector<Task> tasks(size_t count) {
  std::vector<Task> made;
  for (size_t i = 0; i < count; ++i) made.push_back(task());
  return made;
}

TEST(Mesh, RunGivesResultsInSubmissionOrder) {
  auto session = std::make_shared<FakeSession>();
  auto context = Context::over(session);
  auto mesh = context->mesh();
  auto run = mesh->start(tasks(3));
  for (size_t i : {2u, 1u, 0u}) session->finish(session->order[i], success("d" + std::to_string(i)));
  ASSERT_TRUE(run->wait(Deadline::now()));
  auto results = run->take();
  ASSERT_EQ(results.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(results[i].device, "d" + std::to_string(i));
}

TEST(Mesh, RunNeedsNoOtherThreadWhenTheRuntimeTakesHelp) {
  auto session = std::make_shared<FakeSession>(32);
  session->helpful = true;
  auto context = Context::over(session);
  EXPECT_EQ(context->mesh()->run(tasks(20)).size(), 20u);
}

TEST(Mesh, ARunLargerThanTheWindowFollowsByItself) {
  auto session = std::make_shared<FakeSession>(4);
  auto context = Context::over(session);
  auto run = context->mesh()->start(tasks(50));
  while (!run->done()) session->finish_all();
  EXPECT_EQ(run->take().size(), 50u);
  EXPECT_LE(session->most, 4u);
}

TEST(Mesh, AllGivesEachDeviceTheTask) {
  auto session = std::make_shared<FakeSession>();
  auto context = Context::over(session);
  auto mesh = context->mesh({{}, {}, 0, true});
  auto run = mesh->start(tasks(2));
  ASSERT_EQ(session->held.size(), 4u);
  EXPECT_EQ(session->held[0].stream, session->held[1].stream);
  EXPECT_NE(session->held[1].stream, session->held[2].stream);
  for (size_t i = 0; i < 4; ++i) session->finish(session->order[3 - i], success("d" + std::to_string(3 - i)));
  ASSERT_TRUE(run->done());
  const auto results = run->take();
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(results[i].device, "d" + std::to_string(i));
}

TEST(Mesh, ATimeoutNamesTheTasksAndCancelsThem) {
  auto session = std::make_shared<FakeSession>();
  auto context = Context::over(session);
  auto mesh = context->mesh();
  std::thread other([&] {
    for (;;) {
      std::lock_guard lock(session->mutex);
      if (session->order.size() == 3) break;
    }
    session->finish(session->order[1]);
  });
  std::string text;
  EXPECT_EQ(code_of(
                [&] {
                  auto run = mesh->start(tasks(3));
                  other.join();
                  run->give_up(0.5);
                },
                &text),
            ErrorCode::kTimeout);
  EXPECT_NE(text.find("2 of 3 tasks"), std::string::npos) << text;
  EXPECT_NE(text.find("indices 0, 2"), std::string::npos) << text;
  EXPECT_TRUE(session->held.empty());
}

TEST(Mesh, AFailureIsAResultBesideTheOthers) {
  auto session = std::make_shared<FakeSession>();
  auto context = Context::over(session);
  auto mesh = context->mesh();
  auto run = mesh->start(tasks(2));
  session->fail(session->order[0], ErrorCode::kDevice, "broken");
  session->finish(session->order[1]);
  auto results = run->take();
  EXPECT_EQ(results[0].failure.code, ErrorCode::kDevice);
  EXPECT_FALSE(results[1].failure);
}

TEST(Mesh, RefusesBadTasksBeforeAnythingIsSent) {
  auto session = std::make_shared<FakeSession>(8, true);
  auto context = Context::over(session);
  auto mesh = context->mesh();
  const auto refused = [&](auto&& change) {
    auto t = tasks(1);
    change(t[0].task);
    return code_of([&] { mesh->run(std::move(t)); });
  };
  EXPECT_EQ(code_of([&] { mesh->run({}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& t) { t.program = nullptr; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& t) { t.shots = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& t) { t.outputs = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& t) { t.outputs = 1u << 20; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& t) { t.bindings.rows = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& t) { t.bindings.columns = 3; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& t) { t.bindings.values.push_back(1.0); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& t) { t.probability_qubits = {2}; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& t) { t.probability_qubits = {1, 1}; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& t) { t.outputs = qpm::kExpectations; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& t) {
              t.outputs = qpm::kExpectations;
              t.observables.push_back({{{1.0, {{7, program::Pauli::kX}}}}});
            }),
            ErrorCode::kInvalidArgument);
  EXPECT_TRUE(session->order.empty());
}

TEST(Mesh, RefusesAnAngleThatIsNotFinite) {
  program::ProgramBuilder builder(1, 1);
  const uint32_t qubit[] = {0};
  const program::Angle angle[] = {{0.0, 1.0, builder.parameter("theta")}};
  builder.gate(program::GateId::kRx, qubit, angle);
  builder.measure(0, 0);
  auto t = tasks(1);
  t[0].task.program = builder.finish();
  t[0].task.bindings = {2, 1, {0.5, std::nan("")}};
  auto context = Context::over(std::make_shared<FakeSession>());
  std::string text;
  EXPECT_EQ(code_of([&] { context->mesh()->run(std::move(t)); }, &text), ErrorCode::kInvalidArgument);
  EXPECT_NE(text.find("bindings[1][0] is nan"), std::string::npos) << text;
}

TEST(Context, ChoosesDevicesByNameAndKind) {
  auto context = Context::over(std::make_shared<FakeSession>());
  EXPECT_EQ(context->endpoint(), "fake");
  EXPECT_EQ(context->mesh()->devices().size(), 2u);
  EXPECT_EQ(context->mesh({{"two"}, {}, 0})->devices().at(0).id(), 2u);
  EXPECT_EQ(context->mesh({{}, true, 0})->devices().at(0).name(), "one");
  EXPECT_EQ(context->mesh({{}, {}, 6})->devices().size(), 1u);
  EXPECT_EQ(context->device("one").info().max_qubits, 20u);
  std::string text;
  EXPECT_EQ(code_of([&] { context->device("three"); }, &text), ErrorCode::kNotFound);
  EXPECT_NE(text.find("\"three\"; there are: one, two"), std::string::npos) << text;
  EXPECT_EQ(code_of([&] { context->mesh({{}, {}, 99}); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { context->mesh({{"two"}, true, 0}); }), ErrorCode::kNotFound);
}

TEST(Context, CloseEndsEverythingEvenWhatTheTransportForgot) {
  auto session = std::make_shared<FakeSession>();
  session->lazy_close = true;
  auto context = Context::over(session);
  auto mesh = context->mesh();
  auto queue = context->completion_queue();
  auto stream = context->stream(*mesh, qpm::Order::kParallel, queue);
  stream->submit(task());
  auto run = mesh->start(tasks(1));
  context->close();
  context->close();
  EXPECT_TRUE(session->closed);
  EXPECT_EQ(queue->read_error()->failure().code, ErrorCode::kCancelled);
  ASSERT_TRUE(run->wait(Deadline::now()));
  EXPECT_EQ(run->take()[0].failure.code, ErrorCode::kCancelled);
  EXPECT_EQ(code_of([&] { context->devices(); }), ErrorCode::kClosed);
  EXPECT_EQ(code_of([&] { stream->submit(task()); }), ErrorCode::kClosed);
  EXPECT_EQ(code_of([&] { mesh->run(tasks(1)); }), ErrorCode::kClosed);
  EXPECT_EQ(code_of([&] { queue->wait(Deadline::never()); }), ErrorCode::kClosed);
}

TEST(Context, CloseWakesASubmitterWithoutCredit) {
  auto session = std::make_shared<FakeSession>(1);
  session->lazy_close = true;
  auto context = Context::over(session);
  auto mesh = context->mesh();
  auto stream = context->stream(*mesh, qpm::Order::kParallel, nullptr);
  stream->submit(task());
  ErrorCode code = ErrorCode::kOk;
  std::thread other([&] { code = code_of([&] { stream->submit(task()); }); });
  context->close();
  other.join();
  EXPECT_EQ(code, ErrorCode::kClosed);
}

TEST(Context, AChildOfForkIsToldToConnectAnew) {
  auto context = Context::over(std::make_shared<FakeSession>());
  auto mesh = context->mesh();
  const pid_t child = ::fork();
  if (child == 0) {
    std::string text;
    const bool good =
        code_of([&] { mesh->run(tasks(1)); }, &text) == ErrorCode::kClosed && text.find("fork") != std::string::npos;
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace qfw::qpi::testing
