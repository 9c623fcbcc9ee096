/* A GHZ state three ways: one task run in place, a batch through a completion queue, and a task that is wrong.
 * examples/python/ghz.py does the same and prints the same.
 *
 *   cc ghz.c $(pkg-config --cflags --libs qpi) -o ghz && ./ghz
 */
#include <inttypes.h>
#include <qpi/qpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUBITS = 3, BATCH = 4 };

static int check(int64_t code, const char* what) {
  if (code >= 0) return (int)code;
  fprintf(stderr, "%s: %s: %s\n", what, qpi_strerror((int)code), qpi_last_error());
  exit(1);
}

static void print_counts(const qpi_result* result) {
  char bits[QUBITS + 1];
  uint64_t count;
  int i, n = check(qpi_result_num_counts(result, 0), "counts");
  for (i = 0; i < n; ++i) {
    check(qpi_result_count(result, 0, (size_t)i, bits, sizeof bits, &count), "count");
    printf(" %s:%" PRIu64, bits, count);
  }
  printf("\n");
}

/* h on qubit 0, then a chain of cx; rx(theta) on qubit 0 makes a batch worth having. */
static qpi_program* ghz(qpi_context* context) {
  qpi_program* program;
  qpi_angle theta = {0.0, 1.0, 0};
  uint32_t q;
  check(qpi_program_open(context, QUBITS, QUBITS, &program), "program");
  check(qpi_program_parameter(program, "theta"), "parameter");
  check(qpi_program_gate_with(program, QPI_RX, 0, (uint32_t[]){0}, &theta), "rx");
  check(qpi_program_gate(program, QPI_H, (uint32_t[]){0}, NULL), "h");
  for (q = 0; q + 1 < QUBITS; ++q) check(qpi_program_gate(program, QPI_CX, (uint32_t[]){q, q + 1}, NULL), "cx");
  check(qpi_program_measure_all(program), "measure");
  return program;
}

/* One task, run in place. */
static void run_one(qpi_mesh* mesh, const qpi_program* program) {
  const double theta = 0.0;
  const uint64_t seed = 7;
  qpi_task_attr task = QPI_TASK_ATTR_INIT;
  qpi_result* result;
  task.program = program;
  task.bindings = &theta;
  task.columns = 1;
  task.shots = 1000;
  task.seed = &seed;
  check(qpi_mesh_run(mesh, &task, 1, 10000, &result), "run");
  printf("one on %s:", qpi_result_device(result));
  print_counts(result);
  qpi_result_close(result);
}

/* A batch through a stream, in order. */
static void run_batch(qpi_context* context, qpi_mesh* mesh, const qpi_program* program) {
  static const double angles[BATCH] = {0.0, 0.5, 1.0, 1.5};
  static const uint64_t seeds[BATCH] = {10, 11, 12, 13};
  static const char* names[BATCH] = {"a", "b", "c", "d"};
  qpi_stream_attr attr = QPI_STREAM_ATTR_INIT;
  qpi_completion done[BATCH];
  qpi_stream* stream;
  qpi_cq* cq;
  int i, n, seen = 0;
  check(qpi_cq_open(context, NULL, &cq), "completion queue");
  attr.order = QPI_SEQUENTIAL;
  attr.completions = cq;
  check(qpi_stream_open(mesh, &attr, &stream), "stream");
  for (i = 0; i < BATCH; ++i) {
    qpi_task_attr task = QPI_TASK_ATTR_INIT;
    task.program = program;
    task.bindings = &angles[i];
    task.columns = 1;
    task.shots = 100;
    task.seed = &seeds[i];
    task.context = (void*)names[i];
    check(qpi_stream_submit(stream, &task, NULL), "submit");
  }
  while (seen < BATCH) {
    n = check(qpi_cq_read(cq, done, BATCH, 10000), "read");
    for (i = 0; i < n; ++i) {
      printf("batch %s:", (const char*)done[i].context);
      print_counts(done[i].result);
      qpi_result_close(done[i].result);
    }
    seen += n;
  }
  qpi_stream_close(stream);
  qpi_cq_close(cq);
}

/* A task that no device takes completes as an error: the queue keeps it apart. */
static void run_wrong(qpi_context* context, qpi_mesh* mesh, const qpi_program* program) {
  const double theta = 0.0;
  qpi_stream_attr attr = QPI_STREAM_ATTR_INIT;
  qpi_task_attr task = QPI_TASK_ATTR_INIT;
  qpi_option option = {"no_such_option", "1"};
  qpi_error_entry error = QPI_ERROR_ENTRY_INIT;
  qpi_completion done;
  qpi_stream* stream;
  qpi_cq* cq;
  check(qpi_cq_open(context, NULL, &cq), "completion queue");
  attr.completions = cq;
  check(qpi_stream_open(mesh, &attr, &stream), "stream");
  task.program = program;
  task.bindings = &theta;
  task.columns = 1;
  task.options = &option;
  task.num_options = 1;
  check(qpi_stream_submit(stream, &task, NULL), "submit");
  if (qpi_cq_read(cq, &done, 1, 10000) == QPI_EAVAIL) {
    check(qpi_cq_readerr(cq, &error), "readerr");
    printf("wrong: %s: %s\n", qpi_strerror(error.error), error.message);
    qpi_result_close(error.result);
  }
  qpi_stream_close(stream);
  qpi_cq_close(cq);
}

int main(void) {
  qpi_mesh_attr attr = QPI_MESH_ATTR_INIT;
  const char* names[] = {"statevec"};
  qpi_context* context;
  qpi_mesh* mesh;
  qpi_program* program;

  check(qpi_connect(NULL, &context), "connect");
  attr.devices = names;
  attr.num_devices = 1;
  check(qpi_mesh_open(context, &attr, &mesh), "mesh");
  program = ghz(context);

  run_one(mesh, program);
  run_batch(context, mesh, program);
  run_wrong(context, mesh, program);

  qpi_program_close(program);
  qpi_mesh_close(mesh);
  qpi_context_close(context);
  return 0;
}
