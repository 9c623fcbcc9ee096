/* Many small tasks in one parallel stream from C. Prints {"seconds": ...} from the first submission to the last result.
 *
 *   throughput ENDPOINT TASKS BATCH        BATCH: tasks of one message
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "qpi/qpi.h"

enum { kMaxBatch = 4096 };

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(int64_t status, const char* what) {
  if (status >= 0) return;
  fprintf(stderr, "throughput: %s: %s: %s\n", what, qpi_strerror((int)status), qpi_last_error());
  exit(1);
}

/* Three qubits, one parameter, three measured bits. */
static qpi_program* three_qubits(qpi_context* context) {
  qpi_program* program = NULL;
  check(qpi_program_open(context, 3, 3, &program), "program");
  const int64_t x = qpi_program_parameter(program, "x");
  check(x, "parameter");
  const uint32_t qubits[] = {0, 1, 2};
  const qpi_angle angle = {0.0, 1.0, (uint32_t)x};
  check(qpi_program_gate(program, QPI_H, qubits, NULL), "h");
  check(qpi_program_gate(program, QPI_CX, qubits, NULL), "cx");
  check(qpi_program_gate_with(program, QPI_RY, 0, qubits + 2, &angle), "ry");
  check(qpi_program_gate(program, QPI_CX, qubits + 1, NULL), "cx");
  check(qpi_program_measure_all(program), "measure");
  return program;
}

/* Reads at least one completion, or polls; gives how many. */
static long read_some(qpi_cq* queue, int timeout_ms) {
  static qpi_completion completions[kMaxBatch];
  const int64_t count = qpi_cq_read(queue, completions, kMaxBatch, timeout_ms);
  if (count == QPI_EAGAIN) return 0;
  check(count, "read");
  for (int64_t i = 0; i < count; ++i) qpi_result_close(completions[i].result);
  return (long)count;
}

int main(int argc, char** argv) {
  const long tasks = argc == 4 ? atol(argv[2]) : 0;
  const long batch = argc == 4 ? atol(argv[3]) : 0;
  if (tasks < 1 || batch < 1 || batch > kMaxBatch) {
    fprintf(stderr, "usage: throughput ENDPOINT TASKS BATCH, BATCH at most %d\n", kMaxBatch);
    return 2;
  }
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
  qpi_cq* queue = NULL;
  check(qpi_cq_open(context, NULL, &queue), "queue");
  qpi_stream_attr kind = QPI_STREAM_ATTR_INIT;
  kind.completions = queue;
  qpi_stream* stream = NULL;
  check(qpi_stream_open(mesh, &kind, &stream), "stream");
  qpi_program* program = three_qubits(context);

  static qpi_task_attr message[kMaxBatch];
  static double values[kMaxBatch];
  static uint64_t seeds[kMaxBatch];
  const qpi_task_attr blank = QPI_TASK_ATTR_INIT;
  for (long i = 0; i < batch; ++i) {
    values[i] = 0.001 * (double)i;
    seeds[i] = (uint64_t)i;
    message[i] = blank;
    message[i].program = program;
    message[i].bindings = &values[i];
    message[i].columns = 1;
    message[i].shots = 1;
    message[i].seed = &seeds[i];
  }
  const double start = now_s();
  long submitted = 0, read = 0;
  while (submitted < tasks) {
    const long wanted = tasks - submitted < batch ? tasks - submitted : batch;
    const int64_t count = qpi_stream_submit_many(stream, message, (size_t)wanted, NULL);
    check(count, "submit");
    submitted += (long)count;
    read += read_some(queue, 0);
  }
  while (read < tasks) read += read_some(queue, 60000);
  printf("{\"seconds\": %.6f}\n", now_s() - start);

  qpi_stream_close(stream);
  qpi_program_close(program);
  qpi_cq_close(queue);
  qpi_mesh_close(mesh);
  qpi_context_close(context);
  return 0;
}
