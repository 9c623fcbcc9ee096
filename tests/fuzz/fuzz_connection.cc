// What a client may send: anything. An input is a row of messages, each with a length of two bytes before it; they go
// straight into a Connection, without a socket. Whatever comes, the connection answers or ends, and closes at once.
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "qfw/qpm/api/v1/runtime.pb.h"
#include "qpm/native/connection.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/program/sample.h"

namespace {

namespace pb = qfw::qpm::api::v1;
using namespace qfw;

constexpr uint32_t kMaxQubits = 8;  // more would fuzz the simulator's patience

std::string bytes_of(const program::Hash& hash) { return {reinterpret_cast<const char*>(hash.data()), hash.size()}; }

// A damaged program would be found out by its hash alone: it is given the right one, so that what follows is tried too.
// False: a program too large to be run here.
bool mend(pb::PutProgram& put, std::string& last) {
  if (put.offset() != 0 || put.total() != put.data().size()) return true;
  try {
    const auto decoded = program::Program::decode(std::as_bytes(std::span(put.data().data(), put.data().size())));
    if (decoded->num_qubits() > kMaxQubits) return false;
    last = bytes_of(decoded->hash());
    put.set_sha256(last);
  } catch (const Error&) {  // sent as it is
  }
  return true;
}

bool mend(pb::ClientMessage& m, std::string& last) {
  if (m.has_put_program()) return mend(*m.mutable_put_program(), last);
  if (!m.has_submit()) return true;
  for (auto& put : *m.mutable_submit()->mutable_programs())
    if (!mend(put, last)) return false;
  for (auto& task : *m.mutable_submit()->mutable_tasks())
    if (!last.empty() && task.program().size() == last.size()) task.set_program(last);
  return true;
}

qpm::RuntimeOptions small() {
  qpm::RuntimeOptions o;
  o.threads = 1;
  o.window = 32;
  o.max_rows = 8;
  o.max_shots = 64;
  return o;
}

std::shared_ptr<qpm::Runtime> runtime() {
  static const auto shared = [] {
    auto made = qpm::Runtime::make(small());
    made->add_statevec();
    return made;
  }();
  return shared;
}

void append(Input& out, const pb::ClientMessage& m) {
  const std::string bytes = m.SerializeAsString();
  out.push_back(static_cast<uint8_t>(bytes.size() & 255));
  out.push_back(static_cast<uint8_t>(bytes.size() >> 8));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  qpm::wire::Limits limits;
  limits.program_bytes = 1 << 16;
  limits.task_bytes = 1 << 16;
  qpm::Connection connection(runtime(), limits, [](const pb::ServerMessage& m, bool) {
    if (m.kind_case() == pb::ServerMessage::KIND_NOT_SET) std::abort();
    return true;
  });
  std::thread writer([&] { connection.write_until_closed(); });
  std::string last;
  for (size_t at = 0; at + 2 <= size;) {
    const size_t n = std::min<size_t>(data[at] | data[at + 1] << 8, size - at - 2);
    pb::ClientMessage m;
    const bool parsed = m.ParseFromArray(data + at + 2, static_cast<int>(n));
    at += 2 + n;
    if (parsed && mend(m, last) && !connection.handle(m)) break;
  }
  connection.close();
  writer.join();
  return 0;
}

std::vector<Input> samples() {
  const auto program = program::testing::sample();
  Input session;
  pb::ClientMessage m;
  m.mutable_hello()->set_protocol(qpm::wire::kProtocol);
  append(session, m);
  m.mutable_open_stream()->set_stream(1);
  m.mutable_open_stream()->add_devices(0);
  append(session, m);
  auto* put = m.mutable_submit()->add_programs();
  put->set_sha256(bytes_of(program->hash()));
  put->set_total(program->bytes().size());
  put->set_data(program->bytes().data(), program->bytes().size());
  for (uint64_t id = 1; id <= 2; ++id) {
    auto* task = m.mutable_submit()->add_tasks();
    task->set_id(id);
    task->set_stream(1);
    task->set_program(put->sha256());
    task->mutable_bindings()->set_rows(1);
    task->mutable_bindings()->set_columns(2);
    task->mutable_bindings()->mutable_values()->assign(16, '\0');
    task->set_shots(10);
    task->set_outputs(id);
    (*task->mutable_options())["precision"] = "double";
  }
  append(session, m);
  m.mutable_cancel()->add_tasks(1);
  append(session, m);
  m.mutable_query_devices();
  append(session, m);
  m.mutable_subscribe()->add_kinds(pb::EVENT_FAULT);
  append(session, m);
  m.mutable_close_stream()->set_stream(1);
  append(session, m);
  m.mutable_bye();
  append(session, m);
  return {session};
}
