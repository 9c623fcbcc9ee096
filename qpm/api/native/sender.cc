#include "qpm/api/native/sender.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "qfw/qpm/api/v1/runtime.pb.h"

namespace qfw::qpm {
namespace {

namespace pb = api::v1;

constexpr uint64_t kGroupBytes = 4u << 20;

void set_hash(const program::Hash& hash, std::string* out) {
  out->assign(reinterpret_cast<const char*>(hash.data()), hash.size());
}

}  // namespace

// The message that is being filled.
struct Sender::Group {
  pb::ClientMessage message;
  std::vector<program::ProgramPtr> programs;  // put by this message
  uint64_t bytes = 0;
  uint64_t program_bytes = 0;

  std::unordered_set<program::Hash, program::HashKey> hashes;  // of `programs`
};

Sender::Sender(const wire::Limits& limits, Write write)
    : limits_(limits), write_(std::move(write)), programs_(limits.program_bytes) {}
Sender::~Sender() = default;

std::vector<std::pair<size_t, Failure>> Sender::submit(std::span<const Task* const> tasks) {
  std::vector<std::pair<size_t, Failure>> refused;
  Group group;
  for (size_t i = 0; i < tasks.size(); ++i)
    if (Failure f = add(*tasks[i], group)) refused.emplace_back(i, std::move(f));
  close(group, false);
  return refused;
}

Failure Sender::add(const Task& task, Group& group) {
  if (!task.program) return {ErrorCode::kInvalidArgument, "the task has no program"};
  const uint64_t program_bytes = task.program->bytes().size();
  if (program_bytes > limits_.program_bytes)
    return {ErrorCode::kLimitExceeded, "program of " + std::to_string(program_bytes) + " bytes; allowed at most " +
                                           std::to_string(limits_.program_bytes)};
  const uint64_t bindings_bytes = task.bindings.values.size() * sizeof(double);
  if (bindings_bytes > limits_.task_bytes)
    return {ErrorCode::kLimitExceeded, "bindings of " + std::to_string(bindings_bytes) + " bytes; allowed at most " +
                                           std::to_string(limits_.task_bytes)};
  pb::Task out;
  wire::put(task, limits_.inline_bytes, out);
  const uint64_t size = out.ByteSizeLong();
  if (size > limits_.message_bytes / 2)
    return {ErrorCode::kLimitExceeded,
            "task of " + std::to_string(size) + " bytes; allowed at most " + std::to_string(limits_.message_bytes / 2)};
  // From here on the task is sent, and the table of programs follows the server's.
  const bool large_program = program_bytes > limits_.chunk_bytes;
  const bool large_bindings = bindings_bytes > limits_.inline_bytes;
  if (large_bindings) close(group, true);
  if (!programs_.find(task.program->hash()) && !group.hashes.count(task.program->hash())) {
    if (large_program || group.program_bytes + program_bytes > std::min(kGroupBytes, limits_.program_bytes / 2))
      close(group, true);
    if (large_program) {
      put_large(*task.program);
      programs_.find(task.program->hash());
    } else {
      group.programs.push_back(task.program);
      group.hashes.insert(task.program->hash());
      group.program_bytes += program_bytes;
      group.bytes += program_bytes;
    }
  }
  if (large_bindings) put_bindings(task);
  group.message.mutable_submit()->add_tasks()->Swap(&out);
  group.bytes += size;
  if (group.bytes > kGroupBytes || large_bindings) close(group, false);  // nothing may follow
  return {};
}

void Sender::close(Group& group, bool more) {
  if (group.message.submit().tasks_size() == 0 && group.programs.empty()) return;
  for (const auto& p : group.programs) {
    pb::PutProgram* put = group.message.mutable_submit()->add_programs();
    set_hash(p->hash(), put->mutable_sha256());
    put->set_total(p->bytes().size());
    put->set_data(p->bytes().data(), p->bytes().size());
    programs_.put(p->hash(), true, p->bytes().size());
  }
  // The server looks up after the puts what it did not know before them, in the tasks' order.
  for (const auto& t : group.message.submit().tasks()) {
    if (group.programs.empty()) break;
    program::Hash hash;
    std::copy_n(t.program().begin(), hash.size(), reinterpret_cast<char*>(hash.data()));
    if (group.hashes.count(hash)) programs_.find(hash);
  }
  write_(group.message, more);
  group = Group();
}

bool Sender::put_large(const program::Program& program) {
  const auto bytes = program.bytes();
  pb::ClientMessage message;
  for (uint64_t at = 0; at < bytes.size(); at += limits_.chunk_bytes) {
    pb::PutProgram* put = message.mutable_put_program();
    set_hash(program.hash(), put->mutable_sha256());
    put->set_total(bytes.size());
    put->set_offset(at);
    put->set_data(bytes.data() + at, std::min<uint64_t>(limits_.chunk_bytes, bytes.size() - at));
    if (!write_(message, true)) return false;
  }
  programs_.put(program.hash(), true, bytes.size());
  return true;
}

bool Sender::put_bindings(const Task& task) {
  const auto* data = reinterpret_cast<const char*>(task.bindings.values.data());
  const uint64_t total = task.bindings.values.size() * sizeof(double);
  pb::ClientMessage message;
  for (uint64_t at = 0; at < total; at += limits_.chunk_bytes) {
    pb::ArrayChunk* chunk = message.mutable_chunk();
    chunk->set_task(task.id);
    chunk->set_array(pb::ArrayChunk::BINDINGS);
    chunk->set_total(total);
    chunk->set_offset(at);
    chunk->set_data(data + at, std::min<uint64_t>(limits_.chunk_bytes, total - at));
    if (!write_(message, true)) return false;
  }
  return true;
}

}  // namespace qfw::qpm
