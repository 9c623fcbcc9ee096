/* The event queue: what devices and the system have to say, apart from tasks. */
#ifndef QPI_EQ_H
#define QPI_EQ_H

#include "qpi/base.h"
#include "qpi/device.h"

#ifdef __cplusplus
extern "C" {
#endif

enum qpi_event_kind { /* bits of qpi_eq_attr.kinds */
                      QPI_EVENT_STATUS = 1,
                      QPI_EVENT_FAULT = 2,       /* a device failed or went away */
                      QPI_EVENT_DRAIN = 4,       /* a device or the runtime takes nothing new */
                      QPI_EVENT_CALIBRATION = 8, /* a new calibration set is in force */
                      QPI_EVENT_NOISE = 16,      /* noise figures changed */
                      QPI_EVENT_ALL = 31
};

enum qpi_severity { QPI_INFO = 0, QPI_WARNING = 1, QPI_ERROR = 2 };

typedef struct qpi_eq_attr {
  size_t size;
  const char* const* devices; /* names; none: all, and what concerns the runtime as a whole, which every queue gets */
  size_t num_devices;
  uint32_t kinds;  /* of enum qpi_event_kind */
  size_t capacity; /* of events that are not read in time the oldest are dropped, and counted */
} qpi_eq_attr;
#define QPI_EQ_ATTR_INIT \
  { sizeof(qpi_eq_attr), NULL, 0, QPI_EVENT_ALL, 4096 }

typedef struct qpi_event_value {
  const char* name; /* the provider's own */
  double value;     /* in SI units */
} qpi_event_value;

typedef struct qpi_event {
  size_t size;
  int kind;           /* enum qpi_event_kind */
  uint64_t lost;      /* how many events of this queue were dropped just before this one, unread */
  uint64_t sequence;  /* of the runtime, rising */
  double time_s;      /* seconds since the epoch */
  const char* device; /* "": the runtime as a whole */
  int status;         /* enum qpi_device_status, of the device after the event */
  int severity;       /* enum qpi_severity */
  const char* message;
  const char* calibration_set; /* of a calibration: its id */
  const qpi_event_value* values;
  size_t num_values;
  void* owner; /* of the strings and values: qpi_event_clear */
} qpi_event;
#define QPI_EVENT_INIT \
  { sizeof(qpi_event), 0, 0, 0, 0.0, NULL, 0, 0, NULL, NULL, NULL, 0, NULL }

/* A queue for the events of devices; any number of queues may listen, each to its own. Where there is no queue, no
 * event is kept. QPI_ENOTFOUND: no such device. QPI_EUNSUPPORTED: the runtime has no events. */
QPI_API int qpi_eq_open(qpi_context* context, const qpi_eq_attr* attr, qpi_eq** eq);

/* Waits for the first event, then takes up to `count`, each to be cleared. Set `events[0].size` (QPI_EVENT_INIT): the
 * structs are that far apart. Returns how many; QPI_EAGAIN: none there, of a poll; QPI_ETIMEOUT; QPI_ECLOSED. */
QPI_API int64_t qpi_eq_read(qpi_eq* eq, qpi_event* events, size_t count, int timeout_ms);

/* Frees what an event points at. */
QPI_API void qpi_event_clear(qpi_event* event);

/* A descriptor that polls readable exactly while events are there or the queue is closed; the queue's own. */
QPI_API int qpi_eq_fd(qpi_eq* eq);

/* Events there. */
QPI_API size_t qpi_eq_count(const qpi_eq* eq);

/* Unread events are dropped. */
QPI_API void qpi_eq_close(qpi_eq* eq);

#ifdef __cplusplus
}
#endif

#endif
