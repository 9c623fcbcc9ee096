/* After fork() a child is told so by everything of its parent's, and may connect anew. */
#define _POSIX_C_SOURCE 200809L
#include <qpi/qpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(qpi_context* context) {
  qpi_mesh* mesh = NULL;
  qpi_program* program = NULL;
  qpi_result* result = NULL;
  qpi_task_attr task = QPI_TASK_ATTR_INIT;
  int error = qpi_mesh_open(context, NULL, &mesh);
  if (error == 0) error = qpi_program_open(context, 1, 1, &program);
  if (error == 0) error = qpi_program_measure_all(program);
  task.program = program;
  if (error == 0) error = qpi_mesh_run(mesh, &task, 1, 60000, &result);
  qpi_result_close(result);
  qpi_program_close(program);
  qpi_mesh_close(mesh);
  return error;
}

static int is_told(int64_t error) { return error == QPI_ECLOSED && strstr(qpi_last_error(), "fork") != NULL; }

/* Which of the checks failed; 0: none. */
static int child(qpi_context* context, qpi_cq* cq, qpi_eq* eq, qpi_stream* stream) {
  qpi_completion done;
  qpi_event event = QPI_EVENT_INIT;
  qpi_device_list* devices;
  qpi_context* anew = NULL;
  if (!is_told(run(context))) return 1;
  if (!is_told(qpi_device_list_open(context, &devices))) return 2;
  if (!is_told(qpi_cq_read(cq, &done, 1, QPI_FOREVER))) return 3;
  if (!is_told(qpi_eq_read(eq, &event, 1, QPI_FOREVER))) return 4;
  if (!is_told(qpi_stream_wait(stream, QPI_FOREVER))) return 5;
  if (!is_told(qpi_context_cancel(context))) return 6;
  if (qpi_connect(NULL, &anew) != 0 || run(anew) != 0) return 7;
  qpi_context_close(anew);
  qpi_eq_close(eq);
  qpi_stream_close(stream);
  qpi_cq_close(cq);
  qpi_context_close(context); /* its threads live in the parent: nothing waits for them */
  return 0;
}

int main(void) {
  qpi_stream_attr attr = QPI_STREAM_ATTR_INIT;
  qpi_context* context = NULL;
  qpi_mesh* mesh = NULL;
  qpi_stream* stream = NULL;
  qpi_cq* cq = NULL;
  qpi_eq* eq = NULL;
  int status = 0;
  pid_t pid;
  if (qpi_connect(NULL, &context) != 0 || run(context) != 0 || qpi_cq_open(context, NULL, &cq) != 0 ||
      qpi_eq_open(context, NULL, &eq) != 0 || qpi_mesh_open(context, NULL, &mesh) != 0) {
    fprintf(stderr, "set-up: %s\n", qpi_last_error());
    return 99;
  }
  attr.completions = cq;
  if (qpi_stream_open(mesh, &attr, &stream) != 0) return 98;
  pid = fork();
  if (pid == 0)
    exit(child(context, cq, eq, stream)); /* exit(), not _exit(): what runs at the end must not wait either */
  if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return 97;
  if (WEXITSTATUS(status) != 0) fprintf(stderr, "check %d failed in the child\n", WEXITSTATUS(status));
  if (run(context) != 0) return 96; /* the parent goes on */
  qpi_stream_close(stream);
  qpi_eq_close(eq);
  qpi_cq_close(cq);
  qpi_mesh_close(mesh);
  qpi_context_close(context);
  printf("%d failures\n", WEXITSTATUS(status) != 0);
  return WEXITSTATUS(status);
}
