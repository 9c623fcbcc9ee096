// qfw._core.qpm: the runtime, for the composition roots (qfw.qpm.daemon, qfw.qpm.worker, qfw._embedded).
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "qpm/api/native/session.h"
#include "qpm/native/bind.h"
#include "qpm/native/server_grpc.h"

namespace py = pybind11;
using namespace py::literals;

namespace qfw {
namespace qpm {
namespace {

constexpr std::pair<DeviceStatus, const char*> kStatus[] = {
    {DeviceStatus::kOnline, "online"},     {DeviceStatus::kStarting, "starting"}, {DeviceStatus::kBusy, "busy"},
    {DeviceStatus::kDraining, "draining"}, {DeviceStatus::kFault, "fault"},       {DeviceStatus::kOffline, "offline"}};

DeviceStatus status_from(const std::string& word) {
  for (auto [status, name] : kStatus)
    if (word == name) return status;
  throw Error(ErrorCode::kInvalidArgument,
              "unknown status '" + word + "'; allowed: online, starting, busy, draining, fault, offline");
}

// The place of a word among those allowed.
int one_of(const std::string& word, const char* what, std::initializer_list<const char*> allowed) {
  std::string all;
  for (const char* const* at = allowed.begin(); at != allowed.end(); ++at) {
    if (word == *at) return static_cast<int>(at - allowed.begin());
    all += (all.empty() ? "" : ", ") + std::string(*at);
  }
  throw Error(ErrorCode::kInvalidArgument, std::string(what) + " '" + word + "'; allowed: " + all);
}

const char* status_to(DeviceStatus status) {
  for (auto [value, name] : kStatus)
    if (value == status) return name;
  return "unknown";
}

template <typename T>
void take(const py::dict& info, const char* key, T& out) {
  if (info.contains(key)) out = info[key].cast<T>();
}

void emit(Runtime& runtime, const std::string& kind, std::optional<DeviceId> device, const std::string& message,
          const std::string& severity, const std::string& calibration_set,
          const std::map<std::string, double>& values) {
  Event event;
  event.kind =
      static_cast<EventKind>(one_of(kind, "kind of event", {"status", "fault", "drain", "calibration", "noise"}));
  event.severity = static_cast<Severity>(one_of(severity, "severity", {"info", "warning", "error"}));
  event.message = message;
  event.calibration_set = calibration_set;
  event.values = values;
  py::gil_scoped_release unlock;
  device ? runtime.emit(*device, std::move(event)) : runtime.emit(std::move(event));
}

py::dict stats_to(const RuntimeStats& s) {
  return py::dict("submitted"_a = s.submitted, "completed"_a = s.completed, "failed"_a = s.failed,
                  "queued"_a = s.queued, "running"_a = s.running, "sessions"_a = s.sessions, "programs"_a = s.programs,
                  "program_bytes"_a = s.program_bytes);
}

std::shared_ptr<Runtime> make_runtime(unsigned threads, uint32_t max_sessions, uint32_t window, uint64_t max_queue,
                                      uint32_t max_rows, uint64_t max_shots, uint64_t program_cache_bytes) {
  RuntimeOptions o;
  o.threads = threads;
  o.max_sessions = max_sessions;
  o.window = window;
  o.max_queue = max_queue;
  o.max_rows = max_rows;
  o.max_shots = max_shots;
  o.program_cache_bytes = program_cache_bytes;
  return Runtime::make(o);
}

}  // namespace

DeviceInfo device_info_from(const py::dict& d) {
  DeviceInfo info;
  take(d, "name", info.name);
  if (info.name.empty()) throw Error(ErrorCode::kInvalidArgument, "a device needs a name");
  info.max_shots = RuntimeOptions().max_shots;
  info.max_rows = RuntimeOptions().max_rows;
  take(d, "provider", info.provider);
  take(d, "description", info.description);
  take(d, "version", info.version);
  take(d, "simulator", info.simulator);
  take(d, "max_qubits", info.max_qubits);
  take(d, "max_shots", info.max_shots);
  take(d, "max_rows", info.max_rows);
  take(d, "capacity", info.capacity);
  take(d, "gates", info.gates);
  take(d, "outputs", info.outputs);
  take(d, "coupling", info.coupling);
  take(d, "options", info.options);
  take(d, "max_ranks", info.max_ranks);
  take(d, "threads", info.threads);
  take(d, "split_rows", info.split_rows);
  return info;
}

py::dict device_info_to(const DeviceInfo& i) {
  return py::dict("id"_a = i.id, "name"_a = i.name, "provider"_a = i.provider, "description"_a = i.description,
                  "version"_a = i.version, "simulator"_a = i.simulator, "status"_a = status_to(i.status),
                  "status_reason"_a = i.status_reason, "max_qubits"_a = i.max_qubits, "max_shots"_a = i.max_shots,
                  "max_rows"_a = i.max_rows, "capacity"_a = i.capacity, "queued"_a = i.queued, "gates"_a = i.gates,
                  "outputs"_a = i.outputs, "coupling"_a = i.coupling, "options"_a = i.options,
                  "instances"_a = i.instances, "max_ranks"_a = i.max_ranks, "threads"_a = i.threads);
}

}  // namespace qpm

void bind_qpm(py::module_& m) {
  using namespace qpm;
  const RuntimeOptions defaults;
  py::class_<Session, std::shared_ptr<Session>>(m, "Session",
                                                "A client's stay in a runtime: the transport of qfw.qpi.Context.")
      .def_property_readonly("endpoint", &Session::endpoint)
      .def_property_readonly("window", &Session::window)
      .def("close", &Session::close, py::call_guard<py::gil_scoped_release>());

  py::class_<Runtime, std::shared_ptr<Runtime>> runtime(
      m, "Runtime", "The runtime as a library: devices, sessions, dispatch. Stop it before the interpreter ends.");
  py::class_<GrpcServer, std::shared_ptr<GrpcServer>>(m, "Server", "A runtime's service on a socket.")
      .def_property_readonly("address", &GrpcServer::address)
      .def_property_readonly("tls_address", &GrpcServer::tls_address)
      .def("hurry", &GrpcServer::hurry, "A stop() under way waits for no task any longer.")
      .def(
          "stop", &GrpcServer::stop, "grace_s"_a = 0.0, py::call_guard<py::gil_scoped_release>(),
          "Refuses new sessions and tasks, gives unfinished ones `grace_s` seconds, completes the rest as Unavailable, "
          "then ends all sessions; with 0 at once. Idempotent.");
  runtime
      .def(py::init(&make_runtime), "threads"_a = defaults.threads, "max_sessions"_a = defaults.max_sessions,
           "window"_a = defaults.window, "max_queue"_a = defaults.max_queue, "max_rows"_a = defaults.max_rows,
           "max_shots"_a = defaults.max_shots, "program_cache_bytes"_a = defaults.program_cache_bytes)
      .def("add_statevec", &Runtime::add_statevec, "name"_a = "statevec", py::call_guard<py::gil_scoped_release>(),
           "Adds the built-in simulator; returns the device's id.")
      .def(
          "set_status",
          [](Runtime& r, DeviceId id, const std::string& status, const std::string& reason) {
            const DeviceStatus value = status_from(status);
            py::gil_scoped_release unlock;
            r.set_status(id, value, reason);
          },
          "device"_a, "status"_a, "reason"_a = "",
          "Sets a device's status: online, starting, draining, fault or offline. Tasks that no usable device is left "
          "for fail with Unavailable and the reason.")
      .def("emit", &emit, "kind"_a, "device"_a = py::none(), "message"_a = "", "severity"_a = "info",
           "calibration_set"_a = "", "values"_a = std::map<std::string, double>(),
           "Tells who listens: a status, fault, drain, calibration or noise event of a device (its id), or of the "
           "runtime as a whole. Nothing is kept.")
      .def(
          "devices",
          [](const Runtime& r) {
            std::vector<DeviceInfo> infos;
            {
              py::gil_scoped_release unlock;
              infos = r.devices();
            }
            py::list out;
            for (const auto& i : infos) out.append(device_info_to(i));
            return out;
          },
          "All devices, each as a dict.")
      .def(
          "session", [](Runtime& r, double weight) { return r.session(weight); }, "weight"_a = 1.0,
          py::call_guard<py::gil_scoped_release>(), "A session within this process; `weight` is its fair share.")
      .def(
          "serve",
          [](const std::shared_ptr<Runtime>& r, const std::string& address, const std::string& tls_address,
             const std::string& ca, const std::string& certificate, const std::string& key) {
            return std::make_shared<GrpcServer>(r, address, wire::Limits{},
                                                TlsListen{tls_address, {ca, certificate, key, ""}});
          },
          "address"_a, "tls_address"_a = "", "ca"_a = "", "certificate"_a = "", "key"_a = "",
          py::call_guard<py::gil_scoped_release>(),
          "Offers the runtime on \"unix:/path\", and with the three PEM files on \"host:port\" (0: any) to clients "
          "that "
          "have a certificate of that authority; until the Server is stopped. Unavailable.")
      .def(
          "stats",
          [](Runtime& r) {
            py::dict counters = stats_to(r.stats());
            add_pool_stats(r, counters);
            return counters;
          },
          "Counters, as a dict; those of instances are sums over all pools.")
      .def("stop", &Runtime::stop, py::call_guard<py::gil_scoped_release>(),
           "Cancels what is unfinished and ends every thread and worker. Idempotent.");
  bind_devices(runtime);
}

}  // namespace qfw
