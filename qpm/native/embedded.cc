// The composition root of native programs without a daemon.
#include <pthread.h>

#include <cstdlib>
#include <memory>
#include <mutex>

#include "qpm/native/runtime.h"

namespace qfw::qpm {
namespace {

// Never destroyed: at exit it is stopped, and threads of the program may still hold sessions of it. In a child of
// fork(), where its threads are missing, it is left alone and another one is made.
struct Embedded {
  std::mutex mutex;
  std::shared_ptr<Runtime> runtime;
};

Embedded* embedded = new Embedded;

void stop_at_exit() {
  if (embedded->runtime) embedded->runtime->stop();
}

std::shared_ptr<Runtime> embedded_runtime() {
  static const int registered =
      std::atexit(&stop_at_exit) + pthread_atfork(nullptr, nullptr, [] { embedded = new Embedded; });
  (void)registered;
  std::lock_guard lock(embedded->mutex);
  if (!embedded->runtime) {
    embedded->runtime = Runtime::make();
    embedded->runtime->add_statevec();
  }
  return embedded->runtime;
}

}  // namespace

std::shared_ptr<Session> embedded_session() { return embedded_runtime()->session(); }

}  // namespace qfw::qpm
