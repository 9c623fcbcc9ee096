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
}

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
    auto ended = need(mesh, "mesh").mesh->run(std::move(made), timeout_ms < 0 ? -1.0 : timeout_ms * 1e-3);
    int first = 0;
    for (size_t i = 0; i < count; ++i) {
      if (ended[i].failure && first == 0) first = fail(ended[i].failure);
      results[i] = new qpi_result{std::move(ended[i])};
    }
    return first;
  });
}

void qpi_mesh_close(qpi_mesh* mesh) { delete mesh; }

}  // extern "C"
