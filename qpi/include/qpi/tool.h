/* Tools written in C, and pipelines of them: a tool maps one task to one or more tasks, and their results back to one.
 */
#ifndef QPI_TOOL_H
#define QPI_TOOL_H

#include "qpi/base.h"
#include "qpi/device.h"
#include "qpi/result.h"
#include "qpi/task.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a tool makes of a task. */
typedef struct qpi_expansion qpi_expansion;

/* Its functions may be called from any thread, and by several at once. They return 0, or a negative error, best by
 * `return qpi_fail(...)`: the submission then fails with it (expand), or the operation does (reduce). */
typedef struct qpi_tool {
  size_t size;
  const char* name;
  void* self; /* given to each call; it must live as long as the pipelines with the tool, and their streams */
  /* Adds the tasks to run in place of `task`, at least one, to `out` (qpi_expansion_add). `device`: the one they are
   * for; NULL: any of several. What *state is set to comes back to the other two. */
  int (*expand)(void* self, const qpi_task_attr* task, const qpi_device_info* device, qpi_expansion* out, void** state);
  /* Makes `out` of the results of the tasks that were added, in their order; none of them failed. `out` begins as a
   * copy of the first. */
  int (*reduce)(void* self, void* state, const qpi_result* const* results, size_t count, qpi_result* out);
  /* The state is not needed any more, whether it was reduced or not; may be NULL. */
  void (*drop)(void* self, void* state);
} qpi_tool;
#define QPI_TOOL_INIT \
  { sizeof(qpi_tool), NULL, NULL, NULL, NULL, NULL }

/* Adds one of the tasks to run. Everything is copied. */
QPI_API int qpi_expansion_add(qpi_expansion* out, const qpi_task_attr* task);

/* Remembers `message` for qpi_last_error and returns `error`: how a tool says what went wrong. */
QPI_API int qpi_fail(int error, const char* message);

/* Tools one after another: each task that the first makes goes to the second, and so on; the results come back in
 * reverse. A stream takes it (qpi_stream_attr.pipeline). The tools are copied. */
QPI_API int qpi_pipeline_open(qpi_context* context, const qpi_tool* const* tools, size_t count,
                              qpi_pipeline** pipeline);

/* Streams that have it keep it. */
QPI_API void qpi_pipeline_close(qpi_pipeline* pipeline);

/* For reduce: how many rows the result has; new ones are empty. */
QPI_API int qpi_result_set_rows(qpi_result* result, size_t rows);

/* For reduce: the counts of a row, as `count` pairs of an outcome (qpi_result_bits() characters, highest bit left, each
 * once) and how often it was seen. */
QPI_API int qpi_result_set_counts(qpi_result* result, size_t row, const char* const* outcomes, const uint64_t* seen,
                                  size_t count);

/* For reduce: the expectation values of a row. */
QPI_API int qpi_result_set_expectations(qpi_result* result, size_t row, const double* values, size_t count);

/* For reduce: the probabilities of a row. */
QPI_API int qpi_result_set_probabilities(qpi_result* result, size_t row, const double* values, size_t count);

#ifdef __cplusplus
}
#endif

#endif
