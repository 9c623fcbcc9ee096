/* The task: a program, a matrix of bindings, and what is wanted of it. */
#ifndef QPI_TASK_H
#define QPI_TASK_H

#include "qpi/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum qpi_output { /* bits of qpi_task_attr.outputs */
                  QPI_COUNTS = 1,
                  QPI_MEMORY = 2,
                  QPI_PROBABILITIES = 4,
                  QPI_STATEVECTOR = 8,
                  QPI_EXPECTATIONS = 16,
                  QPI_GRADIENTS =
                      32 /* of the expectation values of `observables`, with respect to the program's parameters */
};

#define QPI_DEFAULT_SHOTS UINT64_MAX

/* coefficient * product of `letters[i]` ('X', 'Y' or 'Z') on `qubits[i]`; no letters: the identity. */
typedef struct qpi_pauli_term {
  double coefficient;
  const char* letters;
  const uint32_t* qubits;
} qpi_pauli_term;

typedef struct qpi_observable {
  const qpi_pauli_term* terms;
  size_t num_terms;
} qpi_observable;

typedef struct qpi_option {
  const char* name;
  const char* value;
} qpi_option;

/* Everything is copied at submission. */
typedef struct qpi_task_attr {
  size_t size;
  const qpi_program* program;
  const double* bindings; /* rows x columns, row by row; columns: the program's parameters */
  uint32_t rows;
  uint32_t columns;
  uint64_t shots;   /* samples per row; QPI_DEFAULT_SHOTS: 1024 where counts or memory are wanted, else 0 */
  uint32_t outputs; /* of enum qpi_output */
  const qpi_observable* observables;
  size_t num_observables;
  const uint32_t* qubits; /* that probabilities are wanted of, least significant first; none: all */
  size_t num_qubits;
  const uint64_t* seed;      /* NULL: drawn, and reported with the result */
  double deadline_s;         /* seconds from its arrival in the runtime; 0: none */
  int32_t priority;          /* higher first, among the tasks of one session */
  const qpi_option* options; /* the device's own */
  size_t num_options;
  void* context;                       /* comes back untouched with the completion */
  const uint32_t* gradient_parameters; /* indices of parameters, the columns of the gradients; none: all */
  size_t num_gradient_parameters;
  uint32_t ranks; /* that simulate each row together, at most qpi_device_info.max_ranks; 0: the device chooses */
} qpi_task_attr;
#define QPI_TASK_ATTR_INIT                                                                                           \
  {                                                                                                                  \
    sizeof(qpi_task_attr), NULL, NULL, 1, 0, QPI_DEFAULT_SHOTS, QPI_COUNTS, NULL, 0, NULL, 0, NULL, 0.0, 0, NULL, 0, \
        NULL, NULL, 0, 0                                                                                             \
  }

#ifdef __cplusplus
}
#endif

#endif
