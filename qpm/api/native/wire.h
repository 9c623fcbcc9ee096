// Between the wire contract (qpm/api/v1/*.proto) and the native types. Nothing here throws on what a peer sent: what
// is malformed comes back as a Failure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "qpm/api/native/device_info.h"
#include "qpm/api/native/event.h"
#include "qpm/api/native/job_info.h"
#include "qpm/api/native/result.h"
#include "qpm/api/native/task.h"

namespace qfw::qpm::api::v1 {
class ArrayChunk;
class Completion;
class Device;
class Event;
class Failure;
class Job;
class Result;
class Row;
class Task;
}  // namespace qfw::qpm::api::v1

namespace qfw::qpm::wire {

namespace pb = qfw::qpm::api::v1;

constexpr uint32_t kProtocol = 1;

// The limits of this build, which a server announces and a client keeps to.
struct Limits {
  uint64_t message_bytes = 64ull << 20;
  uint64_t inline_bytes = 256ull << 10;
  uint64_t chunk_bytes = 1ull << 20;
  uint64_t program_bytes = 64ull << 20;
  uint64_t task_bytes = 1ull << 30;
  uint64_t outbox_bytes = 256ull << 20;  // of results that a client has not taken: above, its session pauses
};

void put(const qpm::Failure& failure, pb::Failure& out);
qpm::Failure take(const pb::Failure& failure);

void put(const DeviceInfo& info, pb::Device& out);
DeviceInfo take(const pb::Device& device);

void put(const Event& event, pb::Event& out);
Event take(const pb::Event& event);

void put(const JobInfo& job, pb::Job& out);
JobInfo take(const pb::Job& job);

// Everything but the program, which travels by its hash; bindings above `inline_bytes` are left for chunks.
void put(const qpm::Task& task, uint64_t inline_bytes, pb::Task& out);
// All but the program. Failure: kInvalidArgument with what is malformed.
qpm::Failure take(const pb::Task& task, qpm::Task& out);

// A result without its rows. `arrived_ns`: when the task arrived, by the server's clock.
void put(const qpm::Result& result, uint64_t arrived_ns, pb::Result& out);
void take(const pb::Result& result, qpm::Result& out, uint64_t& arrived_ns);

// Arrays above `inline_bytes` are left out, for chunks. take() adds to a row that may hold arrays from chunks already.
void put(const RowResult& row, uint64_t inline_bytes, pb::Row& out);
qpm::Failure take(const pb::Row& row, RowResult& out);
uint64_t inline_size(const RowResult& row, uint64_t inline_bytes) noexcept;

// One large array of a result, as it lies in memory.
struct Array {
  uint32_t row = 0;
  int which = 0;  // pb::ArrayChunk::Array
  const char* data = nullptr;
  uint64_t bytes = 0;
};
std::vector<Array> large_arrays(const std::vector<RowResult>& rows, uint64_t inline_bytes);

// Adds a piece of a result to its row. Failure: kProtocol (a gap, a wrong size), kResourceExhausted.
qpm::Failure take(const pb::ArrayChunk& chunk, RowResult& row);

}  // namespace qfw::qpm::wire
