/* The q-stream: an ordered or parallel sequence of tasks on a mesh. */
#ifndef QPI_STREAM_H
#define QPI_STREAM_H

#include "qpi/base.h"
#include "qpi/task.h"

#ifdef __cplusplus
extern "C" {
#endif

enum qpi_order {
  QPI_PARALLEL = 0,
  QPI_SEQUENTIAL = 1 /* a task starts when the one before it has ended; completions come in order */
};

typedef struct qpi_stream_attr {
  size_t size;
  int order;             /* enum qpi_order */
  qpi_cq* completions;   /* NULL: they are dropped as they come */
  int submit_timeout_ms; /* how long a submission may wait for the session's window */
} qpi_stream_attr;
#define QPI_STREAM_ATTR_INIT \
  { sizeof(qpi_stream_attr), QPI_PARALLEL, NULL, QPI_FOREVER }

QPI_API int qpi_stream_open(qpi_mesh* mesh, const qpi_stream_attr* attr, qpi_stream** stream);

/* Hands a task in; *id, when asked for, is unique in the context. QPI_EINVAL: the task is wrong in itself.
 * QPI_ERESOURCE: no room in the window in time, or the completion queue is full. What a device finds wrong comes as the
 * task's completion. */
QPI_API int qpi_stream_submit(qpi_stream* stream, const qpi_task_attr* task, uint64_t* id);

/* Many tasks in one message. Returns how many, the first ones, were handed in: fewer than `count` when the window
 * stayed full. Checks all of them before it submits any. */
QPI_API int64_t qpi_stream_submit_many(qpi_stream* stream, const qpi_task_attr* tasks, size_t count, uint64_t* ids);

/* The task still completes: as QPI_ECANCELLED, unless it was done. QPI_ENOTFOUND: it is not outstanding. */
QPI_API int qpi_stream_cancel(qpi_stream* stream, uint64_t id);
QPI_API int qpi_stream_cancel_all(qpi_stream* stream);

/* Until nothing is outstanding. QPI_ETIMEOUT. */
QPI_API int qpi_stream_wait(qpi_stream* stream, int timeout_ms);

/* Cancels what is unfinished. */
QPI_API void qpi_stream_close(qpi_stream* stream);

#ifdef __cplusplus
}
#endif

#endif
