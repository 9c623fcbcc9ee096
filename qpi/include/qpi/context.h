/* The context: one session with a runtime, in this process or behind a socket. */
#ifndef QPI_CONTEXT_H
#define QPI_CONTEXT_H

#include "qpi/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qpi_context_attr {
  size_t size;
  /* NULL: the run named by $QFW_ENDPOINT, $QFW_RUN_ID or $SLURM_JOB_ID, else the only live run of this user, else a
   * runtime inside this process. "embedded": that runtime. "unix:/path": a daemon's Runtime service. Else the path of
   * an endpoint.json. */
  const char* endpoint;
  int timeout_ms; /* for the daemon to answer */
  /* How long a lost daemon is waited for, before unfinished tasks fail with QPI_ECONNECTIONLOST; 0: not at all.
   * Negative: $QFW_RECONNECT (seconds), else 30 s while somebody holds the run's place and 3 s when nobody does. */
  int reconnect_ms;
} qpi_context_attr;
#define QPI_CONTEXT_ATTR_INIT \
  { sizeof(qpi_context_attr), NULL, 10000, -1 }

/* Opens a session. QPI_EUNAVAILABLE: nothing answers there. QPI_EINVAL: several runs are live. QPI_ETIMEOUT,
 * QPI_EPROTOCOL. */
QPI_API int qpi_connect(const qpi_context_attr* attr, qpi_context** context);

/* "embedded" or "unix:/path"; valid as long as the context. */
QPI_API const char* qpi_context_endpoint(const qpi_context* context);

/* How many tasks may be outstanding; beyond it a submission waits. */
QPI_API uint32_t qpi_context_window(const qpi_context* context);

/* Cancels what is outstanding in all streams and runs; each completes, as QPI_ECANCELLED unless it was done. */
QPI_API int qpi_context_cancel(qpi_context* context);

/* Cancels everything outstanding and wakes every waiting call with QPI_ECLOSED. Handles made of the context stay valid
 * until they are closed themselves, but every use of them says QPI_ECLOSED. */
QPI_API void qpi_context_close(qpi_context* context);

#ifdef __cplusplus
}
#endif

#endif
