// C API: devices and meshes.
#include "qpi/native/capi.h"

using namespace qfw::qpi;
using namespace qfw::qpi::capi;

struct qpi_device_list {
  struct Entry {
    explicit Entry(Device d);
    Device device;
    std::vector<const char*> gates, outputs;
    std::vector<uint32_t> coupling;
    qpi_device_info info;
  };
  std::vector<std::unique_ptr<Entry>> entries;
};

qpi_device_list::Entry::Entry(Device d) : device(std::move(d)), info{} {
  const auto& from = device.info();
  for (const auto& name : from.gates) gates.push_back(name.c_str());
  for (const auto& name : from.outputs) outputs.push_back(name.c_str());
  for (const auto& [a, b] : from.coupling) coupling.insert(coupling.end(), {a, b});
  info.size = sizeof info;
  info.name = from.name.c_str();
  info.provider = from.provider.c_str();
  info.description = from.description.c_str();
  info.version = from.version.c_str();
  info.simulator = from.simulator;
  info.status = static_cast<int>(from.status);
  info.status_reason = from.status_reason.c_str();
  info.max_qubits = from.max_qubits;
  info.max_shots = from.max_shots;
  info.max_rows = from.max_rows;
  info.capacity = from.capacity;
  info.queued = from.queued;
  info.gates = gates.data();
  info.num_gates = gates.size();
  info.outputs = outputs.data();
  info.num_outputs = outputs.size();
  info.coupling = coupling.data();
  info.num_coupling = from.coupling.size();
  info.instances = from.instances;
  info.max_ranks = from.max_ranks;
  info.threads = from.threads;
}

qpi_device_list* qfw::qpi::capi::list_of(std::vector<qfw::qpm::DeviceInfo>&& devices) {
  auto made = std::make_unique<qpi_device_list>();
  for (auto& info : devices) made->entries.push_back(std::make_unique<qpi_device_list::Entry>(Device(std::move(info))));
  return made.release();
}

qpi_result* qfw::qpi::capi::result_of(std::vector<qfw::qpm::Result>& results, size_t first, size_t step,
                                      const qfw::qpm::Failure& whole) {
  auto made = std::make_unique<qpi_result>();
  made->result = std::move(results[first]);
  for (size_t i = first + step; i < results.size(); i += step) made->others.push_back({std::move(results[i]), {}, {}});
  if (!made->others.empty()) made->whole = whole;
  return made.release();
}

namespace {

// The failure of one task of a run: on a mesh that takes all, the one that names the devices.
qfw::qpm::Failure failure_in(const Mesh& mesh, const std::vector<qfw::qpm::Result>& ended, size_t task, size_t tasks) {
  if (!mesh.all()) return ended[task].failure;
  std::vector<std::string> names;
  std::vector<const qfw::qpm::Failure*> failures;
  for (const auto& device : mesh.devices()) {
    failures.push_back(&ended[names.size() * tasks + task].failure);
    names.push_back(device.name());
  }
  return failure_of(names, failures);
}

}  // namespace

extern "C" {

int qpi_device_list_open(qpi_context* context, qpi_device_list** list) {
  return guard([&] {
    need(list, "list") = nullptr;
    auto made = std::make_unique<qpi_device_list>();
    for (auto& device : need(context, "context").context->devices())
      made->entries.push_back(std::make_unique<qpi_device_list::Entry>(std::move(device)));
    *list = made.release();
    return 0;
  });
}

size_t qpi_device_list_count(const qpi_device_list* list) { return list ? list->entries.size() : 0; }

const qpi_device_info* qpi_device_list_get(const qpi_device_list* list, size_t index) {
  return list && index < list->entries.size() ? &list->entries[index]->info : nullptr;
}

void qpi_device_list_close(qpi_device_list* list) { delete list; }

int qpi_mesh_open(qpi_context* context, const qpi_mesh_attr* attr, qpi_mesh** mesh) {
  return guard([&] {
    need(mesh, "mesh") = nullptr;
    const auto a = read(attr, qpi_mesh_attr QPI_MESH_ATTR_INIT, "qpi_mesh_attr");
    MeshFilter filter;
    for (const char* name : array(a.devices, a.num_devices, "qpi_mesh_attr.devices")) {
      need(name, "a name in qpi_mesh_attr.devices");
      filter.names.emplace_back(name);
    }
    if (a.kind < QPI_ANY || a.kind > QPI_QPU)
      throw qfw::Error(qfw::ErrorCode::kInvalidArgument, "qpi_mesh_attr.kind is " + std::to_string(a.kind) +
                                                             "; allowed: 0 (any), 1 (simulator), 2 (QPU)");
    if (a.kind != QPI_ANY) filter.simulator = a.kind == QPI_SIMULATOR;
    filter.min_qubits = a.min_qubits;
    if (a.mode != QPI_MESH_ANY && a.mode != QPI_MESH_ALL)
      throw qfw::Error(qfw::ErrorCode::kInvalidArgument,
                       "qpi_mesh_attr.mode is " + std::to_string(a.mode) + "; allowed: 0 (any), 1 (all)");
    filter.all = a.mode == QPI_MESH_ALL;
    auto& from = need(context, "context").context;
    *mesh = new qpi_mesh{from, from->mesh(filter)};
    return 0;
  });
}

int qpi_mesh_run(qpi_mesh* mesh, const qpi_task_attr* tasks, size_t count, int timeout_ms, qpi_result** results) {
  return guard([&] {
    if (count > 0) std::fill_n(&need(results, "results"), count, nullptr);
    std::vector<Task> made;
    made.reserve(count);
    for (const auto& attr : read_tasks(tasks, count)) made.push_back(task_from(attr));
    auto& on = *need(mesh, "mesh").mesh;
    auto ended = on.run(std::move(made), timeout_ms < 0 ? -1.0 : timeout_ms * 1e-3);
    int first = 0;
    for (size_t i = 0; i < count; ++i) {
      const auto failure = failure_in(on, ended, i, count);
      if (failure && first == 0) first = fail(failure);
      results[i] = result_of(ended, i, count, failure);
    }
    return first;
  });
}

size_t qpi_mesh_num_devices(const qpi_mesh* mesh) { return mesh ? mesh->mesh->devices().size() : 0; }

const char* qpi_mesh_device(const qpi_mesh* mesh, size_t index) {
  return mesh && index < mesh->mesh->devices().size() ? mesh->mesh->devices()[index].name().c_str() : nullptr;
}

void qpi_mesh_close(qpi_mesh* mesh) { delete mesh; }

}  // extern "C"
