/* QPI: quantum processors and simulators as accelerators of a C program. docs/c-api.md */
#ifndef QPI_QPI_H
#define QPI_QPI_H

#include "qpi/base.h"
#include "qpi/context.h"
#include "qpi/cq.h"
#include "qpi/device.h"
#include "qpi/eq.h"
#include "qpi/errno.h"
#include "qpi/gates.h"
#include "qpi/mesh.h"
#include "qpi/program.h"
#include "qpi/result.h"
#include "qpi/stream.h"
#include "qpi/task.h"
#include "qpi/tool.h"

#endif
