/* The mesh: devices acted on together. Any of them may run a task, the first that is free; or all of them run it. */
#ifndef QPI_MESH_H
#define QPI_MESH_H

#include "qpi/base.h"
#include "qpi/task.h"

#ifdef __cplusplus
extern "C" {
#endif

enum qpi_kind { QPI_ANY = 0, QPI_SIMULATOR = 1, QPI_QPU = 2 };

enum qpi_mesh_mode {
  QPI_MESH_ANY = 0, /* a task goes to the first device that is free */
  QPI_MESH_ALL = 1  /* each device runs it; it completes once, with the results of all (qpi_result_of_device) */
};

typedef struct qpi_mesh_attr {
  size_t size;
  const char* const* devices; /* names; none: all that fit */
  size_t num_devices;
  int kind; /* enum qpi_kind */
  uint32_t min_qubits;
  int mode; /* enum qpi_mesh_mode */
} qpi_mesh_attr;
#define QPI_MESH_ATTR_INIT \
  { sizeof(qpi_mesh_attr), NULL, 0, QPI_ANY, 0, QPI_MESH_ANY }

/* Chooses devices. QPI_ENOTFOUND: a name that is not there or does not fit, or nothing fits; the text lists what there
 * is. */
QPI_API int qpi_mesh_open(qpi_context* context, const qpi_mesh_attr* attr, qpi_mesh** mesh);

/* Runs `count` tasks in one message and waits: results[i] belongs to tasks[i], whatever ends first; close each. Returns
 * 0, or the error of the first task that failed (every results[i] is set then too: ask qpi_result_error), or an error
 * of the call itself (every results[i] is NULL then). QPI_ETIMEOUT: the text names the tasks that were not done, all
 * are cancelled. */
QPI_API int qpi_mesh_run(qpi_mesh* mesh, const qpi_task_attr* tasks, size_t count, int timeout_ms,
                         qpi_result** results);

/* How many devices the mesh has. */
QPI_API size_t qpi_mesh_num_devices(const qpi_mesh* mesh);

/* The name of one of them; NULL: no such index. Valid as long as the mesh. */
QPI_API const char* qpi_mesh_device(const qpi_mesh* mesh, size_t index);

/* Cancels what a blocking call of it still runs. Its streams stay as they are. */
QPI_API void qpi_mesh_close(qpi_mesh* mesh);

#ifdef __cplusplus
}
#endif

#endif
