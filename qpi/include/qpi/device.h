/* Devices: QPUs and simulators as an application sees them. */
#ifndef QPI_DEVICE_H
#define QPI_DEVICE_H

#include "qpi/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum qpi_device_status {
  QPI_DEVICE_ONLINE = 0,
  QPI_DEVICE_STARTING = 1,
  QPI_DEVICE_BUSY = 2,
  QPI_DEVICE_DRAINING = 3,
  QPI_DEVICE_FAULT = 4,
  QPI_DEVICE_OFFLINE = 5
};

typedef struct qpi_device_info {
  size_t size;
  const char* name;
  const char* provider;
  const char* description;
  const char* version;
  int simulator; /* 1: a simulator, 0: a QPU */
  int status;    /* enum qpi_device_status */
  const char* status_reason;
  uint32_t max_qubits;
  uint64_t max_shots;
  uint32_t max_rows;        /* of bindings in one task */
  uint32_t capacity;        /* tasks at once */
  uint32_t queued;          /* tasks waiting for it */
  const char* const* gates; /* names of the gate table, "unitary", "measure", "reset" */
  size_t num_gates;
  const char* const* outputs; /* "counts", "memory", ... */
  size_t num_outputs;
  const uint32_t* coupling; /* pairs of qubits; none: all to all */
  size_t num_coupling;      /* of pairs */
  uint32_t instances;       /* simulators that run for it now, processes or groups of ranks */
  uint32_t max_ranks;       /* that can simulate one task together */
  uint32_t threads;         /* that a rank computes with; 0: not known */
} qpi_device_info;

/* All devices as they are now. */
QPI_API int qpi_device_list_open(qpi_context* context, qpi_device_list** list);

/* How many devices the list has. */
QPI_API size_t qpi_device_list_count(const qpi_device_list* list);

/* One device of the list; NULL when there is no such index. Valid as long as the list. */
QPI_API const qpi_device_info* qpi_device_list_get(const qpi_device_list* list, size_t index);

/* Frees the list and all that its entries point at. */
QPI_API void qpi_device_list_close(qpi_device_list* list);

#ifdef __cplusplus
}
#endif

#endif
