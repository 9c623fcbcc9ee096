#include "qpi/native/context.h"

#include <algorithm>
#include <utility>

#include "qpi/native/connect.h"

namespace qfw::qpi {
namespace {

std::string names_of(const std::vector<Device>& devices) {
  std::string text;
  for (const Device& d : devices) text += (text.empty() ? "" : ", ") + d.name();
  return text.empty() ? "none" : text;
}

bool fits(const Device& device, const MeshFilter& filter) {
  return (!filter.simulator || device.info().simulator == *filter.simulator) &&
         device.info().max_qubits >= filter.min_qubits;
}

const Device& find(const std::vector<Device>& devices, const std::string& name) {
  const auto at = std::find_if(devices.begin(), devices.end(), [&](const Device& d) { return d.name() == name; });
  if (at == devices.end())
    throw Error(ErrorCode::kNotFound, "there is no device \"" + name + "\"; there are: " + names_of(devices));
  return *at;
}

}  // namespace

std::shared_ptr<Context> Context::connect(const std::string& endpoint, const ConnectWish& wish) {
  return over(open_session(endpoint, wish));
}

std::shared_ptr<Context> Context::over(std::shared_ptr<qpm::Session> session) {
  auto endpoint = session->endpoint();
  return std::shared_ptr<Context>(new Context(Router::over(std::move(session)), std::move(endpoint)));
}

Context::Context(std::shared_ptr<Router> router, std::string endpoint)
    : router_(std::move(router)),
      endpoint_(std::move(endpoint)),
      events_(std::make_shared<EventSource>([router = router_] { return router->session(); })) {}

Context::~Context() { close(); }

std::vector<Device> Context::devices() {
  std::vector<Device> found;
  for (auto& info : router_->session()->devices()) found.emplace_back(std::move(info));
  return found;
}

Device Context::device(const std::string& name) { return find(devices(), name); }

std::shared_ptr<Mesh> Context::mesh(const MeshFilter& filter) {
  const auto all = devices();
  std::vector<Device> chosen;
  if (filter.names.empty()) {
    std::copy_if(all.begin(), all.end(), std::back_inserter(chosen), [&](const Device& d) { return fits(d, filter); });
  } else {
    for (const auto& name : filter.names) {
      const Device& device = find(all, name);
      if (!fits(device, filter))
        throw Error(ErrorCode::kNotFound, "the device \"" + name + "\" has " +
                                              std::to_string(device.info().max_qubits) + " qubits and is a " +
                                              (device.info().simulator ? "simulator" : "QPU") +
                                              ", which is not what the mesh asks for");
      chosen.push_back(device);
    }
  }
  if (chosen.empty())
    throw Error(ErrorCode::kNotFound,
                "no device with at least " + std::to_string(filter.min_qubits) + " qubits" +
                    (filter.simulator ? (*filter.simulator ? " that is a simulator" : " that is a QPU") : "") +
                    "; there are: " + names_of(all));
  return std::make_shared<Mesh>(router_, std::move(chosen), filter.all);
}

std::shared_ptr<CompletionQueue> Context::completion_queue(size_t capacity) {
  router_->session();  // refuses after close
  auto queue = std::make_shared<CompletionQueue>(capacity, router_);
  std::lock_guard lock(mutex_);
  std::erase_if(queues_, [](const auto& q) { return q.expired(); });
  queues_.push_back(queue);
  return queue;
}

std::shared_ptr<EventQueue> Context::event_queue(const std::vector<std::string>& names, uint32_t kinds,
                                                 size_t capacity) {
  EventFilter filter{{}, kinds};
  if (!names.empty()) {
    const auto all = devices();
    for (const auto& name : names) filter.devices.push_back(find(all, name).id());
  }
  return events_->open(std::move(filter), capacity);
}

std::unique_ptr<Stream> Context::stream(const Mesh& mesh, qpm::Order order, const Queues& queues,
                                        std::shared_ptr<Pipeline> pipeline, const qpm::JobSpec* job) {
  return std::make_unique<Stream>(mesh, order, queues, std::move(pipeline), job);
}

std::unique_ptr<Stream> Context::stream(const Mesh& mesh, qpm::Order order,
                                        std::shared_ptr<CompletionQueue> completions) {
  return stream(mesh, order, Queues{std::move(completions), nullptr, nullptr, nullptr});
}

void Context::close() {
  router_->close();
  events_->close();
  std::lock_guard lock(mutex_);
  for (const auto& weak : queues_)
    if (auto queue = weak.lock()) queue->close();
}

}  // namespace qfw::qpi
