/* Programs, built gate by gate. A program may be added to until it is closed; a task takes it as it is at submission.
 */
#ifndef QPI_PROGRAM_H
#define QPI_PROGRAM_H

#include "qpi/base.h"
#include "qpi/gates.h"

#ifdef __cplusplus
extern "C" {
#endif

/* offset + scale * value of a parameter, in radians. */
typedef struct qpi_angle {
  double offset;
  double scale;
  uint32_t parameter; /* QPI_NO_PARAMETER: a constant */
} qpi_angle;
#define QPI_NO_PARAMETER UINT32_MAX

/* An empty program of so many qubits and classical bits. QPI_ELIMIT. */
QPI_API int qpi_program_open(qpi_context* context, uint32_t num_qubits, uint32_t num_bits, qpi_program** program);

/* From the packed form (docs/program-format.md). QPI_EPROGRAM, QPI_EGATE, QPI_EUNSUPPORTED, QPI_ELIMIT. Such a program
 * cannot be added to: QPI_EUNSUPPORTED. */
QPI_API int qpi_program_decode(qpi_context* context, const void* bytes, size_t size, qpi_program** program);

/* From OpenQASM text. QPI_EUNSUPPORTED: reading text in C needs the Toolchain service, which this version lacks; build
 * the program gate by gate, or convert it with Python. */
QPI_API int qpi_program_load(qpi_context* context, const char* text, qpi_program** program);

/* A new parameter; returns its index, which is also its column in the bindings, or a negative error. name: "" or NULL:
 * none. */
QPI_API int64_t qpi_program_parameter(qpi_program* program, const char* name);

/* Names the bits first .. first + size - 1. */
QPI_API int qpi_program_register(qpi_program* program, const char* name, uint32_t first, uint32_t size);

/* A gate (enum qpi_gate) on as many qubits and with as many constant angles as its row in docs/gates.md says; NULL for
 * none. Controls come first in `qubits`. QPI_EGATE, QPI_EINVAL. */
QPI_API int qpi_program_gate(qpi_program* program, int gate, const uint32_t* qubits, const double* params);

/* The same with `controls` more controls, first in `qubits`, and angles that may depend on parameters. */
QPI_API int qpi_program_gate_with(qpi_program* program, int gate, uint16_t controls, const uint32_t* qubits,
                                  const qpi_angle* angles);

/* A 2x2 (one target) or 4x4 (two) matrix, row by row, each entry real, imaginary; `controls` controls first in
 * `qubits`, then the targets, least significant first. */
QPI_API int qpi_program_unitary(qpi_program* program, const double* matrix, size_t num_targets, uint16_t controls,
                                const uint32_t* qubits);

/* Measures a qubit into a classical bit. */
QPI_API int qpi_program_measure(qpi_program* program, uint32_t qubit, uint32_t bit);

/* Measures qubit i into bit i, for all qubits; needs at least as many bits. */
QPI_API int qpi_program_measure_all(qpi_program* program);

/* Puts a qubit into the state 0. */
QPI_API int qpi_program_reset(qpi_program* program, uint32_t qubit);

/* Nothing is moved over it. NULL: of all qubits. */
QPI_API int qpi_program_barrier(qpi_program* program, const uint32_t* qubits, size_t count);

/* Adds to the phase of the whole state. */
QPI_API int qpi_program_global_phase(qpi_program* program, double radians);

/* How many qubits a gate takes; QPI_EGATE. */
QPI_API int qpi_gate_qubits(int gate);

/* How many angles a gate takes; QPI_EGATE. */
QPI_API int qpi_gate_params(int gate);

/* The name of a gate, OpenQASM 3's; NULL: no such gate. */
QPI_API const char* qpi_gate_name(int gate);

/* The packed form as the program is now: *bytes is valid until the program is changed or closed. */
QPI_API int qpi_program_bytes(qpi_program* program, const void** bytes, size_t* size);

/* How many qubits it has. */
QPI_API uint32_t qpi_program_num_qubits(const qpi_program* program);

/* How many classical bits it has. */
QPI_API uint32_t qpi_program_num_bits(const qpi_program* program);

/* Tasks that were submitted with it keep what they need. */
QPI_API void qpi_program_close(qpi_program* program);

#ifdef __cplusplus
}
#endif

#endif
