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

}  // namespace

extern "C" {

int qpi_stream_open(qpi_mesh* mesh, const qpi_stream_attr* attr, qpi_stream** stream) {
  return guard([&] {
    need(stream, "stream") = nullptr;
    const auto a = read(attr, qpi_stream_attr QPI_STREAM_ATTR_INIT, "qpi_stream_attr");
    if (a.order != QPI_PARALLEL && a.order != QPI_SEQUENTIAL)
      throw qfw::Error(ErrorCode::kInvalidArgument, "qpi_stream_attr.order is " + std::to_string(a.order) +
                                                        "; allowed: 0 (parallel), 1 (sequential)");
    const auto order = a.order == QPI_PARALLEL ? qfw::qpm::Order::kParallel : qfw::qpm::Order::kSequential;
    auto& from = need(mesh, "mesh");
    auto made = from.context->stream(*from.mesh, order, a.completions ? a.completions->queue : nullptr);
    *stream = new qpi_stream{from.context, std::move(made), a.submit_timeout_ms};
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
    for (size_t i = 0; i < taken.size(); ++i)
      completions[i] = {taken[i]->id, taken[i]->context.take(), new qpi_result{std::move(taken[i]->results[0])}};
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
    auto& result = operation->results[0];
    filled.result = result.rows.empty() ? nullptr : new qpi_result{std::move(result)};
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
