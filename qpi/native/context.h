// The way into qfw: one session with a runtime, in this process or behind a socket.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "qpi/native/connect.h"
#include "qpi/native/device.h"
#include "qpi/native/event_queue.h"
#include "qpi/native/mesh.h"
#include "qpi/native/queue.h"
#include "qpi/native/stream.h"

namespace qfw::qpi {

// Which devices a mesh takes; empty fields take all.
struct MeshFilter {
  std::vector<std::string> names;
  std::optional<bool> simulator;
  uint32_t min_qubits = 0;
  bool all = false;  // a task runs on all of them, not on any
};

class Context {
 public:
  // `endpoint`: "" (search: environment, then the only live run, then embedded), "embedded", "unix:/path", or the
  // path of an endpoint.json. Throws kUnavailable, kTimeout, kProtocol.
  static std::shared_ptr<Context> connect(const std::string& endpoint = "", const ConnectWish& wish = {});
  static std::shared_ptr<Context> over(std::shared_ptr<qpm::Session> session);
  ~Context();  // close()
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const std::string& endpoint() const noexcept { return endpoint_; }
  std::vector<Device> devices();                              // as they are now
  Device device(const std::string& name);                     // kNotFound lists the names there are
  std::shared_ptr<Mesh> mesh(const MeshFilter& filter = {});  // kNotFound when nothing fits
  std::shared_ptr<CompletionQueue> completion_queue(size_t capacity = CompletionQueue::kDefaultCapacity);
  // Events of devices by name (none: all); `kinds`: bits. kNotFound, kUnsupported.
  std::shared_ptr<EventQueue> event_queue(const std::vector<std::string>& devices, uint32_t kinds = qpm::kAllEvents,
                                          size_t capacity = EventQueue::kDefaultCapacity);
  std::unique_ptr<Stream> stream(const Mesh& mesh, qpm::Order order, const Queues& queues,
                                 std::shared_ptr<Pipeline> pipeline = nullptr, const qpm::JobSpec* job = nullptr);
  std::unique_ptr<Stream> stream(const Mesh& mesh, qpm::Order order, std::shared_ptr<CompletionQueue> completions);
  void cancel() { router_->cancel_everything(); }  // of all streams and runs; each completes as kCancelled
  uint32_t window() const noexcept { return router_->window(); }
  const std::shared_ptr<Router>& router() const noexcept { return router_; }
  void close();  // cancels everything, closes the queues; idempotent

 private:
  Context(std::shared_ptr<Router> router, std::string endpoint);

  std::shared_ptr<Router> router_;
  std::string endpoint_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<CompletionQueue>> queues_;
  std::shared_ptr<EventSource> events_;
};

}  // namespace qfw::qpi
