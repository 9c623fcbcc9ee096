/* Error numbers of QPI: those of qpm/api/v1/errors.proto, negated. */
#ifndef QPI_ERRNO_H
#define QPI_ERRNO_H

enum qpi_errno {
  QPI_SUCCESS = 0,
  QPI_EINVAL = -1,       /* a value outside what is allowed */
  QPI_EPROGRAM = -2,     /* program bytes that do not decode or validate */
  QPI_EPARSE = -3,       /* program text that does not parse */
  QPI_EGATE = -4,        /* unknown gate */
  QPI_EUNSUPPORTED = -5, /* valid, but this device or build cannot do it */
  QPI_ENOTFOUND = -6,    /* no such device, stream, task */
  QPI_ERESOURCE = -7,    /* memory, queue or credit exhausted */
  QPI_ELIMIT = -8,       /* above a configured limit */
  QPI_EDEADLINE = -9,    /* the task's deadline passed */
  QPI_ECANCELLED = -10,
  QPI_EDEVICE = -11,         /* the device refused or failed */
  QPI_EDEVICELOST = -12,     /* the device's process died */
  QPI_ECONNECTIONLOST = -13, /* the daemon went away */
  QPI_EUNAVAILABLE = -14,    /* no daemon, or not ready */
  QPI_EPERM = -15,
  QPI_EPROTOCOL = -16, /* a peer broke the wire contract */
  QPI_EINTERNAL = -17, /* a defect of qfw */
  QPI_ETIMEOUT = -18,  /* the wait ran out; the work goes on */
  QPI_ECLOSED = -19,   /* used after close */
  QPI_EAGAIN = -64,    /* C only: the queue is empty */
  QPI_EAVAIL = -65     /* C only: the next entry is an error, read it with qpi_cq_readerr */
};

#endif
