/* The q-stream: an ordered or parallel sequence of operations (tasks, queries, barriers) on a mesh or a device. */
#ifndef QPI_STREAM_H
#define QPI_STREAM_H

#include "qpi/base.h"
#include "qpi/cq.h"
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
  int order;              /* enum qpi_order */
  qpi_cq* completions;    /* NULL: they are dropped as they come */
  int submit_timeout_ms;  /* how long a submission may wait for the session's window */
  qpi_cq* queries;        /* NULL: they complete in `completions` */
  qpi_cq* barriers;       /* NULL: they complete in `completions` */
  qpi_cq* errors;         /* of every kind; NULL: they stay in the queue of their kind */
  qpi_pipeline* pipeline; /* tools that every task goes through; NULL: none */
} qpi_stream_attr;
#define QPI_STREAM_ATTR_INIT \
  { sizeof(qpi_stream_attr), QPI_PARALLEL, NULL, QPI_FOREVER, NULL, NULL, NULL, NULL }

/* A stream on a mesh. QPI_EINVAL: unknown order. */
QPI_API int qpi_stream_open(qpi_mesh* mesh, const qpi_stream_attr* attr, qpi_stream** stream);

/* A stream on one device, by name. QPI_ENOTFOUND: there is none; the text lists what there is. */
QPI_API int qpi_stream_open_device(qpi_context* context, const char* device, const qpi_stream_attr* attr,
                                   qpi_stream** stream);

/* Hands a task in; *id, when asked for, is unique in the context. QPI_EINVAL: the task is wrong in itself.
 * QPI_ERESOURCE: no room in the window in time, or the completion queue is full. What a device finds wrong comes as the
 * task's completion. */
QPI_API int qpi_stream_submit(qpi_stream* stream, const qpi_task_attr* task, uint64_t* id);

/* Many tasks in one message. Returns how many, the first ones, were handed in: fewer than `count` when the window
 * stayed full. Checks all of them before it submits any. */
QPI_API int64_t qpi_stream_submit_many(qpi_stream* stream, const qpi_task_attr* tasks, size_t count, uint64_t* ids);

/* Asks what a device of the stream (NULL: all of them) is like; the completion has the list. In a parallel stream that
 * is at once, in a sequential one when all before it has ended. `context` comes back untouched. */
QPI_API int qpi_stream_query(qpi_stream* stream, const char* device, void* context, uint64_t* id);

/* An operation that completes when everything submitted to the stream before has; what comes after waits until then. */
QPI_API int qpi_stream_barrier(qpi_stream* stream, void* context, uint64_t* id);

/* The operation still completes: as QPI_ECANCELLED, unless it was done. QPI_ENOTFOUND: it is not outstanding. */
QPI_API int qpi_stream_cancel(qpi_stream* stream, uint64_t id);

/* The same for all that is outstanding in the stream. */
QPI_API int qpi_stream_cancel_all(qpi_stream* stream);

/* Until nothing is outstanding. QPI_ETIMEOUT. */
QPI_API int qpi_stream_wait(qpi_stream* stream, int timeout_ms);

/* Cancels what is unfinished. */
QPI_API void qpi_stream_close(qpi_stream* stream);

#ifdef __cplusplus
}
#endif

#endif
