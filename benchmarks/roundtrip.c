/* Round trips of one 3-qubit task from C, one after another. Prints {"microseconds": [...]}, one per call.
 *
 *   roundtrip ENDPOINT CALLS        ENDPOINT: "embedded", "unix:/path" or the path of an endpoint.json
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "qpi/qpi.h"

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

static void check(int64_t status, const char* what) {
  if (status >= 0) return;
  fprintf(stderr, "roundtrip: %s: %s: %s\n", what, qpi_strerror((int)status), qpi_last_error());
  exit(1);
}

/* h 0; cx 0 1; cx 1 2; ry(x) 2 */
static qpi_program* three_qubits(qpi_context* context) {
  qpi_program* program = NULL;
  check(qpi_program_open(context, 3, 0, &program), "program");
  const int64_t x = qpi_program_parameter(program, "x");
  check(x, "parameter");
  const uint32_t qubits[] = {0, 1, 2};
  check(qpi_program_gate(program, QPI_H, qubits, NULL), "h");
  check(qpi_program_gate(program, QPI_CX, qubits, NULL), "cx");
  check(qpi_program_gate(program, QPI_CX, qubits + 1, NULL), "cx");
  const qpi_angle angle = {0.0, 1.0, (uint32_t)x};
  check(qpi_program_gate_with(program, QPI_RY, 0, qubits + 2, &angle), "ry");
  return program;
}

static void run(qpi_mesh* mesh, const qpi_task_attr* task) {
  qpi_result* result = NULL;
  check(qpi_mesh_run(mesh, task, 1, QPI_FOREVER, &result), "run");
  const double* values = NULL;
  if (qpi_result_expectations(result, 0, &values) != 1) check(QPI_EINTERNAL, "expectations");
  qpi_result_close(result);
}

int main(int argc, char** argv) {
  if (argc != 3 || atoi(argv[2]) < 1) {
    fprintf(stderr, "usage: roundtrip ENDPOINT CALLS\n");
    return 2;
  }
  const int calls = atoi(argv[2]);
  qpi_context_attr where = QPI_CONTEXT_ATTR_INIT;
  where.endpoint = argv[1];
  qpi_context* context = NULL;
  check(qpi_connect(&where, &context), "connect");
  const char* names[] = {"statevec"};
  qpi_mesh_attr devices = QPI_MESH_ATTR_INIT;
  devices.devices = names;
  devices.num_devices = 1;
  qpi_mesh* mesh = NULL;
  check(qpi_mesh_open(context, &devices, &mesh), "mesh");
  qpi_program* program = three_qubits(context);

  const double x = 0.3;
  const uint32_t where_z[] = {0, 2};
  const qpi_pauli_term term = {1.0, "ZZ", where_z};
  const qpi_observable observable = {&term, 1};
  qpi_task_attr task = QPI_TASK_ATTR_INIT;
  task.program = program;
  task.bindings = &x;
  task.columns = 1;
  task.shots = 0;
  task.outputs = QPI_EXPECTATIONS;
  task.observables = &observable;
  task.num_observables = 1;

  double* microseconds = malloc((size_t)calls * sizeof *microseconds);
  if (!microseconds) return 1;
  for (int i = 0; i < 100; ++i) run(mesh, &task); /* warm-up */
  for (int i = 0; i < calls; ++i) {
    const double start = now_us();
    run(mesh, &task);
    microseconds[i] = now_us() - start;
  }
  printf("{\"microseconds\": [");
  for (int i = 0; i < calls; ++i) printf("%s%.2f", i ? ", " : "", microseconds[i]);
  printf("]}\n");

  free(microseconds);
  qpi_program_close(program);
  qpi_mesh_close(mesh);
  qpi_context_close(context);
  return 0;
}
