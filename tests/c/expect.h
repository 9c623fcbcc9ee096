/* Counts what does not hold, and says where. */
#ifndef QFW_TESTS_C_EXPECT_H
#define QFW_TESTS_C_EXPECT_H

#include <qpi/qpi.h>
#include <stdio.h>

static int failures = 0;

#define EXPECT(condition)                                                                                \
  do {                                                                                                   \
    if (!(condition)) {                                                                                  \
      ++failures;                                                                                        \
      fprintf(stderr, "%s:%d: %s (last error: %s)\n", __FILE__, __LINE__, #condition, qpi_last_error()); \
    }                                                                                                    \
  } while (0)

#endif
