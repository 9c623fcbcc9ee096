// C API: streams and completion queues.
#include "qpi/native/capi.h"

using namespace qfw::qpi;
using namespace qfw::qpi::capi;
using qfw::ErrorCode;

namespace {

Request request_from(const qpi_task_attr& attr) {
  Request request;
  request.tasks.push_back(task_from(attr));
  request.context = UserContext(attr.context);
  return request;
}

std::shared_ptr<CompletionQueue> queue_of(const qpi_cq* cq) { return cq ? cq->queue : nullptr; }

qpi_stream* open_stream(const std::shared_ptr<Context>& context, std::shared_ptr<Mesh> mesh,
                        const qpi_stream_attr* attr) {
  const auto a = read(attr, qpi_stream_attr QPI_STREAM_ATTR_INIT, "qpi_stream_attr");
  if (a.order != QPI_PARALLEL && a.order != QPI_SEQUENTIAL)
    throw qfw::Error(ErrorCode::kInvalidArgument,
                     "qpi_stream_attr.order is " + std::to_string(a.order) + "; allowed: 0 (parallel), 1 (sequential)");
  const auto order = a.order == QPI_PARALLEL ? qfw::qpm::Order::kParallel : qfw::qpm::Order::kSequential;
  const Queues queues{queue_of(a.completions), queue_of(a.queries), queue_of(a.barriers), queue_of(a.errors)};
  auto made = context->stream(*mesh, order, queues, a.pipeline ? a.pipeline->pipeline : nullptr);
  return new qpi_stream{context, std::move(mesh), std::move(made), a.submit_timeout_ms};
}

// A device of the stream by name; none: all of them.
std::vector<qfw::qpm::DeviceId> devices_named(const qpi_stream& stream, const char* name) {
  if (!name) return {};
  std::string known;
  for (const auto& device : stream.mesh->devices()) {
    if (device.name() == name) return {device.id()};
    known += (known.empty() ? "" : ", ") + device.name();
  }
  throw qfw::Error(ErrorCode::kInvalidArgument,
                   "the device \"" + std::string(name) + "\" is not of this stream, which has: " + known);
}

qpi_completion completion_of(Operation& operation) {
  qpi_completion made = {operation.id, operation.context.take(), static_cast<int>(operation.kind), nullptr, nullptr};
  if (operation.kind == Kind::kQuery) made.devices = list_of(std::move(operation.devices));
  if (!operation.results.empty()) made.result = result_of(operation.results, 0, 1, {});
  return made;
}

}  // namespace

extern "C" {

int qpi_stream_open(qpi_mesh* mesh, const qpi_stream_attr* attr, qpi_stream** stream) {
  return guard([&] {
    need(stream, "stream") = nullptr;
    auto& from = need(mesh, "mesh");
    *stream = open_stream(from.context, from.mesh, attr);
    return 0;
  });
}

int qpi_stream_open_device(qpi_context* context, const char* device, const qpi_stream_attr* attr, qpi_stream** stream) {
  return guard([&] {
    need(stream, "stream") = nullptr;
    auto& from = need(context, "context").context;
    *stream = open_stream(from, from->mesh({{&need(device, "device")}, {}, 0, false}), attr);
    return 0;
  });
}

int qpi_stream_submit(qpi_stream* stream, const qpi_task_attr* task, uint64_t* id) {
  return guard([&] {
    auto& to = need(stream, "stream");
    need(task, "task");
    const auto attr = read(task, qpi_task_attr QPI_TASK_ATTR_INIT, "qpi_task_attr");
    const auto given =
        to.stream->submit(task_from(attr), UserContext(attr.context), Deadline::after_ms(to.submit_timeout_ms));
    if (id) *id = given;
    return 0;
  });
}

int64_t qpi_stream_submit_many(qpi_stream* stream, const qpi_task_attr* tasks, size_t count, uint64_t* ids) {
  return guard([&]() -> int64_t {
    auto& to = need(stream, "stream");
    std::vector<Request> requests;
    requests.reserve(count);
    for (const auto& attr : read_tasks(tasks, count)) requests.push_back(request_from(attr));
    const auto given = to.stream->submit_many(requests, Deadline::after_ms(to.submit_timeout_ms));
    if (ids) std::copy(given.begin(), given.end(), ids);
    return static_cast<int64_t>(given.size());
  });
}

int qpi_stream_query(qpi_stream* stream, const char* device, void* context, uint64_t* id) {
  return guard([&] {
    auto& to = need(stream, "stream");
    const auto given =
        to.stream->query(devices_named(to, device), UserContext(context), Deadline::after_ms(to.submit_timeout_ms));
    if (id) *id = given;
    return 0;
  });
}

int qpi_stream_barrier(qpi_stream* stream, void* context, uint64_t* id) {
  return guard([&] {
    auto& to = need(stream, "stream");
    const auto given = to.stream->barrier(UserContext(context), Deadline::after_ms(to.submit_timeout_ms));
    if (id) *id = given;
    return 0;
  });
}

int qpi_stream_cancel(qpi_stream* stream, uint64_t id) {
  return guard([&] {
    need(stream, "stream").stream->cancel(id);
    return 0;
  });
}

int qpi_stream_cancel_all(qpi_stream* stream) {
  return guard([&] {
    need(stream, "stream").stream->cancel_all();
    return 0;
  });
}

int qpi_stream_wait(qpi_stream* stream, int timeout_ms) {
  return guard([&] {
    if (need(stream, "stream").stream->wait(Deadline::after_ms(timeout_ms))) return 0;
    return fail(QPI_ETIMEOUT,
                "the stream still had operations outstanding after " + std::to_string(timeout_ms) + " ms");
  });
}

void qpi_stream_close(qpi_stream* stream) { delete stream; }

int qpi_cq_open(qpi_context* context, const qpi_cq_attr* attr, qpi_cq** cq) {
  return guard([&] {
    need(cq, "cq") = nullptr;
    const auto a = read(attr, qpi_cq_attr QPI_CQ_ATTR_INIT, "qpi_cq_attr");
    auto made = std::make_unique<qpi_cq>();
    made->context = need(context, "context").context;
    made->queue = made->context->completion_queue(a.capacity);
    *cq = made.release();
    return 0;
  });
}

int64_t qpi_cq_read(qpi_cq* cq, qpi_completion* completions, size_t count, int timeout_ms) {
  return guard([&]() -> int64_t {
    auto& queue = *need(cq, "cq").queue;
    need(completions, "completions");
    if (count == 0)
      throw qfw::Error(ErrorCode::kInvalidArgument, "count is 0; room for at least 1 completion is needed");
    std::vector<OperationPtr> taken;
    switch (queue.read(taken, count, 1, Deadline::after_ms(timeout_ms))) {
      case ReadStatus::kError:
        return QPI_EAVAIL;
      case ReadStatus::kTimeout:
        return fail(QPI_ETIMEOUT, "no completion after " + std::to_string(timeout_ms) + " ms; " +
                                      std::to_string(queue.outstanding()) + " operations are outstanding");
      case ReadStatus::kEmpty:
      case ReadStatus::kSignalled:
        return QPI_EAGAIN;
      case ReadStatus::kEntries:
        break;
    }
    size_t good = 0;
    while (good < taken.size() && reduce(*taken[good])) ++good;
    while (taken.size() > good) {  // a tool cannot reduce: an error now, and those behind it wait for it to be read
      queue.put_back(std::move(taken.back()));
      taken.pop_back();
    }
    if (good == 0) return QPI_EAVAIL;
    for (size_t i = 0; i < good; ++i) completions[i] = completion_of(*taken[i]);
    return static_cast<int64_t>(taken.size());
  });
}

int qpi_cq_readerr(qpi_cq* cq, qpi_error_entry* entry) {
  return guard([&] {
    auto& from = need(cq, "cq");
    qpi_error_entry filled = read(&need(entry, "entry"), qpi_error_entry QPI_ERROR_ENTRY_INIT, "qpi_error_entry");
    const size_t size = std::min(entry->size, sizeof filled);
    const auto operation = from.queue->read_error();
    if (!operation) return static_cast<int>(QPI_EAGAIN);
    const auto& failure = operation->failure();
    std::lock_guard lock(from.mutex);
    from.message = failure.message;
    filled.id = operation->id;
    filled.context = operation->context.take();
    filled.error = code_of(failure.code);
    filled.transient = failure.transient;
    filled.retry_after_s = failure.retry_after_s;
    filled.message = from.message.c_str();
    filled.kind = static_cast<int>(operation->kind);
    auto& results = operation->results;
    const bool any = std::any_of(results.begin(), results.end(), [](const auto& r) { return !r.rows.empty(); });
    filled.result = any ? result_of(results, 0, 1, failure) : nullptr;
    std::memcpy(entry, &filled, size);
    return 0;
  });
}

int qpi_cq_wait(qpi_cq* cq, int timeout_ms) {
  return guard([&] {
    auto& queue = *need(cq, "cq").queue;
    const uint64_t signals = queue.signals();
    if (queue.wait(Deadline::after_ms(timeout_ms))) return 0;
    if (queue.signals() != signals) return static_cast<int>(QPI_EAGAIN);
    return fail(QPI_ETIMEOUT, "no completion after " + std::to_string(timeout_ms) + " ms");
  });
}

void qpi_cq_signal(qpi_cq* cq) {
  if (cq) cq->queue->signal();
}

int qpi_cq_fd(qpi_cq* cq) {
  return guard([&] { return need(cq, "cq").queue->fd(); });
}

size_t qpi_cq_count(const qpi_cq* cq) { return cq ? cq->queue->size() : 0; }

size_t qpi_cq_outstanding(const qpi_cq* cq) { return cq ? cq->queue->outstanding() : 0; }

void qpi_cq_close(qpi_cq* cq) {
  if (cq) cq->queue->close();
  delete cq;
}

}  // extern "C"
