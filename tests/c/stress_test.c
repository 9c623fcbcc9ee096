/* Many threads on one context at once: streams, a queue and a mesh are shared, and every operation completes once. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <qpi/qpi.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 6, ROUNDS = 40, BATCH = 5, STREAMS = 3, IDS = 1 << 16 };

static qpi_context* context;
static qpi_mesh* mesh;
static qpi_program* program;
static qpi_cq* cq;
static qpi_stream* streams[STREAMS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char submitted[IDS], ended[IDS];
static int failures = 0, writers = THREADS;

static void fail(const char* what) {
  pthread_mutex_lock(&lock);
  ++failures;
  fprintf(stderr, "%s: %s\n", what, qpi_last_error());
  pthread_mutex_unlock(&lock);
}

static void mark(unsigned char* where, uint64_t id) {
  pthread_mutex_lock(&lock);
  if (id >= IDS || where[id]++ != 0) ++failures;
  pthread_mutex_unlock(&lock);
}

static void* write_all(void* argument) {
  const int number = *(const int*)argument;
  qpi_task_attr tasks[BATCH];
  uint64_t ids[BATCH], id;
  qpi_result* result;
  int round, i;
  for (i = 0; i < BATCH; ++i) {
    const qpi_task_attr init = QPI_TASK_ATTR_INIT;
    tasks[i] = init;
    tasks[i].program = program;
    tasks[i].shots = 1;
  }
  for (round = 0; round < ROUNDS; ++round) {
    qpi_stream* stream = streams[(number + round) % STREAMS];
    if (qpi_stream_submit_many(stream, tasks, BATCH, ids) != BATCH) fail("submit_many");
    for (i = 0; i < BATCH; ++i) mark(submitted, ids[i]);
    if (round % 5 == 0 && qpi_stream_barrier(stream, NULL, &id) == 0) mark(submitted, id);
    if (round % 7 == 0 && qpi_stream_query(stream, NULL, NULL, &id) == 0) mark(submitted, id);
    if (round % 11 == 0 && qpi_stream_cancel_all(stream) != 0) fail("cancel_all");
    if (qpi_mesh_run(mesh, tasks, 1, 60000, &result) != 0) fail("run");
    qpi_result_close(result);
  }
  pthread_mutex_lock(&lock);
  --writers;
  pthread_mutex_unlock(&lock);
  qpi_cq_signal(cq);
  return NULL;
}

static int finished(void) {
  int none;
  pthread_mutex_lock(&lock);
  none = writers == 0;
  pthread_mutex_unlock(&lock);
  return none && qpi_cq_outstanding(cq) == 0 && qpi_cq_count(cq) == 0;
}

static void* read_all(void* unused) {
  qpi_completion done[16];
  qpi_error_entry error = QPI_ERROR_ENTRY_INIT;
  int64_t n, i;
  (void)unused;
  while (!finished()) {
    n = qpi_cq_read(cq, done, 16, 20);
    for (i = 0; i < n; ++i) {
      mark(ended, done[i].id);
      qpi_result_close(done[i].result);
      qpi_device_list_close(done[i].devices);
    }
    if (n == QPI_EAVAIL && qpi_cq_readerr(cq, &error) == 0) { /* or the other reader took it */
      if (error.error != QPI_ECANCELLED) fail(error.message);
      mark(ended, error.id);
      qpi_result_close(error.result);
    } else if (n < 0 && n != QPI_ETIMEOUT && n != QPI_EAGAIN && n != QPI_EAVAIL) {
      fail("read");
    }
  }
  return NULL;
}

int main(void) {
  qpi_stream_attr attr = QPI_STREAM_ATTR_INIT;
  pthread_t threads[THREADS], readers[2];
  int numbers[THREADS], i;
  if (qpi_connect(NULL, &context) != 0 || qpi_mesh_open(context, NULL, &mesh) != 0 ||
      qpi_cq_open(context, NULL, &cq) != 0 || qpi_program_open(context, 2, 2, &program) != 0 ||
      qpi_program_gate(program, QPI_H, (uint32_t[]){0}, NULL) != 0 || qpi_program_measure_all(program) != 0) {
    fprintf(stderr, "set-up: %s\n", qpi_last_error());
    return 99;
  }
  attr.completions = cq;
  for (i = 0; i < STREAMS; ++i) {
    attr.order = i == 1 ? QPI_SEQUENTIAL : QPI_PARALLEL;
    if (qpi_stream_open(mesh, &attr, &streams[i]) != 0) fail("stream");
  }
  for (i = 0; i < 2; ++i) pthread_create(&readers[i], NULL, read_all, NULL);
  for (i = 0; i < THREADS; ++i) {
    numbers[i] = i;
    pthread_create(&threads[i], NULL, write_all, &numbers[i]);
  }
  for (i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  for (i = 0; i < 2; ++i) pthread_join(readers[i], NULL);
  if (memcmp(submitted, ended, sizeof submitted) != 0) fail("not every operation has completed once");
  for (i = 0; i < STREAMS; ++i) qpi_stream_close(streams[i]);
  qpi_cq_close(cq);
  qpi_program_close(program);
  qpi_mesh_close(mesh);
  qpi_context_close(context);
  printf("%d failures\n", failures);
  return failures > 0;
}
