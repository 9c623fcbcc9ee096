// What the files of the C API share: handles, the error guard, attributes. They only check pointers, convert and catch.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "program/native/builder.h"
#include "qpi/include/qpi/qpi.h"
#include "qpi/native/context.h"

struct qpi_context {
  std::shared_ptr<qfw::qpi::Context> context;
};

struct qpi_mesh {
  std::shared_ptr<qfw::qpi::Context> context;
  std::shared_ptr<qfw::qpi::Mesh> mesh;
};

struct qpi_stream {
  std::shared_ptr<qfw::qpi::Context> context;
  std::shared_ptr<qfw::qpi::Mesh> mesh;
  std::unique_ptr<qfw::qpi::Stream> stream;
  int submit_timeout_ms;
};

struct qpi_cq {
  std::shared_ptr<qfw::qpi::Context> context;
  std::shared_ptr<qfw::qpi::CompletionQueue> queue;
  std::mutex mutex;
  std::string message;  // of the last error entry
};

struct qpi_result {
  qfw::qpm::Result result;
  std::vector<qpi_result> others;  // of the second device on, from a mesh that takes all
  qfw::qpm::Failure whole;         // then: names the devices that failed
};

struct qpi_device_list;

struct qpi_pipeline {
  std::shared_ptr<qfw::qpi::Pipeline> pipeline;
};

struct qpi_program {
  mutable std::mutex mutex;
  std::optional<qfw::program::ProgramBuilder> builder;  // none: decoded, and thus finished
  qfw::program::ProgramPtr finished;                    // of the builder as it is now
  uint32_t num_qubits = 0;
  uint32_t num_bits = 0;

  qfw::program::ProgramPtr program();  // finishes when something was added
};

namespace qfw::qpi::capi {

// Remembers the text for qpi_last_error() and returns the number.
int fail(int error, const std::string& message) noexcept;
int fail(const qpm::Failure& failure) noexcept;

inline int code_of(ErrorCode code) noexcept { return -static_cast<int>(code); }

// Runs `body`, which returns a count or 0; what it throws becomes a negative number.
template <class Body>
auto guard(Body&& body) noexcept -> decltype(body()) {
  try {
    return body();
  } catch (const Error& e) {
    return fail(code_of(e.code()), e.what());
  } catch (const std::bad_alloc&) {
    return fail(QPI_ERESOURCE, "out of memory");
  } catch (const std::exception& e) {
    return fail(QPI_EINTERNAL, e.what());
  }
}

// Refuses NULL where something is needed.
template <class T>
T& need(T* pointer, const char* name) {
  if (!pointer) throw Error(ErrorCode::kInvalidArgument, std::string(name) + " is NULL");
  return *pointer;
}

template <class T>
std::span<const T> array(const T* data, size_t count, const char* name) {
  if (count > 0) need(data, name);
  return {data, count};
}

inline std::string text(const char* given) { return given ? given : ""; }

// An attr struct as this build knows it: what the caller's (perhaps older, shorter) struct has over the defaults.
template <class Attr>
Attr read(const Attr* given, const Attr& defaults, const char* name) {
  Attr attr = defaults;
  if (!given) return attr;
  if (given->size < sizeof(size_t) * 2 || given->size > 4096)
    throw Error(ErrorCode::kInvalidArgument, std::string(name) + ".size is " + std::to_string(given->size) +
                                                 "; set the struct to its INIT macro first");
  std::memcpy(&attr, given, std::min(given->size, sizeof(Attr)));
  return attr;
}

qpi_device_list* list_of(std::vector<qpm::DeviceInfo>&& devices);
// results[first], results[first + step], ... are those of the devices of a mesh.
qpi_result* result_of(std::vector<qpm::Result>& results, size_t first, size_t step, const qpm::Failure& whole);

Task task_from(const qpi_task_attr& attr);
// `count` structs as far apart as the first says it is large.
std::vector<qpi_task_attr> read_tasks(const qpi_task_attr* tasks, size_t count);

}  // namespace qfw::qpi::capi
