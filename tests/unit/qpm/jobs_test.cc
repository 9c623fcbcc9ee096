// Jobs: what the table keeps, and what a runtime does with streams that have a name.
#include "qpm/native/jobs.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "qpm/native/runtime.h"
#include "qpm/native/session.h"
#include "tests/unit/qpm/fixture.h"

namespace qfw::qpm {
namespace {

using test::Client;
using test::counts_task;
using test::ghz;

// ---- the table

std::shared_ptr<SessionState> session() { return std::make_shared<SessionState>(); }

Completion completion(TaskId task, StreamId stream, size_t bytes = 8) {
  Completion c;
  c.task = task;
  c.stream = stream;
  c.result.rows.resize(1);
  c.result.rows[0].memory.resize(bytes);
  return c;
}

void finish(NamedJob& job, const SessionState& owner, double now, size_t bytes = 8, TaskId task = 1) {
  job.submitted(task);
  const Completion done = completion(task, 1, bytes);
  EXPECT_TRUE(job.completed(owner, {&done, 1}, 1 << 20, now).ended);
}

ErrorCode code_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::kOk;
}

TEST(JobTable, RefusesWhatIsNoIdAndWhatIsInUse) {
  JobTable table(JobLimits{.metadata_bytes = 4});
  const auto owner = session();
  for (const std::string& id : {std::string(), std::string(129, 'a'), std::string("a b"), std::string("../x")})
    EXPECT_EQ(code_of([&] { table.open({id, ""}, owner, 1, 0.0); }), ErrorCode::kInvalidArgument) << id;
  EXPECT_EQ(code_of([&] { table.open({"long", "12345"}, owner, 1, 0.0); }), ErrorCode::kLimitExceeded);
  table.open({std::string(128, 'a') + "", "1234"}, owner, 1, 0.0);
  table.open({"x.y-z_0", ""}, owner, 1, 0.0);
  EXPECT_EQ(code_of([&] { table.open({"x.y-z_0", ""}, session(), 1, 0.0); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { table.find("other"); }), ErrorCode::kNotFound);
}

TEST(JobTable, MakesRoomByThoseThatEndedFirst) {
  JobTable table(JobLimits{.jobs = 3});
  const auto owner = session();
  const auto a = table.open({"a", ""}, owner, 1, 0.0), b = table.open({"b", ""}, owner, 1, 1.0);
  const auto c = table.open({"c", ""}, owner, 1, 2.0);
  EXPECT_EQ(code_of([&] { table.open({"d", ""}, owner, 1, 3.0); }), ErrorCode::kResourceExhausted);
  finish(*c, *owner, 4.0);
  finish(*b, *owner, 5.0);
  table.open({"d", ""}, owner, 1, 6.0);
  std::vector<std::string> left;
  for (const auto& job : table.list({})) left.push_back(job->id());
  EXPECT_EQ(left, (std::vector<std::string>{"a", "b", "d"}));
}

TEST(JobTable, ForgetsByAgeAndByBytes) {
  JobTable table(JobLimits{.bytes = 100'000, .age_s = 10.0});
  const auto owner = session();
  const auto old = table.open({"old", ""}, owner, 1, 0.0), young = table.open({"young", ""}, owner, 1, 0.0);
  finish(*old, *owner, 1.0);
  finish(*young, *owner, 5.0);
  table.took(0, true, 12.0);
  EXPECT_EQ(code_of([&] { table.find("old"); }), ErrorCode::kNotFound);
  EXPECT_EQ(table.find("young"), young);
  const auto large = table.open({"large", ""}, owner, 1, 12.0);
  finish(*large, *owner, 12.0, 90'000);
  table.took(90'000, true, 12.0);
  EXPECT_EQ(table.list({}).size(), 2u);
  const auto larger = table.open({"larger", ""}, owner, 1, 12.0);
  finish(*larger, *owner, 12.5, 95'000);
  table.took(95'000, true, 12.5);
  EXPECT_EQ(table.list({}), (std::vector<NamedJobPtr>{larger}));
}

TEST(JobTable, UnfinishedJobsLoseTheirResultsWhenNothingElseCanGo) {
  JobTable table(JobLimits{.bytes = 50'000});
  const auto owner = session();
  const auto job = table.open({"job", ""}, owner, 1, 0.0);
  job->submitted(1);
  job->submitted(2);
  const Completion first = completion(1, 1, 60'000);
  job->completed(*owner, {&first, 1}, 1 << 20, 1.0);
  table.took(60'000, false, 1.0);
  const auto kept = job->listen(owner, 9);
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].result.failure.code, ErrorCode::kLimitExceeded);
  EXPECT_LT(job->bytes(), 10'000u);
  EXPECT_EQ(job->info(0).failed, 0u);  // it had not failed: its result is gone
}

TEST(NamedJob, ResultsAboveTheLimitAreDeliveredAndNotKept) {
  const auto owner = session();
  NamedJob job({"job", "m"}, owner, 1, 0.0);
  for (TaskId t : {1, 2, 3}) job.submitted(t);
  EXPECT_TRUE(job.listen(owner, 7).empty());
  const Completion done[] = {completion(1, 1, 100), completion(2, 1, 5000), completion(3, 2, 1), completion(1, 1)};
  const auto noted = job.completed(*owner, done, 4000, 1.0);
  ASSERT_EQ(noted.copies.size(), 1u);
  EXPECT_EQ(noted.copies[0].second.size(), 2u);  // neither of another stream, nor one twice
  EXPECT_EQ(noted.copies[0].second[1].result.rows[0].memory.size(), 5000u);
  EXPECT_EQ(noted.copies[0].second[1].stream, 7u);
  EXPECT_FALSE(noted.ended);
  for (const auto& c : job.listen(session(), 8)) EXPECT_EQ(c.result.failure.code, ErrorCode::kLimitExceeded);
  const JobInfo info = job.info(0);
  EXPECT_EQ(info.tasks, 3u);
  EXPECT_EQ(info.completed, 2u);
  EXPECT_EQ(info.state, JobState::kRunning);
  EXPECT_EQ(info.task_ids, (std::vector<uint64_t>{1, 2, 3}));
}

TEST(NamedJob, PositionFallsAsTheRuntimeWorksAndIsZeroFromTheStart) {
  const auto owner = session();
  NamedJob job({"job", ""}, owner, 1, 0.0);
  EXPECT_EQ(job.info(0).position, 0u);
  EXPECT_FALSE(job.placed());
  job.ahead(10, 100);
  job.submitted(1);
  EXPECT_EQ(job.info(100).position, 10u);
  EXPECT_EQ(job.info(107).position, 3u);
  EXPECT_EQ(job.info(200).position, 1u);
  job.started();
  EXPECT_EQ(job.info(200).position, 0u);
  EXPECT_EQ(job.info(200).state, JobState::kRunning);
}

TEST(NamedJob, IsAdoptedWhenItsSessionHasEnded) {
  auto first = session();
  const auto second = session();
  NamedJob job({"job", ""}, first, 1, 0.0);
  job.submitted(1);
  EXPECT_EQ(code_of([&] { job.adopt(second, 4); }), ErrorCode::kInvalidArgument);
  first->closed = true;
  job.adopt(second, 4);
  job.submitted(1);  // again: it keeps its place
  Completion late = completion(1, 1);
  job.completed(*first, {&late, 1}, 1 << 20, 1.0);
  EXPECT_EQ(job.info(0).completed, 0u);
  late.stream = 4;
  EXPECT_TRUE(job.completed(*second, {&late, 1}, 1 << 20, 1.0).ended);
  EXPECT_EQ(job.info(0).tasks, 1u);
}

TEST(NamedJob, ListenersAreBoundedAndLeave) {
  const auto owner = session();
  NamedJob job({"job", ""}, owner, 1, 0.0);
  std::vector<std::shared_ptr<SessionState>> others;
  for (int i = 0; i < 16; ++i) job.listen(others.emplace_back(session()), 1);
  EXPECT_EQ(code_of([&] { job.listen(owner, 1); }), ErrorCode::kResourceExhausted);
  job.leave(*others[3], 1);
  others.pop_back();
  job.listen(owner, 1);
  job.listen(owner, 2);
}

// ---- the runtime

class JobsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    RuntimeOptions o;
    o.threads = 2;
    runtime = Runtime::make(o);
    runtime->add_statevec();
  }
  void TearDown() override { runtime->stop(); }

  std::unique_ptr<Client> client() { return std::make_unique<Client>(runtime->session()); }
  LocalSession& local(Client& c) { return static_cast<LocalSession&>(*c.session); }
  void open(Client& c, const std::string& id, StreamId stream = 1) {
    const DeviceId device = 0;
    const JobSpec spec{id, "about " + id};
    c.session->open_stream(stream, {&device, 1}, Order::kParallel, &spec);
  }
  JobInfo info(Client& c, const std::string& id) {
    const std::vector<std::string> ids{id};
    return c.session->jobs(ids).at(0);
  }
  // Long enough that it is there until it is stopped.
  Task endless(TaskId id) {
    program::ProgramBuilder b(22, 22);
    for (int layer = 0; layer < 2000; ++layer)
      for (uint32_t q = 0; q < 22; ++q) {
        b.gate(program::GateId::kH, {&q, 1}, {});
        const uint32_t pair[] = {q, (q + 1) % 22};
        b.gate(program::GateId::kCx, pair, {});
      }
    for (uint32_t q = 0; q < 22; ++q) b.measure(q, q);
    return counts_task(id, b.finish());
  }

  std::shared_ptr<Runtime> runtime;
};

TEST_F(JobsTest, GoesOnWithoutItsClientAndIsReplayed) {
  auto first = client();
  open(*first, "job");
  for (TaskId t = 5; t < 25; ++t) first->submit(counts_task(t, ghz(3)));
  first->submit(counts_task(25, ghz(200)));  // refused: too many qubits
  local(*first).leave();
  auto second = client();
  const JobInfo found = second->session->attach_job(3, "job");
  EXPECT_EQ(found.metadata, "about job");
  EXPECT_EQ(found.task_ids.front(), 5u);
  EXPECT_EQ(found.tasks, 21u);
  ASSERT_TRUE(second->wait(21));
  const JobInfo done = info(*second, "job");
  EXPECT_EQ(done.state, JobState::kDone);
  EXPECT_EQ(done.completed, 21u);
  EXPECT_EQ(done.failed, 1u);
  for (const auto& c : second->take()) {
    EXPECT_EQ(c.stream, 3u);
    EXPECT_EQ(c.result.failure.code == ErrorCode::kOk, c.task != 25);
  }
  auto third = client();
  third->session->attach_job(1, "job");
  ASSERT_TRUE(third->wait(21));
  EXPECT_EQ(third->count(), 21u);
  EXPECT_EQ(runtime->session()->jobs({}).size(), 1u);
  EXPECT_TRUE(runtime->session()->jobs({})[0].metadata.empty());
}

TEST_F(JobsTest, IsCancelledFromAnotherSession) {
  auto first = client();
  open(*first, "job");
  first->submit(endless(1));
  first->submit(endless(2));
  local(*first).leave();
  auto second = client(), third = client();
  const auto ids = second->session->attach_job(1, "job").task_ids;
  third->session->attach_job(1, "job");
  second->session->cancel(ids);
  for (auto* c : {second.get(), third.get()}) {
    ASSERT_TRUE(c->wait(2));
    for (const auto& done : c->take()) EXPECT_EQ(done.result.failure.code, ErrorCode::kCancelled);
  }
  EXPECT_EQ(info(*second, "job").state, JobState::kDone);
}

TEST_F(JobsTest, AnEmbeddedSessionTakesItsJobsAlong) {
  auto first = client();
  open(*first, "job");
  first->submit(endless(1));
  first->session->close();
  auto second = client();
  second->session->attach_job(1, "job");
  ASSERT_TRUE(second->wait(1));
  EXPECT_EQ(second->take().at(0).result.failure.code, ErrorCode::kCancelled);
}

TEST_F(JobsTest, ForgettingStopsAndDrops) {
  auto first = client();
  open(*first, "job");
  first->submit(endless(1));
  auto second = client();
  second->session->forget_job("job");
  ASSERT_TRUE(first->wait(1));
  EXPECT_EQ(first->take().at(0).result.failure.code, ErrorCode::kCancelled);
  EXPECT_EQ(code_of([&] { second->session->attach_job(1, "job"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { second->session->forget_job("job"); }), ErrorCode::kNotFound);
  open(*second, "job");  // the name is free
}

TEST_F(JobsTest, ClosingTheStreamLetsItGoOnAndStreamsDoNotPileUp) {
  auto first = client();
  for (StreamId s = 1; s <= 1500; ++s) {  // above the limit of open streams
    open(*first, "job" + std::to_string(s), s);
    first->submit(counts_task(s, ghz(2), 1, s));
    first->session->close_stream(s);
  }
  ASSERT_TRUE(first->wait(1500));
  for (const auto& c : first->take()) EXPECT_EQ(c.result.failure.code, ErrorCode::kOk) << c.result.failure.message;
}

TEST_F(JobsTest, WhileItRunsResultsComeToWhoeverListensUntilItLeaves) {
  auto first = client(), second = client(), third = client();
  open(*first, "job");
  first->submit(counts_task(1, ghz(2)));
  ASSERT_TRUE(first->wait(1));
  second->session->attach_job(1, "job");
  third->session->attach_job(1, "job");
  ASSERT_TRUE(second->wait(1) && third->wait(1));
  third->session->close_stream(1);
  first->submit(counts_task(2, ghz(2)));
  ASSERT_TRUE(first->wait(2) && second->wait(2));
  EXPECT_EQ(third->count(), 1u);
  EXPECT_EQ(first->count(), 2u);
  EXPECT_EQ(code_of([&] { second->session->attach_job(1, "job"); }), ErrorCode::kInvalidArgument);
}

TEST_F(JobsTest, TheRuntimeStopsWhileDetachedJobsRun) {
  for (int i = 0; i < 3; ++i) {
    auto one = client();
    open(*one, "job" + std::to_string(i));
    one->submit(endless(1));
    local(*one).leave();
  }
  runtime->stop();
  const RuntimeStats s = runtime->stats();
  EXPECT_EQ(s.queued + s.running, 0u);
}

TEST_F(JobsTest, DetachedSessionsEndWithTheirJobs) {
  auto watcher = client();
  for (int i = 0; i < 20; ++i) {
    auto one = client();
    open(*one, "job" + std::to_string(i));
    for (TaskId t = 1; t <= 20; ++t) one->submit(counts_task(t, ghz(8), 1000));
    local(*one).leave();
  }
  for (int i = 0; i < 20; ++i) watcher->session->attach_job(static_cast<StreamId>(i + 1), "job" + std::to_string(i));
  ASSERT_TRUE(watcher->wait(400));
  // The last completion is noted before its session counts it as delivered: a moment may pass.
  const auto end = std::chrono::steady_clock::now() + test::kPatience;
  while (runtime->stats().sessions > 2 && std::chrono::steady_clock::now() < end) client();
  EXPECT_LE(runtime->stats().sessions, 2u);
}

}  // namespace
}  // namespace qfw::qpm
