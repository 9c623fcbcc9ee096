/* Results, read by functions; arrays belong to the result. */
#ifndef QPI_RESULT_H
#define QPI_RESULT_H

#include "qpi/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Nanoseconds; the parts add up to total_ns. */
typedef struct qpi_timing {
  size_t size;
  uint64_t convert_ns;  /* the caller's object to a program */
  uint64_t tools_ns;    /* tool pipeline, both ways */
  uint64_t transfer_ns; /* to the runtime */
  uint64_t queue_ns;    /* waiting for a device */
  uint64_t dispatch_ns; /* bookkeeping of the runtime, hand-over to the device and back */
  uint64_t execute_ns;  /* on the device */
  uint64_t return_ns;   /* back to the caller's queue */
  uint64_t total_ns;
} qpi_timing;
#define QPI_TIMING_INIT \
  { sizeof(qpi_timing), 0, 0, 0, 0, 0, 0, 0, 0 }

/* How many rows it has: one per row of the bindings. */
QPI_API size_t qpi_result_rows(const qpi_result* result);

/* Samples per row. */
QPI_API uint64_t qpi_result_shots(const qpi_result* result);

/* Classical bits of a shot. */
QPI_API uint32_t qpi_result_bits(const qpi_result* result);

/* The seed that was used; the same task with it gives the same bits. */
QPI_API uint64_t qpi_result_seed(const qpi_result* result);

/* Name of the device that ran it. */
QPI_API const char* qpi_result_device(const qpi_result* result);

/* How it was simulated where the option method="auto" chose: "statevector", "stabilizer", "matrix_product_state"; else
 * "". */
QPI_API const char* qpi_result_method(const qpi_result* result);

/* Why that method was chosen; else "". */
QPI_API const char* qpi_result_method_reason(const qpi_result* result);

/* The calibration set in force; "" when unknown. */
QPI_API const char* qpi_result_calibration(const qpi_result* result);

/* Where the wall time went. */
QPI_API int qpi_result_timing(const qpi_result* result, qpi_timing* timing);

/* How many devices it is of: 1, or those of a mesh of the mode QPI_MESH_ALL. The functions below read the first's. */
QPI_API size_t qpi_result_devices(const qpi_result* result);

/* The result of one of them, in the order of the mesh: part of this one, never closed by itself; NULL: no such index.
 */
QPI_API const qpi_result* qpi_result_of_device(const qpi_result* result, size_t index);

/* 0, or the negative error of the whole task (then *message, when asked for, is its text). Of several devices: that of
 * the first that failed, and the text names all that did. */
QPI_API int qpi_result_error(const qpi_result* result, const char** message);
/* The same for one row. QPI_EINVAL: no such row. */
QPI_API int qpi_result_row_error(const qpi_result* result, size_t row, const char** message);

/* How many different outcomes were seen, or a negative error. */
QPI_API int64_t qpi_result_num_counts(const qpi_result* result, size_t row);
/* Outcome `index` (ascending) as text, highest bit left, into bits[0..size), and how often it was seen. `size` must be
 * at least qpi_result_bits() + 1: QPI_EINVAL. */
QPI_API int qpi_result_count(const qpi_result* result, size_t row, size_t index, char* bits, size_t size,
                             uint64_t* count);

/* Each points *data at the array, and returns its number of elements or a negative error. An output that was not asked
 * for has 0. */
QPI_API int64_t qpi_result_counts(const qpi_result* result, size_t row, const uint64_t** data);
/* Packed keys of the counts, qpi_result_row_bytes() each; the number is that of bytes. */
QPI_API int64_t qpi_result_count_keys(const qpi_result* result, size_t row, const uint8_t** data);
/* Packed shots in shot order, qpi_result_row_bytes() each; the number is that of bytes. */
QPI_API int64_t qpi_result_memory(const qpi_result* result, size_t row, const uint8_t** data);

/* Bytes of one packed shot or key. */
QPI_API size_t qpi_result_row_bytes(const qpi_result* result);

/* Probabilities: 2^k values, the first of the qubits asked for least significant. */
QPI_API int64_t qpi_result_probabilities(const qpi_result* result, size_t row, const double** data);
/* Amplitudes as pairs real, imaginary (the layout of C99's double complex); the number is that of amplitudes. */
QPI_API int64_t qpi_result_statevector(const qpi_result* result, size_t row, const double** data);

/* Expectation values, one per observable. */
QPI_API int64_t qpi_result_expectations(const qpi_result* result, size_t row, const double** data);
/* Derivatives of the expectation values: one line per observable, one column per gradient parameter, line by line. */
QPI_API int64_t qpi_result_gradients(const qpi_result* result, size_t row, const double** data);

/* Frees the result, its arrays and those of its other devices. */
QPI_API void qpi_result_close(qpi_result* result);

#ifdef __cplusplus
}
#endif

#endif
