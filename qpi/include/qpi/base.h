/* What every header of QPI shares. C99; also valid C++. */
#ifndef QPI_BASE_H
#define QPI_BASE_H

#include <stddef.h>
#include <stdint.h>

#include "qpi/errno.h"

#if defined(__GNUC__)
#define QPI_API __attribute__((visibility("default")))
#else
#define QPI_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Conventions:
 * - A function that can fail returns 0 (or a count) or a negative QPI_E*; qpi_last_error() then holds the text.
 * - Handles are opaque. Each has a _close function, which takes NULL; close what was opened last first.
 * - An attr struct is set to its INIT macro first; its `size` lets it grow in later versions. NULL means all defaults.
 * - Every function may be called from any thread; one handle may be used by many at once, except while it is closed.
 * - timeout_ms: milliseconds; 0 polls, negative waits without end.
 * - Qubit 0 is the least significant. Packed bits: bit i is bit i % 8 of byte i / 8. */

#define QPI_FOREVER (-1)

typedef struct qpi_context qpi_context;         /* context.h */
typedef struct qpi_device_list qpi_device_list; /* device.h */
typedef struct qpi_mesh qpi_mesh;               /* mesh.h */
typedef struct qpi_program qpi_program;         /* program.h */
typedef struct qpi_stream qpi_stream;           /* stream.h */
typedef struct qpi_cq qpi_cq;                   /* cq.h */
typedef struct qpi_eq qpi_eq;                   /* eq.h */
typedef struct qpi_pipeline qpi_pipeline;       /* tool.h */
typedef struct qpi_result qpi_result;           /* result.h */

/* A short text for an error number; never NULL. */
QPI_API const char* qpi_strerror(int error);

/* What the last failed call on this thread had to say: value found, value allowed, cause. Valid until the next call on
 * this thread; "" when none failed. */
QPI_API const char* qpi_last_error(void);

/* "0.1.0" */
QPI_API const char* qpi_version(void);

#ifdef __cplusplus
}
#endif

#endif
