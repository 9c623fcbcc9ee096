/* Tools written in C: one that runs a task in two halves, one that turns signs, one after another on a stream. */
#include <qpi/qpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

/* ---- halves: a task's shots in two tasks, their counts added up */

typedef struct halves {
  int states; /* that are not dropped */
  int refuse; /* what reduce says, 0: works */
} halves;

static int halves_expand(void* self, const qpi_task_attr* task, const qpi_device_info* device, qpi_expansion* out,
                         void** state) {
  halves* tool = self;
  uint64_t* whole = malloc(sizeof *whole);
  qpi_task_attr half = *task;
  if (task->shots < 2) {
    free(whole);
    return qpi_fail(QPI_EINVAL, "fewer than 2 shots cannot be halved");
  }
  if (device == NULL || strcmp(device->name, "statevec") != 0) ++failures;
  *whole = task->shots;
  *state = whole;
  ++tool->states;
  half.shots = task->shots / 2;
  if (qpi_expansion_add(out, &half) != 0) return QPI_EINTERNAL;
  half.shots = task->shots - half.shots;
  return qpi_expansion_add(out, &half);
}

static int halves_reduce(void* self, void* state, const qpi_result* const* results, size_t count, qpi_result* out) {
  const halves* tool = self;
  const uint64_t *a, *b;
  const char* outcomes[2] = {"00", "11"};
  uint64_t seen[2];
  if (tool->refuse) return qpi_fail(tool->refuse, "not today");
  if (count != 2 || qpi_result_shots(results[0]) + qpi_result_shots(results[1]) != *(const uint64_t*)state)
    return qpi_fail(QPI_EINTERNAL, "these are not the halves");
  if (qpi_result_counts(results[0], 0, &a) != 2 || qpi_result_counts(results[1], 0, &b) != 2)
    return qpi_fail(QPI_EINTERNAL, "not two outcomes");
  seen[0] = a[0] + b[0];
  seen[1] = a[1] + b[1];
  return qpi_result_set_counts(out, 0, outcomes, seen, 2);
}

static void halves_drop(void* self, void* state) {
  --((halves*)self)->states;
  free(state);
}

/* ---- mirror: one task of one, its counts under the outcomes turned round */

static int mirror_expand(void* self, const qpi_task_attr* task, const qpi_device_info* device, qpi_expansion* out,
                         void** state) {
  (void)self;
  (void)device;
  *state = NULL;
  return qpi_expansion_add(out, task);
}

static int mirror_reduce(void* self, void* state, const qpi_result* const* results, size_t count, qpi_result* out) {
  const char* outcomes[2] = {"11", "00"};
  const uint64_t* seen;
  (void)self;
  (void)state;
  if (count != 1 || qpi_result_counts(results[0], 0, &seen) != 2) return qpi_fail(QPI_EINTERNAL, "not two outcomes");
  return qpi_result_set_counts(out, 0, outcomes, seen, 2);
}

static qpi_context* context;
static qpi_program* bell;

static qpi_task_attr task_of(uint64_t shots) {
  static const uint64_t seed = 5;
  qpi_task_attr task = QPI_TASK_ATTR_INIT;
  task.program = bell;
  task.shots = shots;
  task.seed = &seed;
  return task;
}

static void test_pipeline(void) {
  halves own = {0, 0};
  const qpi_tool split = {sizeof split, "halves", &own, halves_expand, halves_reduce, halves_drop};
  const qpi_tool turn = {sizeof turn, "mirror", NULL, mirror_expand, mirror_reduce, NULL};
  const qpi_tool* tools[2];
  qpi_stream_attr attr = QPI_STREAM_ATTR_INIT;
  qpi_error_entry error = QPI_ERROR_ENTRY_INIT;
  qpi_pipeline* pipeline = NULL;
  qpi_stream* stream = NULL;
  qpi_cq* cq = NULL;
  qpi_completion done[4];
  qpi_timing timing = QPI_TIMING_INIT;
  qpi_task_attr task = task_of(101);
  const uint64_t* counts;
  uint64_t id = 0;
  int mine;
  tools[0] = &turn;
  tools[1] = &split;
  EXPECT(qpi_pipeline_open(context, tools, 2, &pipeline) == 0);
  EXPECT(qpi_cq_open(context, NULL, &cq) == 0);
  attr.completions = cq;
  attr.pipeline = pipeline;
  EXPECT(qpi_stream_open_device(context, "statevec", &attr, &stream) == 0);
  qpi_pipeline_close(pipeline); /* the stream keeps it */
  task.context = &mine;
  EXPECT(qpi_stream_submit(stream, &task, &id) == 0);
  EXPECT(qpi_stream_wait(stream, QPI_FOREVER) == 0);
  EXPECT(qpi_cq_read(cq, done, 4, 0) == 1);
  EXPECT(done[0].id == id && done[0].context == &mine);
  EXPECT(qpi_result_counts(done[0].result, 0, &counts) == 2 && counts[0] + counts[1] == 101);
  EXPECT(qpi_result_timing(done[0].result, &timing) == 0 && timing.tools_ns > 0);
  qpi_result_close(done[0].result);
  EXPECT(own.states == 0);
  task.shots = 1;
  EXPECT(qpi_stream_submit(stream, &task, &id) == QPI_EINVAL);
  EXPECT(strstr(qpi_last_error(), "the tool \"halves\" failed to expand: fewer than 2 shots") != NULL);
  own.refuse = QPI_EDEVICE;
  task.shots = 50;
  EXPECT(qpi_stream_submit(stream, &task, &id) == 0);
  EXPECT(qpi_stream_wait(stream, QPI_FOREVER) == 0);
  EXPECT(qpi_cq_read(cq, done, 4, 0) == QPI_EAVAIL);
  EXPECT(qpi_cq_readerr(cq, &error) == 0);
  EXPECT(error.id == id && error.error == QPI_EDEVICE && error.context == &mine);
  EXPECT(strstr(error.message, "the tool \"halves\" failed to reduce: not today") != NULL);
  qpi_result_close(error.result);
  EXPECT(own.states == 0);
  qpi_stream_close(stream);
  qpi_cq_close(cq);
}

static int nothing_expand(void* self, const qpi_task_attr* task, const qpi_device_info* device, qpi_expansion* out,
                          void** state) {
  (void)self, (void)task, (void)device, (void)out, (void)state;
  return 0;
}

static int set_reduce(void* self, void* state, const qpi_result* const* results, size_t count, qpi_result* out) {
  const double values[2] = {0.25, 0.75};
  const char* twice[2] = {"01", "01"};
  const char* odd[1] = {"0a"};
  const uint64_t seen[2] = {1, 2};
  (void)self, (void)state, (void)results, (void)count;
  EXPECT(qpi_result_set_rows(out, 0) == QPI_EINVAL && qpi_result_set_rows(out, 3) == 0);
  EXPECT(qpi_result_set_counts(out, 0, twice, seen, 2) == QPI_EINVAL);
  EXPECT(qpi_result_set_counts(out, 0, odd, seen, 1) == QPI_EINVAL);
  EXPECT(qpi_result_set_expectations(out, 9, values, 2) == QPI_EINVAL);
  EXPECT(qpi_result_set_expectations(out, 1, values, 2) == 0);
  return qpi_result_set_probabilities(out, 2, values, 2);
}

static void test_wrong_tools_and_setters(void) {
  qpi_tool tool = QPI_TOOL_INIT;
  const qpi_tool* tools[1];
  qpi_stream_attr attr = QPI_STREAM_ATTR_INIT;
  qpi_pipeline* pipeline = NULL;
  qpi_stream* stream = NULL;
  qpi_cq* cq = NULL;
  qpi_completion done;
  qpi_task_attr task = task_of(10);
  const double* values;
  tools[0] = &tool;
  tool.name = "empty";
  EXPECT(qpi_pipeline_open(context, tools, 1, &pipeline) == QPI_EINVAL);
  EXPECT(strcmp(qpi_last_error(), "the tool \"empty\" lacks expand or reduce") == 0);
  tool.expand = nothing_expand;
  tool.reduce = set_reduce;
  EXPECT(qpi_pipeline_open(context, tools, 1, &pipeline) == 0);
  EXPECT(qpi_cq_open(context, NULL, &cq) == 0);
  attr.completions = cq;
  attr.pipeline = pipeline;
  EXPECT(qpi_stream_open_device(context, "statevec", &attr, &stream) == 0);
  EXPECT(qpi_stream_submit(stream, &task, NULL) == QPI_EINVAL);
  EXPECT(strstr(qpi_last_error(), "\"empty\" made 0 tasks") != NULL);
  qpi_stream_close(stream);
  qpi_pipeline_close(pipeline);
  tool.expand = mirror_expand;
  EXPECT(qpi_pipeline_open(context, tools, 1, &pipeline) == 0);
  attr.pipeline = pipeline;
  EXPECT(qpi_stream_open_device(context, "statevec", &attr, &stream) == 0);
  EXPECT(qpi_stream_submit(stream, &task, NULL) == 0);
  EXPECT(qpi_cq_read(cq, &done, 1, QPI_FOREVER) == 1);
  EXPECT(qpi_result_rows(done.result) == 3);
  EXPECT(qpi_result_expectations(done.result, 1, &values) == 2 && values[1] == 0.75);
  EXPECT(qpi_result_probabilities(done.result, 2, &values) == 2 && values[0] == 0.25);
  qpi_result_close(done.result);
  qpi_stream_close(stream);
  qpi_pipeline_close(pipeline);
  qpi_cq_close(cq);
  EXPECT(qpi_expansion_add(NULL, &task) == QPI_EINVAL && qpi_fail(QPI_EPARSE, "why") == QPI_EPARSE);
  EXPECT(strcmp(qpi_last_error(), "why") == 0);
}

int main(void) {
  if (qpi_connect(NULL, &context) != 0 || qpi_program_open(context, 2, 2, &bell) != 0 ||
      qpi_program_gate(bell, QPI_H, (uint32_t[]){0}, NULL) != 0 ||
      qpi_program_gate(bell, QPI_CX, (uint32_t[]){0, 1}, NULL) != 0 || qpi_program_measure_all(bell) != 0) {
    fprintf(stderr, "set-up: %s\n", qpi_last_error());
    return 99;
  }
  test_pipeline();
  test_wrong_tools_and_setters();
  qpi_program_close(bell);
  qpi_context_close(context);
  printf("%d failures\n", failures);
  return failures > 0;
}
