/* The C API against the runtime inside this process. Prints what fails, and exits with how many did. */
#include <poll.h>
#include <qpi/qpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

static qpi_context* context;
static qpi_mesh* mesh;
static qpi_program* bell;

static qpi_task_attr bell_task(void) {
  qpi_task_attr task = QPI_TASK_ATTR_INIT;
  task.program = bell;
  task.shots = 200;
  return task;
}

static void test_connect(void) {
  qpi_context_attr attr = QPI_CONTEXT_ATTR_INIT;
  qpi_context* other = (qpi_context*)&attr;
  EXPECT(qpi_connect(NULL, NULL) == QPI_EINVAL);
  EXPECT(strcmp(qpi_context_endpoint(context), "embedded") == 0);
  EXPECT(qpi_context_window(context) > 0);
  attr.endpoint = "/nowhere/endpoint.json";
  EXPECT(qpi_connect(&attr, &other) == QPI_EUNAVAILABLE);
  EXPECT(other == NULL);
  EXPECT(strstr(qpi_last_error(), "/nowhere/endpoint.json") != NULL);
  attr.endpoint = "unix:/nowhere/runtime.sock";
  attr.timeout_ms = 200;
  EXPECT(qpi_connect(&attr, &other) < 0);
  attr.size = 0;
  EXPECT(qpi_connect(&attr, &other) == QPI_EINVAL);
  EXPECT(strstr(qpi_last_error(), "INIT macro") != NULL);
}

static void test_devices(void) {
  qpi_device_list* list = NULL;
  const qpi_device_info* info;
  EXPECT(qpi_device_list_open(context, &list) == 0);
  EXPECT(qpi_device_list_count(list) >= 1);
  info = qpi_device_list_get(list, 0);
  EXPECT(info && strcmp(info->name, "statevec") == 0);
  EXPECT(info->simulator == 1 && info->status == QPI_DEVICE_ONLINE && info->max_qubits > 10);
  EXPECT(info->num_gates > 20 && info->num_outputs == 6);
  EXPECT(info->instances == 1 && info->max_ranks == 1 && info->threads >= 1);
  EXPECT(qpi_device_list_get(list, 99) == NULL);
  qpi_device_list_close(list);
}

static void test_mesh(void) {
  qpi_mesh_attr attr = QPI_MESH_ATTR_INIT;
  const char* names[] = {"nothing"};
  qpi_mesh* other = NULL;
  attr.devices = names;
  attr.num_devices = 1;
  EXPECT(qpi_mesh_open(context, &attr, &other) == QPI_ENOTFOUND);
  EXPECT(strstr(qpi_last_error(), "statevec") != NULL);
  attr.num_devices = 0;
  attr.kind = 7;
  EXPECT(qpi_mesh_open(context, &attr, &other) == QPI_EINVAL);
  attr.kind = QPI_QPU;
  EXPECT(qpi_mesh_open(context, &attr, &other) == QPI_ENOTFOUND);
  attr.kind = QPI_SIMULATOR;
  attr.min_qubits = 2;
  EXPECT(qpi_mesh_open(context, &attr, &other) == 0);
  qpi_mesh_close(other);
}

static void test_program(void) {
  qpi_program *program = NULL, *copy = NULL;
  const void* bytes = NULL;
  size_t size = 0;
  const double nan_angle = strtod("nan", NULL), half_y[8] = {0, 0, 0, -1, 0, 1, 0, 0};
  EXPECT(qpi_program_open(context, 2, 1, &program) == 0);
  EXPECT(qpi_program_num_qubits(program) == 2 && qpi_program_num_bits(program) == 1);
  EXPECT(qpi_program_gate(program, QPI_H, (uint32_t[]){5}, NULL) == QPI_EINVAL);
  EXPECT(strstr(qpi_last_error(), "5") != NULL);
  EXPECT(qpi_program_gate(program, 9999, (uint32_t[]){0}, NULL) == QPI_EGATE);
  EXPECT(qpi_program_gate(program, QPI_RX, (uint32_t[]){0}, NULL) == QPI_EINVAL);
  EXPECT(qpi_program_gate(program, QPI_RX, (uint32_t[]){0}, &nan_angle) == QPI_EINVAL);
  EXPECT(qpi_program_gate(program, QPI_H, NULL, NULL) == QPI_EINVAL);
  EXPECT(qpi_program_measure_all(program) == QPI_EINVAL);
  EXPECT(qpi_program_unitary(program, half_y, 1, 0, (uint32_t[]){1}) == 0);
  EXPECT(qpi_program_unitary(program, half_y, 3, 0, (uint32_t[]){1}) == QPI_EINVAL);
  EXPECT(qpi_program_gate_with(program, QPI_X, 1, (uint32_t[]){0, 1}, NULL) == 0);
  EXPECT(qpi_program_global_phase(program, 0.5) == 0);
  EXPECT(qpi_program_barrier(program, NULL, 0) == 0);
  EXPECT(qpi_program_reset(program, 0) == 0);
  EXPECT(qpi_program_register(program, "c", 0, 1) == 0);
  EXPECT(qpi_program_parameter(program, "a") == 0 && qpi_program_parameter(program, NULL) == 1);
  EXPECT(qpi_program_measure(program, 0, 0) == 0);
  EXPECT(qpi_program_bytes(program, &bytes, &size) == 0 && size > 0);
  EXPECT(qpi_program_decode(context, bytes, size, &copy) == 0);
  EXPECT(qpi_program_num_qubits(copy) == 2);
  EXPECT(qpi_program_measure(copy, 0, 0) == QPI_EUNSUPPORTED);
  qpi_program_close(copy);
  EXPECT(qpi_program_decode(context, "rubbish", 7, &copy) == QPI_EPROGRAM);
  EXPECT(qpi_program_load(context, "OPENQASM 3.0;", &copy) == QPI_EUNSUPPORTED);
  EXPECT(strstr(qpi_last_error(), "Toolchain service") != NULL);
  EXPECT(qpi_gate_qubits(QPI_CCX) == 3 && qpi_gate_params(QPI_U) == 3 && qpi_gate_qubits(-1) == QPI_EGATE);
  EXPECT(strcmp(qpi_gate_name(QPI_CX), "cx") == 0 && qpi_gate_name(9999) == NULL);
  qpi_program_close(program);
}

static void test_bad_tasks(void) {
  qpi_result* result = NULL;
  qpi_task_attr task = bell_task();
  const double nan_value = strtod("nan", NULL);
  EXPECT(qpi_mesh_run(mesh, NULL, 0, 1000, NULL) == QPI_EINVAL);
  task.program = NULL;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 1000, &result) == QPI_EINVAL && result == NULL);
  task = bell_task();
  task.shots = 0;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 1000, &result) == QPI_EINVAL);
  task = bell_task();
  task.outputs = 1 << 20;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 1000, &result) == QPI_EINVAL);
  task = bell_task();
  task.bindings = &nan_value;
  task.columns = 1;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 1000, &result) == QPI_EINVAL);
  task = bell_task();
  task.num_qubits = 1;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 1000, &result) == QPI_EINVAL);
  task = bell_task();
  task.deadline_s = -1.0;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 1000, &result) == QPI_EINVAL);
  task = bell_task();
  task.shots = UINT64_MAX - 1; /* above the device's limit: the task's own failure */
  EXPECT(qpi_mesh_run(mesh, &task, 1, 1000, &result) == QPI_ELIMIT);
  EXPECT(result != NULL && qpi_result_error(result, NULL) == QPI_ELIMIT);
  qpi_result_close(result);
}

static void test_results(void) {
  const uint64_t seed = 42;
  const uint32_t first[] = {0};
  const uint64_t* counts;
  const uint8_t* packed;
  const double* values;
  char bits[3];
  const char* message = NULL;
  uint64_t n = 0;
  qpi_timing timing = QPI_TIMING_INIT;
  qpi_result* result = NULL;
  qpi_task_attr task = bell_task();
  task.outputs = QPI_COUNTS | QPI_MEMORY | QPI_PROBABILITIES | QPI_STATEVECTOR;
  task.qubits = first;
  task.num_qubits = 1;
  task.seed = &seed;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 10000, &result) == 0);
  EXPECT(qpi_result_rows(result) == 1 && qpi_result_shots(result) == 200 && qpi_result_bits(result) == 2);
  EXPECT(qpi_result_seed(result) == 42 && strcmp(qpi_result_device(result), "statevec") == 0);
  EXPECT(strcmp(qpi_result_method(result), "") == 0 && strcmp(qpi_result_method_reason(result), "") == 0);
  EXPECT(strcmp(qpi_result_calibration(result), "") == 0);
  EXPECT(qpi_result_error(result, &message) == 0 && qpi_result_row_error(result, 0, NULL) == 0);
  EXPECT(qpi_result_num_counts(result, 0) == 2 && qpi_result_num_counts(result, 1) == QPI_EINVAL);
  EXPECT(qpi_result_count(result, 0, 1, bits, sizeof bits, &n) == 0 && strcmp(bits, "11") == 0);
  EXPECT(qpi_result_count(result, 0, 0, bits, 2, &n) == QPI_EINVAL);
  EXPECT(qpi_result_count(result, 0, 2, bits, sizeof bits, &n) == QPI_EINVAL);
  EXPECT(qpi_result_counts(result, 0, &counts) == 2 && counts[0] + counts[1] == 200 && counts[1] == n);
  EXPECT(qpi_result_row_bytes(result) == 1);
  EXPECT(qpi_result_count_keys(result, 0, &packed) == 2 && packed[0] == 0 && packed[1] == 3);
  EXPECT(qpi_result_memory(result, 0, &packed) == 200);
  EXPECT(qpi_result_probabilities(result, 0, &values) == 2 && values[0] > 0.4999 && values[0] < 0.5001);
  EXPECT(qpi_result_statevector(result, 0, &values) == 4 && values[0] > 0.707 && values[2] == 0.0);
  EXPECT(qpi_result_expectations(result, 0, &values) == 0);
  EXPECT(qpi_result_timing(result, &timing) == 0);
  EXPECT(timing.execute_ns > 0);
  EXPECT(timing.total_ns == timing.convert_ns + timing.tools_ns + timing.transfer_ns + timing.queue_ns +
                                timing.dispatch_ns + timing.execute_ns + timing.return_ns);
  qpi_result_close(result);
}

static void test_method(void) {
  const qpi_option automatic[] = {{"method", "auto"}}, wrong[] = {{"method", "fastest"}};
  qpi_result* result = NULL;
  qpi_task_attr task = bell_task();
  task.options = automatic;
  task.num_options = 1;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 10000, &result) == 0);
  EXPECT(strcmp(qpi_result_method(result), "statevector") == 0 && strlen(qpi_result_method_reason(result)) > 0);
  qpi_result_close(result);
  task.options = wrong;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 10000, &result) == QPI_EINVAL && strstr(qpi_last_error(), "fastest"));
  qpi_result_close(result);
}

static void test_expectations(void) {
  static const uint32_t pair[] = {0, 1};
  static const qpi_pauli_term zz[] = {{1.0, "ZZ", pair}}, one[] = {{0.5, "", NULL}}, odd[] = {{1.0, "Q", pair}};
  qpi_observable observables[] = {{zz, 1}, {one, 1}};
  const double* values;
  qpi_result* result = NULL;
  qpi_task_attr task = QPI_TASK_ATTR_INIT;
  task.program = bell;
  task.outputs = QPI_EXPECTATIONS;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 10000, &result) == QPI_EINVAL);
  task.observables = observables;
  task.num_observables = 2;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 10000, &result) == 0);
  EXPECT(qpi_result_shots(result) == 0);
  EXPECT(qpi_result_expectations(result, 0, &values) == 2 && values[0] > 0.999 && values[1] == 0.5);
  qpi_result_close(result);
  observables[0].terms = odd;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 10000, &result) == QPI_EINVAL);
}

static int near(double found, double expected) { return found - expected < 1e-9 && expected - found < 1e-9; }

/* <Z0> and <Z0> + 2 <Z1> of rx(a) on qubit 0 and ry(b / 2) on qubit 1. */
static void test_gradients(void) {
  static const uint32_t zero[] = {0}, one[] = {1};
  static const qpi_pauli_term z[] = {{1.0, "Z", zero}, {2.0, "Z", one}};
  static const qpi_observable observables[] = {{z, 1}, {z, 2}};
  static const double bindings[] = {0.0, 0.0, 1.5707963267948966, 3.1415926535897931};
  static const uint32_t second[] = {1};
  const qpi_angle a = {0.0, 1.0, 0}, b = {0.0, 0.5, 1};
  const double* g = NULL;
  qpi_program* program = NULL;
  qpi_result* result = NULL;
  qpi_task_attr task = QPI_TASK_ATTR_INIT;
  EXPECT(qpi_program_open(context, 2, 0, &program) == 0);
  EXPECT(qpi_program_parameter(program, "a") == 0 && qpi_program_parameter(program, "b") == 1);
  EXPECT(qpi_program_gate_with(program, QPI_RX, 0, zero, &a) == 0);
  EXPECT(qpi_program_gate_with(program, QPI_RY, 0, one, &b) == 0);
  task.program = program;
  task.bindings = bindings;
  task.rows = task.columns = 2;
  task.outputs = QPI_GRADIENTS;
  task.observables = observables;
  task.num_observables = 2;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 10000, &result) == 0);
  EXPECT(qpi_result_expectations(result, 1, &g) == 0);
  EXPECT(qpi_result_gradients(result, 0, &g) == 4 && near(g[0], 0.0) && near(g[3], 0.0));
  EXPECT(qpi_result_gradients(result, 1, &g) == 4);
  EXPECT(near(g[0], -1.0) && near(g[1], 0.0) && near(g[2], -1.0) && near(g[3], -1.0));
  qpi_result_close(result);
  task.gradient_parameters = second;
  task.num_gradient_parameters = 1;
  task.ranks = 1;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 10000, &result) == 0);
  EXPECT(qpi_result_gradients(result, 1, &g) == 2 && near(g[0], 0.0) && near(g[1], -1.0));
  qpi_result_close(result);
  task.outputs = QPI_EXPECTATIONS;
  EXPECT(qpi_mesh_run(mesh, &task, 1, 10000, &result) == QPI_EINVAL);
  qpi_program_close(program);
}

static void test_order_of_a_batch(void) {
  qpi_task_attr tasks[20];
  qpi_result* results[20];
  int i;
  for (i = 0; i < 20; ++i) {
    tasks[i] = bell_task();
    tasks[i].shots = (uint64_t)(i + 1);
  }
  EXPECT(qpi_mesh_run(mesh, tasks, 20, 10000, results) == 0);
  for (i = 0; i < 20; ++i) {
    EXPECT(qpi_result_shots(results[i]) == (uint64_t)(i + 1));
    qpi_result_close(results[i]);
  }
}

static void test_queue(void) {
  qpi_stream_attr attr = QPI_STREAM_ATTR_INIT;
  qpi_error_entry error = QPI_ERROR_ENTRY_INIT;
  qpi_completion done[4];
  qpi_task_attr tasks[3];
  qpi_stream* stream = NULL;
  qpi_cq* cq = NULL;
  struct pollfd p;
  uint64_t ids[3];
  int mine, i;
  EXPECT(qpi_cq_open(context, NULL, &cq) == 0);
  attr.order = 5;
  EXPECT(qpi_stream_open(mesh, &attr, &stream) == QPI_EINVAL);
  attr.order = QPI_SEQUENTIAL;
  attr.completions = cq;
  EXPECT(qpi_stream_open(mesh, &attr, &stream) == 0);
  EXPECT(qpi_cq_read(cq, done, 4, 0) == QPI_EAGAIN);
  EXPECT(qpi_cq_read(cq, done, 0, 0) == QPI_EINVAL);
  EXPECT(qpi_cq_readerr(cq, &error) == QPI_EAGAIN);
  EXPECT(qpi_cq_read(cq, done, 4, 1) == QPI_ETIMEOUT);
  EXPECT(qpi_cq_wait(cq, 1) == QPI_ETIMEOUT);
  p.fd = qpi_cq_fd(cq);
  p.events = POLLIN;
  EXPECT(poll(&p, 1, 0) == 0);
  for (i = 0; i < 3; ++i) {
    tasks[i] = bell_task();
    tasks[i].context = &mine;
  }
  tasks[1].shots = UINT64_MAX - 1;
  EXPECT(qpi_stream_submit_many(stream, tasks, 3, ids) == 3);
  EXPECT(ids[0] < ids[1] && ids[1] < ids[2]);
  EXPECT(qpi_stream_wait(stream, QPI_FOREVER) == 0);
  EXPECT(qpi_cq_count(cq) == 3 && qpi_cq_outstanding(cq) == 0 && qpi_cq_wait(cq, 0) == 0);
  EXPECT(poll(&p, 1, 0) == 1);
  EXPECT(qpi_cq_read(cq, done, 4, 0) == 1 && done[0].id == ids[0] && done[0].context == &mine);
  qpi_result_close(done[0].result);
  EXPECT(qpi_cq_read(cq, done, 4, 0) == QPI_EAVAIL);
  EXPECT(qpi_cq_readerr(cq, &error) == 0);
  EXPECT(error.id == ids[1] && error.error == QPI_ELIMIT && error.context == &mine && strlen(error.message) > 0);
  qpi_result_close(error.result);
  EXPECT(qpi_cq_read(cq, done, 4, 0) == 1 && done[0].id == ids[2]);
  qpi_result_close(done[0].result);
  EXPECT(poll(&p, 1, 0) == 0);
  EXPECT(qpi_stream_cancel(stream, ids[0]) == QPI_ENOTFOUND);
  EXPECT(qpi_stream_cancel_all(stream) == 0);
  qpi_cq_signal(cq);
  qpi_stream_close(stream);
  qpi_cq_close(cq);
}

/* Queries and barriers beside tasks, each kind in its queue, on a stream opened on a device. */
static void test_operations(void) {
  qpi_stream_attr attr = QPI_STREAM_ATTR_INIT;
  qpi_error_entry error = QPI_ERROR_ENTRY_INIT;
  qpi_completion done[4];
  qpi_task_attr task = bell_task();
  qpi_stream* stream = NULL;
  qpi_cq *tasks = NULL, *queries = NULL, *errors = NULL;
  uint64_t first = 0, query = 0, barrier = 0, wrong = 0;
  int mine;
  EXPECT(qpi_cq_open(context, NULL, &tasks) == 0 && qpi_cq_open(context, NULL, &queries) == 0);
  EXPECT(qpi_cq_open(context, NULL, &errors) == 0);
  attr.order = QPI_SEQUENTIAL;
  attr.completions = tasks;
  attr.queries = queries;
  attr.errors = errors;
  EXPECT(qpi_stream_open_device(context, "nothing", &attr, &stream) == QPI_ENOTFOUND);
  EXPECT(qpi_stream_open_device(context, "statevec", &attr, &stream) == 0);
  EXPECT(qpi_stream_submit(stream, &task, &first) == 0);
  EXPECT(qpi_stream_query(stream, "other", NULL, NULL) == QPI_EINVAL);
  EXPECT(strstr(qpi_last_error(), "statevec") != NULL);
  EXPECT(qpi_stream_query(stream, NULL, &mine, &query) == 0);
  EXPECT(qpi_stream_barrier(stream, &mine, &barrier) == 0);
  task.shots = UINT64_MAX - 1;
  EXPECT(qpi_stream_submit(stream, &task, &wrong) == 0);
  EXPECT(qpi_stream_wait(stream, QPI_FOREVER) == 0);
  EXPECT(qpi_cq_read(tasks, done, 4, 0) == 2);
  EXPECT(done[0].id == first && done[0].kind == QPI_TASK && done[0].result != NULL && done[0].devices == NULL);
  EXPECT(done[1].id == barrier && done[1].kind == QPI_BARRIER && done[1].context == &mine);
  EXPECT(done[1].result == NULL && done[1].devices == NULL);
  qpi_result_close(done[0].result);
  EXPECT(qpi_cq_read(queries, done, 4, 0) == 1);
  EXPECT(done[0].id == query && done[0].kind == QPI_QUERY && done[0].context == &mine && done[0].result == NULL);
  EXPECT(qpi_device_list_count(done[0].devices) == 1);
  EXPECT(strcmp(qpi_device_list_get(done[0].devices, 0)->name, "statevec") == 0);
  qpi_device_list_close(done[0].devices);
  EXPECT(qpi_cq_readerr(errors, &error) == 0 && error.id == wrong && error.kind == QPI_TASK);
  EXPECT(qpi_context_cancel(context) == 0 && qpi_context_cancel(NULL) == QPI_EINVAL);
  qpi_stream_close(stream);
  qpi_cq_close(tasks);
  qpi_cq_close(queries);
  qpi_cq_close(errors);
}

static void test_all_devices(void) {
  qpi_mesh_attr attr = QPI_MESH_ATTR_INIT;
  qpi_task_attr task = bell_task();
  qpi_mesh* all = NULL;
  qpi_result* result = NULL;
  attr.mode = 3;
  EXPECT(qpi_mesh_open(context, &attr, &all) == QPI_EINVAL);
  attr.mode = QPI_MESH_ALL;
  EXPECT(qpi_mesh_open(context, &attr, &all) == 0);
  EXPECT(qpi_mesh_num_devices(all) == 1 && strcmp(qpi_mesh_device(all, 0), "statevec") == 0);
  EXPECT(qpi_mesh_device(all, 1) == NULL);
  EXPECT(qpi_mesh_run(all, &task, 1, 10000, &result) == 0);
  EXPECT(qpi_result_devices(result) == 1 && qpi_result_of_device(result, 0) == result);
  EXPECT(qpi_result_of_device(result, 1) == NULL);
  qpi_result_close(result);
  task.shots = UINT64_MAX - 1;
  EXPECT(qpi_mesh_run(all, &task, 1, 10000, &result) == QPI_ELIMIT);
  EXPECT(strstr(qpi_last_error(), "1 of 1 devices failed: statevec: ") == qpi_last_error());
  qpi_result_close(result);
  qpi_mesh_close(all);
}

static void test_null_handles(void) {
  EXPECT(qpi_stream_submit(NULL, NULL, NULL) == QPI_EINVAL);
  EXPECT(qpi_cq_read(NULL, NULL, 1, 0) == QPI_EINVAL);
  EXPECT(strcmp(qpi_last_error(), "cq is NULL") == 0);
  EXPECT(qpi_result_rows(NULL) == 0 && qpi_result_error(NULL, NULL) == QPI_EINVAL);
  qpi_context_close(NULL);
  qpi_mesh_close(NULL);
  qpi_stream_close(NULL);
  qpi_cq_close(NULL);
  qpi_cq_signal(NULL);
  qpi_program_close(NULL);
  qpi_result_close(NULL);
  qpi_device_list_close(NULL);
}

static void test_errors(void) {
  int i;
  for (i = QPI_ECLOSED; i < 0; ++i) EXPECT(strcmp(qpi_strerror(i), "unknown") != 0);
  EXPECT(strcmp(qpi_strerror(QPI_EINVAL), "invalid_argument") == 0);
  EXPECT(strcmp(qpi_strerror(-1000), "unknown") == 0 && strcmp(qpi_strerror(5), "unknown") == 0);
  EXPECT(strchr(qpi_version(), '.') != NULL);
}

static void test_after_close(void) {
  qpi_task_attr task = bell_task();
  qpi_result* result = NULL;
  qpi_context_close(context);
  EXPECT(qpi_mesh_run(mesh, &task, 1, 1000, &result) == QPI_ECLOSED);
}

int main(void) {
  if (qpi_connect(NULL, &context) != 0 || qpi_mesh_open(context, NULL, &mesh) != 0 ||
      qpi_program_open(context, 2, 2, &bell) != 0) {
    fprintf(stderr, "set-up: %s\n", qpi_last_error());
    return 99;
  }
  EXPECT(qpi_program_gate(bell, QPI_H, (uint32_t[]){0}, NULL) == 0);
  EXPECT(qpi_program_gate(bell, QPI_CX, (uint32_t[]){0, 1}, NULL) == 0);
  EXPECT(qpi_program_measure_all(bell) == 0);
  test_connect();
  test_devices();
  test_mesh();
  test_program();
  test_bad_tasks();
  test_results();
  test_method();
  test_expectations();
  test_gradients();
  test_order_of_a_batch();
  test_queue();
  test_operations();
  test_all_devices();
  test_null_handles();
  test_errors();
  test_after_close();
  qpi_program_close(bell);
  qpi_mesh_close(mesh);
  printf("%d failures\n", failures);
  return failures > 0;
}
