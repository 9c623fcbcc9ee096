/* Prints the events of one device, and of the runtime as a whole, until the runtime drains. Another queue is kept full.
 *
 *   listener ENDPOINT DEVICE
 */
#include <poll.h>
#include <qpi/qpi.h>
#include <stdio.h>

#include "expect.h"

static void print(const qpi_event* event) {
  printf("%d \"%s\" %d %d \"%s\" \"%s\"", event->kind, event->device, event->status, event->severity, event->message,
         event->calibration_set);
  for (size_t i = 0; i < event->num_values; ++i) printf(" %s=%g", event->values[i].name, event->values[i].value);
  printf("\n");
}

/* Waits by the descriptor, as a program does that waits for other things too. */
static void listen_until_drained(qpi_eq* queue) {
  uint64_t last = 0;
  int kind = 0;
  while (kind != QPI_EVENT_DRAIN && failures == 0) {
    struct pollfd readable = {qpi_eq_fd(queue), POLLIN, 0};
    EXPECT(poll(&readable, 1, 60000) == 1);
    EXPECT(qpi_eq_count(queue) > 0);
    qpi_event events[4] = {QPI_EVENT_INIT};
    const int64_t count = qpi_eq_read(queue, events, 4, QPI_FOREVER);
    EXPECT(count > 0);
    for (int64_t i = 0; i < count; ++i) {
      EXPECT(events[i].sequence > last && events[i].time_s > 1e9 && events[i].lost == 0);
      last = events[i].sequence;
      kind = events[i].kind;
      print(&events[i]);
      qpi_event_clear(&events[i]);
    }
  }
  qpi_event none = QPI_EVENT_INIT;
  EXPECT(qpi_eq_count(queue) == 0 && qpi_eq_read(queue, &none, 1, 0) == QPI_EAGAIN);
  EXPECT(qpi_eq_read(queue, &none, 1, 1) == QPI_ETIMEOUT && qpi_eq_read(queue, &none, 0, 0) == QPI_EINVAL);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  qpi_context* context = NULL;
  qpi_context_attr where = QPI_CONTEXT_ATTR_INIT;
  where.endpoint = argv[1];
  EXPECT(qpi_connect(&where, &context) == 0);
  const char* devices[] = {argv[2]};
  qpi_eq_attr attr = QPI_EQ_ATTR_INIT;
  attr.devices = devices;
  attr.num_devices = 1;
  qpi_eq *queue = NULL, *small = NULL, *none = NULL;
  EXPECT(qpi_eq_open(context, &attr, &queue) == 0);
  attr.capacity = 1;
  EXPECT(qpi_eq_open(context, &attr, &small) == 0);
  devices[0] = "nowhere";
  EXPECT(qpi_eq_open(context, &attr, &none) == QPI_ENOTFOUND && none == NULL);
  qpi_device_list* list = NULL;
  EXPECT(qpi_device_list_open(context, &list) == 0); /* by its answer the runtime knows that we listen */
  qpi_device_list_close(list);
  if (failures > 0) return 1;
  printf("listening\n");
  fflush(stdout);
  listen_until_drained(queue);
  qpi_event event = QPI_EVENT_INIT;
  EXPECT(qpi_eq_read(small, &event, 1, 0) == 1);
  printf("%d lost %d\n", event.kind, (int)event.lost);
  qpi_event_clear(&event);
  qpi_event_clear(NULL);
  qpi_eq_close(small);
  qpi_eq_close(queue);
  qpi_eq_close(NULL);
  qpi_context_close(context);
  return failures > 0;
}
