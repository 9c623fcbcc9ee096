// The composition root of native programs without a daemon.
#include <cstdlib>
#include <memory>

#include "qpm/native/runtime.h"

namespace qfw::qpm {
namespace {

// Never destroyed: at exit it is stopped, and threads of the program may still hold sessions of it.
std::shared_ptr<Runtime>& embedded_runtime() {
  static auto* runtime = [] {
    auto* made = new std::shared_ptr<Runtime>(Runtime::make());
    (*made)->add_statevec();
    return made;
  }();
  static const int registered = std::atexit([] { embedded_runtime()->stop(); });
  (void)registered;
  return *runtime;
}

}  // namespace

std::shared_ptr<Session> embedded_session() { return embedded_runtime()->session(); }

}  // namespace qfw::qpm
