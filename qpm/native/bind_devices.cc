// Devices that Python has a part in: run by Python code (add_python_device), or in a process that Python starts
// (add_workers).
#include <pybind11/complex.h>
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <type_traits>

#include "program/native/error.h"
#include "qpm/native/bind.h"
#include "qpm/native/device_pool.h"
#include "qpm/native/device_python.h"
#include "qpm/native/device_statevec.h"
#include "qpm/native/pool_worker.h"

namespace py = pybind11;
using namespace py::literals;

namespace qfw::qpm {
namespace {

constexpr int kStuckStatus = 75;  // EX_TEMPFAIL: the exit status of a worker that ended itself

// ---- Python's errors as failures

std::string text_of(py::handle object) {
  try {
    return py::str(object).cast<std::string>();
  } catch (py::error_already_set&) {
    return "(an exception that cannot be printed)";
  }
}

}  // namespace

Failure failure_from(py::handle exception) {
  if (py::hasattr(exception, "code") && py::hasattr(exception, "transient") && py::hasattr(exception, "retry_after"))
    return {static_cast<ErrorCode>(exception.attr("code").cast<int>()), text_of(exception),
            exception.attr("transient").cast<bool>(), exception.attr("retry_after").cast<double>()};
  const std::string type = text_of(py::type::handle_of(exception).attr("__name__"));
  return {ErrorCode::kDevice, type + ": " + text_of(exception)};
}

Failure failure_from(py::error_already_set& error) { return failure_from(error.value()); }

namespace {

[[noreturn]] void raise_as_error(py::error_already_set& error) { failure_from(error).raise(); }

// ---- a job for Python, and back

py::tuple outputs_of(uint32_t outputs) {
  py::list names;
  for (auto [bit, name] : kOutputNames)
    if (outputs & bit) names.append(name);
  return py::tuple(names);
}

py::dict task_to(const JobPtr& job) {
  const Task& t = job->work;
  py::array_t<double> bindings({py::ssize_t{t.bindings.rows}, py::ssize_t{t.bindings.columns}});
  if (!t.bindings.values.empty())
    std::memcpy(bindings.mutable_data(), t.bindings.values.data(), t.bindings.values.size() * sizeof(double));
  return py::dict("program"_a = std::const_pointer_cast<program::Program>(t.program), "bindings"_a = bindings,
                  "shots"_a = t.shots, "outputs"_a = outputs_of(t.outputs), "qubits"_a = t.probability_qubits,
                  "observables"_a = t.observables, "gradient_parameters"_a = t.gradient_parameters,
                  "seed"_a = job->seed, "options"_a = t.options, "first_row"_a = t.first_row, "ranks"_a = t.ranks,
                  "stopped"_a = py::cpp_function([job] { return given_up(*job); }));
}

// `entries`: how many there must be; absent: any number.
template <typename T>
void take_array(const py::dict& row, const char* name, std::optional<size_t> entries, std::vector<T>& out) {
  if (!row.contains(name)) return;
  const auto array = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(row[name]);
  if (!array)
    throw Error(ErrorCode::kDevice, std::string("the device gave '") + name + "' that is no array of numbers");
  const auto found = static_cast<size_t>(array.size());
  if (entries && found != *entries)
    throw Error(ErrorCode::kDevice, std::string("the device gave '") + name + "' with " + std::to_string(found) +
                                        " entries; " + std::to_string(*entries) + " are needed");
  out.assign(array.data(), array.data() + found);
}

RowResult row_from(const Task& t, const py::dict& row) {
  RowResult r;
  if (row.contains("error")) {
    r.failure = failure_from(row["error"]);
    return r;
  }
  const size_t n = t.program->num_qubits();
  const size_t k = t.probability_qubits.empty() ? n : t.probability_qubits.size();
  const size_t bytes = (size_t{t.program->num_bits()} + 7) / 8;
  take_array(row, "counts", std::nullopt, r.counts);
  take_array(row, "count_keys", r.counts.size() * bytes, r.count_keys);
  take_array(row, "memory", t.shots * bytes, r.memory);
  take_array(row, "probabilities", size_t{1} << k, r.probabilities);
  take_array(row, "statevector", size_t{1} << n, r.statevector);
  take_array(row, "expectations", t.observables.size(), r.expectations);
  take_array(row, "gradients", t.observables.size() * gradient_columns(t), r.gradients);
  return r;
}

// A dict with "rows", or an exception. A row's failure is the task's as well.
Result rows_from(const Task& t, py::handle object) {
  Result result;
  if (!py::isinstance<py::dict>(object)) {
    result.failure = failure_from(object);
    return result;
  }
  std::string failed;
  for (const py::handle row : object["rows"]) {
    result.rows.push_back(row_from(t, py::reinterpret_borrow<py::dict>(row)));
    const Failure& failure = result.rows.back().failure;
    if (!failure) continue;
    if (!result.failure) result.failure = failure;
    failed += (failed.empty() ? "" : ", ") + std::to_string(result.rows.size() - 1);
  }
  if (result.rows.size() != t.bindings.rows)
    throw Error(ErrorCode::kDevice, "the device gave " + std::to_string(result.rows.size()) + " rows; " +
                                        std::to_string(t.bindings.rows) + " are needed");
  if (result.failure && result.rows.size() > 1)
    result.failure.message = "rows " + failed + " failed: " + result.failure.message;
  return result;
}

// An answer that cannot be read is the failure of its own task alone.
Result result_from(const Task& t, py::handle object) {
  Result result;
  try {
    return rows_from(t, object);
  } catch (const Error& error) {
    result.failure = Failure::of(error);
  } catch (py::error_already_set& error) {
    result.failure = failure_from(error);
  } catch (const py::cast_error& error) {
    result.failure = {ErrorCode::kDevice, std::string("a result of Python code cannot be read: ") + error.what()};
  }
  return result;
}

std::vector<Result> execute(const PyRef& code, const std::vector<JobPtr>& jobs) {
  const py::gil_scoped_acquire lock;
  Failure failure;
  try {
    py::list tasks;
    for (const auto& job : jobs) tasks.append(task_to(job));
    const py::list raw = code.get()(tasks);
    std::vector<Result> results;
    if (raw.size() != jobs.size())
      throw Error(ErrorCode::kDevice, "the device gave " + std::to_string(raw.size()) + " results for " +
                                          std::to_string(jobs.size()) + " tasks");
    for (size_t i = 0; i < jobs.size(); ++i) results.push_back(result_from(jobs[i]->work, raw[i]));
    return results;
  } catch (py::error_already_set& error) {
    failure = failure_from(error);
  } catch (const Error& error) {
    failure = Failure::of(error);
  } catch (const std::exception& error) {
    failure = {ErrorCode::kInternal, std::string("a result of Python code cannot be read: ") + error.what()};
  }
  std::vector<Result> failed(jobs.size());
  for (auto& r : failed) r.failure = failure;
  return failed;
}

// ---- one Python thread state for the whole life of a device's thread, so that thread-local things stay

struct ThreadState {
  py::gil_scoped_acquire acquired;
  std::optional<py::gil_scoped_release> released;
  ThreadState() { released.emplace(); }
};

// Waits for a thread that may need the global lock: without it, whoever drops the last reference to a runtime.
void wait_unlocked(const std::function<void()>& wait) {
  if (!Py_IsInitialized() || !PyGILState_Check()) return wait();
  const py::gil_scoped_release unlock;
  wait();
}

DeviceId add_python_device(Runtime& runtime, const py::dict& info, const py::object& code, double patience_s) {
  auto state = std::make_shared<std::unique_ptr<ThreadState>>();
  PythonDevice::Code calls;
  calls.execute = [ref = PyRef(code)](const std::vector<JobPtr>& jobs) { return execute(ref, jobs); };
  calls.thread_begins = [state] { *state = std::make_unique<ThreadState>(); };
  calls.thread_ends = [state] {
    if (!Py_IsInitialized()) return;
    (*state)->released.reset();
    state->reset();
  };
  calls.away = &wait_unlocked;
  // No Python here, and no clean-up: the code that is stuck may hold the global lock, and nobody waits for it.
  std::function<void()> stuck = [] { ::_exit(kStuckStatus); };
  const DeviceInfo described = device_info_from(info);
  const py::gil_scoped_release unlock;
  return runtime.add_device(std::make_unique<PythonDevice>(described, std::move(calls), patience_s, std::move(stuck)));
}

// ---- workers

template <typename Result, typename... Arguments>
Result call(const PyRef& function, Arguments... arguments) {
  const py::gil_scoped_acquire lock;
  try {
    const py::object answer = function.get()(arguments...);
    if constexpr (!std::is_void_v<Result>) return answer.cast<Result>();
  } catch (py::error_already_set& error) {
    raise_as_error(error);
  } catch (const py::cast_error& error) {
    throw Error(ErrorCode::kInternal, std::string("an answer of Python code cannot be read: ") + error.what());
  }
}

template <typename T>
T entry(const py::handle& mapping, const char* name, T otherwise) {
  const auto values = py::reinterpret_borrow<py::object>(mapping);
  return values.contains(name) ? values[name].template cast<T>() : otherwise;
}

std::unique_ptr<PoolMember> make_worker(const DeviceInfo& info, const py::handle& given, const py::dict& policy) {
  PoolWorker::Process process;
  process.start = [ref = PyRef(given.attr("start"))](uint32_t ranks) { return call<std::string>(ref, ranks); };
  process.stop = [ref = PyRef(given.attr("stop"))] { call<void>(ref); };
  process.last_words = [ref = PyRef(given.attr("last_words"))] { return call<std::string>(ref); };
  process.away = &wait_unlocked;
  const py::object tls = given.attr("tls");
  process.tls = {entry<std::string>(tls, "ca", ""), entry<std::string>(tls, "certificate", ""),
                 entry<std::string>(tls, "key", ""), entry<std::string>(tls, "server_name", "")};
  process.keepalive_s = entry(policy, "keepalive_s", process.keepalive_s);
  return std::make_unique<PoolWorker>(info.name, std::move(process));
}

PoolDevice::Options options_from(const py::dict& policy, DeviceInfo& info) {
  PoolDevice::Options o;
  o.policy.floor = entry(policy, "floor", 0u);
  o.policy.idle = static_cast<uint64_t>(entry(policy, "idle_s", 0.0) * 1e9);
  o.ranks.max_ranks = entry(policy, "max_ranks", 1u);
  o.ranks.node_bytes = entry(policy, "node_bytes", uint64_t{0});
  o.ranks.rank_bytes = entry(policy, "rank_bytes", uint64_t{0});
  o.away = &wait_unlocked;
  if (info.provider != "statevec") return o;
  info.split_rows = true;
  info.max_qubits = o.ranks.max_qubits(info.max_qubits);
  o.check = [info](const Task& task) { check_statevec(info, task); };
  o.estimate_ns = &statevec_ns;
  o.ranks.needed = &statevec_bytes;
  return o;
}

DeviceId add_workers(Runtime& runtime, const py::dict& info, const py::sequence& workers, const py::dict& policy) {
  DeviceInfo described = device_info_from(info);
  PoolDevice::Options options = options_from(policy, described);
  described.max_ranks = std::max(described.max_ranks, options.ranks.max_ranks);
  std::vector<std::unique_ptr<PoolMember>> members;
  for (const py::handle worker : workers) members.push_back(make_worker(described, worker, policy));
  if (members.empty()) throw Error(ErrorCode::kInvalidArgument, "0 workers; a device needs at least 1");
  const py::gil_scoped_release unlock;
  return runtime.add_device(std::make_unique<PoolDevice>(described, std::move(members), std::move(options)));
}

PoolDevice& pool_of(Runtime& runtime, DeviceId id) {
  auto* found = dynamic_cast<PoolDevice*>(&runtime.find_device(id));
  if (!found)
    throw Error(ErrorCode::kInvalidArgument, "device " + std::to_string(id) + " is not served by a pool of instances");
  return *found;
}

py::dict pool_stats(Runtime& runtime, DeviceId id) {
  Pool::Stats s;
  {
    const py::gil_scoped_release unlock;
    s = pool_of(runtime, id).stats();
  }
  return py::dict("members"_a = s.members, "up"_a = s.up, "starting"_a = s.starting, "backlog"_a = s.backlog,
                  "running"_a = s.running, "deaths"_a = s.deaths, "starts"_a = s.starts,
                  "redispatched"_a = s.redispatched);
}

}  // namespace

void add_pool_stats(Runtime& runtime, py::dict& stats) {
  Pool::Stats all;
  {
    const py::gil_scoped_release unlock;
    const size_t devices = runtime.devices().size();
    for (DeviceId id = 0; id < devices; ++id) {
      const auto* pool = dynamic_cast<const PoolDevice*>(&runtime.find_device(id));
      if (!pool) continue;
      const Pool::Stats s = pool->stats();
      all.up += s.up;
      all.starting += s.starting;
      all.backlog += s.backlog;
      all.deaths += s.deaths;
      all.redispatched += s.redispatched;
    }
  }
  stats["instances"] = all.up;
  stats["instances_starting"] = all.starting;
  stats["backlog"] = all.backlog;
  stats["deaths"] = all.deaths;
  stats["redispatched"] = all.redispatched;
}

void bind_devices(py::class_<Runtime, std::shared_ptr<Runtime>>& runtime) {
  runtime
      .def("add_python_device", &add_python_device, "info"_a, "execute"_a, "patience_s"_a = 0.0,
           "Adds a device run by Python code: execute(list of tasks) -> list of results, as in qfw.qpm.plugin, always "
           "on one thread. With patience_s > 0 the process ends itself when a batch that nobody waits for any more "
           "does not end within that time: for worker processes.")
      .def("add_workers", &add_workers, "info"_a, "workers"_a, "policy"_a = py::dict(),
           "Adds a device served by a pool of instances in other processes; see qfw.qpm.host.DeviceTable.")
      .def(
          "yield_idle", [](Runtime& r, DeviceId id, uint32_t ranks) { return pool_of(r, id).yield_idle(ranks); },
          "device"_a, "ranks"_a = 1, py::call_guard<py::gil_scoped_release>(),
          "Somebody else wants slots: idle instances of the device, of `ranks` ranks together, are stopped; for what "
          "is "
          "missing, others when they have done what they run. Returns the ranks that are given back at once.")
      .def("slots_freed", &Runtime::slots_freed, py::call_guard<py::gil_scoped_release>(),
           "Pools that were refused slots ask again now.")
      .def(
          "instance_lost", [](Runtime& r, DeviceId id, const std::string& address) { pool_of(r, id).lost(address); },
          "device"_a, "address"_a, py::call_guard<py::gil_scoped_release>(),
          "The instance at that address is known to have died, though its connection may stand.")
      .def("pool_stats", &pool_stats, "device"_a,
           "Of a device served by a pool: members, up, starting, backlog, running, deaths, starts, redispatched.");
}

}  // namespace qfw::qpm
