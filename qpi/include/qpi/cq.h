/* The completion queue. Reads never mix success and error. */
#ifndef QPI_CQ_H
#define QPI_CQ_H

#include "qpi/base.h"
#include "qpi/device.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qpi_cq_attr {
  size_t size;
  size_t capacity; /* bounds operations outstanding plus entries unread */
} qpi_cq_attr;
#define QPI_CQ_ATTR_INIT \
  { sizeof(qpi_cq_attr), (size_t)1 << 20 }

enum qpi_operation { QPI_TASK = 0, QPI_QUERY = 1, QPI_BARRIER = 2 };

typedef struct qpi_completion {
  uint64_t id;              /* what the submission gave */
  void* context;            /* the operation's own */
  int kind;                 /* enum qpi_operation */
  qpi_result* result;       /* of a task: the caller's, to be closed */
  qpi_device_list* devices; /* of a query: the caller's, to be closed */
} qpi_completion;

typedef struct qpi_error_entry {
  size_t size;
  uint64_t id;
  void* context;
  int error;            /* negative QPI_E* */
  int transient;        /* 1: trying again can help */
  double retry_after_s; /* when; 0: unknown */
  const char* message;  /* in the device's own words where it is the device's; valid until the next qpi_cq_readerr */
  qpi_result* result; /* what there is of it, rows that went well among it; NULL: nothing. The caller's, to be closed */
  int kind;           /* enum qpi_operation */
} qpi_error_entry;
#define QPI_ERROR_ENTRY_INIT \
  { sizeof(qpi_error_entry), 0, NULL, 0, 0, 0.0, NULL, NULL, QPI_TASK }

/* A queue for the completions of any number of streams. */
QPI_API int qpi_cq_open(qpi_context* context, const qpi_cq_attr* attr, qpi_cq** cq);

/* Takes up to `count` successes; waits until there is at least one. Returns how many; QPI_EAVAIL: the head is an error;
 * QPI_EAGAIN: nothing there (a poll, or qpi_cq_signal was called); QPI_ETIMEOUT; QPI_ECLOSED: closed and empty. */
QPI_API int64_t qpi_cq_read(qpi_cq* cq, qpi_completion* completions, size_t count, int timeout_ms);

/* Takes the error at the head. QPI_EAGAIN: the head is none. */
QPI_API int qpi_cq_readerr(qpi_cq* cq, qpi_error_entry* entry);

/* Until an entry is there: 0. QPI_ETIMEOUT; QPI_EAGAIN: qpi_cq_signal was called; QPI_ECLOSED. */
QPI_API int qpi_cq_wait(qpi_cq* cq, int timeout_ms);

/* Wakes every call that waits for this queue. */
QPI_API void qpi_cq_signal(qpi_cq* cq);

/* A descriptor that polls readable exactly while entries are there or the queue is closed; the queue's own. */
QPI_API int qpi_cq_fd(qpi_cq* cq);

/* Entries there. */
QPI_API size_t qpi_cq_count(const qpi_cq* cq);

/* Operations whose entry is still to come. */
QPI_API size_t qpi_cq_outstanding(const qpi_cq* cq);

/* Close the streams of the queue first. Unread entries are dropped. */
QPI_API void qpi_cq_close(qpi_cq* cq);

#ifdef __cplusplus
}
#endif

#endif
