#include "qpm/api/native/wire.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "qfw/qpm/api/v1/device.pb.h"
#include "qfw/qpm/api/v1/errors.pb.h"
#include "qfw/qpm/api/v1/event.pb.h"
#include "qfw/qpm/api/v1/job.pb.h"
#include "qfw/qpm/api/v1/runtime.pb.h"
#include "qfw/qpm/api/v1/task.pb.h"

namespace qfw::qpm::wire {

static_assert(std::endian::native == std::endian::little, "arrays travel as they lie in memory");

namespace {

Failure malformed(const std::string& words) { return {ErrorCode::kInvalidArgument, "malformed task: " + words}; }
Failure broken(const std::string& words) { return {ErrorCode::kProtocol, words}; }

template <typename T>
void put_array(const std::vector<T>& from, uint64_t limit, std::string* to) {
  const size_t bytes = from.size() * sizeof(T);
  if (bytes > 0 && bytes <= limit) to->assign(reinterpret_cast<const char*>(from.data()), bytes);
}

template <typename T>
bool take_array(const std::string& from, std::vector<T>& to) {
  if (from.size() % sizeof(T)) return false;
  if (from.empty()) return true;
  to.resize(from.size() / sizeof(T));
  std::memcpy(to.data(), from.data(), from.size());
  return true;
}

template <typename T>
Failure append(const pb::ArrayChunk& chunk, std::vector<T>& to) {
  const std::string& data = chunk.data();
  if (chunk.total() % sizeof(T) || data.size() % sizeof(T) || chunk.offset() != to.size() * sizeof(T) || data.empty() ||
      chunk.offset() + data.size() > chunk.total())
    return broken("chunk of " + std::to_string(data.size()) + " bytes at " + std::to_string(chunk.offset()) + " of " +
                  std::to_string(chunk.total()) + " does not follow " + std::to_string(to.size() * sizeof(T)));
  try {
    if (to.empty()) to.reserve(chunk.total() / sizeof(T));
  } catch (const std::exception&) {
    return {ErrorCode::kResourceExhausted, "no memory for a result of " + std::to_string(chunk.total()) + " bytes"};
  }
  const auto* first = reinterpret_cast<const T*>(data.data());
  if (reinterpret_cast<uintptr_t>(first) % alignof(T)) {
    const size_t old = to.size();
    to.resize(old + data.size() / sizeof(T));
    std::memcpy(to.data() + old, data.data(), data.size());
  } else {
    to.insert(to.end(), first, first + data.size() / sizeof(T));
  }
  return {};
}

void put(const program::PauliSum& sum, pb::PauliSum& out) {
  for (const auto& term : sum.terms) {
    out.add_coefficients(term.coefficient);
    out.add_sizes(static_cast<uint32_t>(term.factors.size()));
    for (const auto& f : term.factors) {
      out.add_qubits(f.qubit);
      out.mutable_paulis()->push_back(static_cast<char>(f.pauli));
    }
  }
}

Failure take(const pb::PauliSum& sum, program::PauliSum& out) {
  const auto factors = static_cast<size_t>(sum.qubits_size());
  if (sum.sizes_size() != sum.coefficients_size() || sum.paulis().size() != factors)
    return malformed("an observable's lists differ in length");
  size_t at = 0;
  out.terms.resize(static_cast<size_t>(sum.sizes_size()));
  for (int t = 0; t < sum.sizes_size(); ++t) {
    const size_t n = sum.sizes(t);
    if (n > factors - at) return malformed("an observable's terms name more factors than it has");
    auto& term = out.terms[static_cast<size_t>(t)];
    term.coefficient = sum.coefficients(t);
    term.factors.resize(n);
    for (auto& f : term.factors) {
      const auto letter = static_cast<uint8_t>(sum.paulis()[at]);
      if (letter < 1 || letter > 3)
        return malformed("Pauli " + std::to_string(letter) + "; allowed 1 (X), 2 (Y), 3 (Z)");
      f = {sum.qubits(static_cast<int>(at)), static_cast<program::Pauli>(letter)};
      ++at;
    }
  }
  if (at != factors) return malformed("an observable has factors that no term names");
  return {};
}

}  // namespace

// ---- failures and devices

void put(const qpm::Failure& f, pb::Failure& out) {
  out.set_code(static_cast<pb::ErrorCode>(f.code));
  out.set_message(f.message);
  out.set_transient(f.transient);
  out.set_retry_after_s(f.retry_after_s);
}

qpm::Failure take(const pb::Failure& f) {
  const bool known = pb::ErrorCode_IsValid(f.code());
  return {known ? static_cast<ErrorCode>(f.code()) : ErrorCode::kInternal, f.message(), f.transient(),
          f.retry_after_s()};
}

void put(const DeviceInfo& i, pb::Device& out) {
  out.set_id(i.id);
  out.set_name(i.name);
  out.set_provider(i.provider);
  out.set_description(i.description);
  out.set_version(i.version);
  out.set_simulator(i.simulator);
  out.set_status(static_cast<pb::DeviceStatus>(i.status));
  out.set_status_reason(i.status_reason);
  out.set_max_qubits(i.max_qubits);
  out.set_max_shots(i.max_shots);
  out.set_max_rows(i.max_rows);
  out.set_capacity(i.capacity);
  out.set_queued(i.queued);
  out.set_instances(i.instances);
  out.set_max_ranks(i.max_ranks);
  out.set_threads(i.threads);
  for (const auto& g : i.gates) out.add_gates(g);
  for (const auto& o : i.outputs) out.add_outputs(o);
  for (auto [a, b] : i.coupling) {
    auto* c = out.add_coupling();
    c->set_first(a);
    c->set_second(b);
  }
  for (const auto& [name, help] : i.options) (*out.mutable_options())[name] = help;
}

DeviceInfo take(const pb::Device& d) {
  DeviceInfo i;
  i.id = d.id();
  i.name = d.name();
  i.provider = d.provider();
  i.description = d.description();
  i.version = d.version();
  i.simulator = d.simulator();
  i.status = pb::DeviceStatus_IsValid(d.status()) ? static_cast<DeviceStatus>(d.status()) : DeviceStatus::kFault;
  i.status_reason = d.status_reason();
  i.max_qubits = d.max_qubits();
  i.max_shots = d.max_shots();
  i.max_rows = d.max_rows();
  i.capacity = d.capacity();
  i.queued = d.queued();
  i.instances = d.instances();
  i.max_ranks = std::max(1u, d.max_ranks());
  i.threads = d.threads();
  i.gates.assign(d.gates().begin(), d.gates().end());
  i.outputs.assign(d.outputs().begin(), d.outputs().end());
  for (const auto& c : d.coupling()) i.coupling.emplace_back(c.first(), c.second());
  i.options.insert(d.options().begin(), d.options().end());
  return i;
}

// ---- events and jobs

void put(const Event& e, pb::Event& out) {
  out.set_sequence(e.sequence);
  out.set_time_s(e.time_s);
  out.set_kind(static_cast<pb::EventKind>(e.kind));
  out.set_device(e.device);
  out.set_device_name(e.device_name);
  out.set_status(static_cast<pb::DeviceStatus>(e.status));
  out.set_severity(static_cast<pb::Severity>(e.severity));
  out.set_message(e.message);
  out.set_calibration_set(e.calibration_set);
  for (const auto& [name, value] : e.values) (*out.mutable_values())[name] = value;
  out.set_lost(e.lost);
}

Event take(const pb::Event& e) {
  Event out;
  out.sequence = e.sequence();
  out.time_s = e.time_s();
  out.kind = pb::EventKind_IsValid(e.kind()) ? static_cast<EventKind>(e.kind()) : EventKind::kStatus;
  out.device = e.device();
  out.device_name = e.device_name();
  out.status = pb::DeviceStatus_IsValid(e.status()) ? static_cast<DeviceStatus>(e.status()) : DeviceStatus::kFault;
  out.severity = pb::Severity_IsValid(e.severity()) ? static_cast<Severity>(e.severity()) : Severity::kError;
  out.message = e.message();
  out.calibration_set = e.calibration_set();
  out.values.insert(e.values().begin(), e.values().end());
  out.lost = e.lost();
  return out;
}

void put(const JobInfo& j, pb::Job& out) {
  out.set_id(j.id);
  out.set_state(static_cast<pb::JobState>(j.state));
  out.set_tasks(j.tasks);
  out.set_completed(j.completed);
  out.set_failed(j.failed);
  out.set_position(j.position);
  out.set_created_s(j.created_s);
  out.set_metadata(j.metadata);
  out.mutable_task_ids()->Add(j.task_ids.begin(), j.task_ids.end());
}

JobInfo take(const pb::Job& j) {
  const bool known = pb::JobState_IsValid(j.state());
  return {j.id(),
          known ? static_cast<JobState>(j.state()) : JobState::kRunning,
          j.tasks(),
          j.completed(),
          j.failed(),
          j.position(),
          j.created_s(),
          j.metadata(),
          {j.task_ids().begin(), j.task_ids().end()}};
}

// ---- tasks

void put(const qpm::Task& t, uint64_t inline_bytes, pb::Task& out) {
  out.set_id(t.id);
  out.set_stream(t.stream);
  if (t.program) out.set_program(t.program->hash().data(), t.program->hash().size());
  auto* b = out.mutable_bindings();
  b->set_rows(t.bindings.rows);
  b->set_columns(t.bindings.columns);
  put_array(t.bindings.values, inline_bytes, b->mutable_values());
  out.set_shots(t.shots);
  out.set_outputs(t.outputs);
  for (uint32_t q : t.probability_qubits) out.add_probability_qubits(q);
  for (const auto& o : t.observables) put(o, *out.add_observables());
  if (t.seed) out.set_seed(*t.seed);
  out.set_deadline_ns(t.deadline_ns);
  out.set_priority(t.priority);
  for (const auto& [k, v] : t.options) (*out.mutable_options())[k] = v;
  for (uint32_t p : t.gradient_parameters) out.add_gradient_parameters(p);
  out.set_first_row(t.first_row);
  out.set_ranks(t.ranks);
}

qpm::Failure take(const pb::Task& t, qpm::Task& out) {
  out.id = t.id();
  out.stream = t.stream();
  out.bindings.rows = t.bindings().rows();
  out.bindings.columns = t.bindings().columns();
  if (!take_array(t.bindings().values(), out.bindings.values))
    return malformed("bindings of " + std::to_string(t.bindings().values().size()) +
                     " bytes; a multiple of 8 is needed");
  out.shots = t.shots();
  out.outputs = t.outputs();
  out.probability_qubits.assign(t.probability_qubits().begin(), t.probability_qubits().end());
  out.observables.resize(static_cast<size_t>(t.observables_size()));
  for (int i = 0; i < t.observables_size(); ++i)
    if (qpm::Failure f = take(t.observables(i), out.observables[static_cast<size_t>(i)])) return f;
  if (t.has_seed()) out.seed = t.seed();
  out.deadline_ns = t.deadline_ns();
  out.priority = t.priority();
  out.options.insert(t.options().begin(), t.options().end());
  out.gradient_parameters.assign(t.gradient_parameters().begin(), t.gradient_parameters().end());
  out.first_row = t.first_row();
  out.ranks = t.ranks();
  return {};
}

// ---- results

void put(const qpm::Result& r, uint64_t arrived_ns, pb::Result& out) {
  if (r.failure) put(r.failure, *out.mutable_failure());
  out.set_shots(r.shots);
  out.set_num_bits(r.num_bits);
  out.set_gradient_columns(r.gradient_columns);
  out.set_seed(r.seed);
  out.set_device(r.device);
  out.set_device_version(r.device_version);
  out.set_calibration_set(r.calibration_set);
  out.set_method(r.method);
  out.set_method_reason(r.method_reason);
  auto* t = out.mutable_timing();
  t->set_queue_ns(r.timing.queue_ns);
  t->set_dispatch_ns(r.timing.dispatch_ns);
  t->set_execute_ns(r.timing.execute_ns);
  t->set_arrived_ns(arrived_ns);
}

void take(const pb::Result& r, qpm::Result& out, uint64_t& arrived_ns) {
  if (r.has_failure()) out.failure = take(r.failure());
  out.shots = r.shots();
  out.num_bits = r.num_bits();
  out.gradient_columns = r.gradient_columns();
  out.seed = r.seed();
  out.device = r.device();
  out.device_version = r.device_version();
  out.calibration_set = r.calibration_set();
  out.method = r.method();
  out.method_reason = r.method_reason();
  out.timing.queue_ns = r.timing().queue_ns();
  out.timing.dispatch_ns = r.timing().dispatch_ns();
  out.timing.execute_ns = r.timing().execute_ns();
  arrived_ns = r.timing().arrived_ns();
}

void put(const RowResult& r, uint64_t limit, pb::Row& out) {
  put_array(r.memory, limit, out.mutable_memory());
  put_array(r.count_keys, limit, out.mutable_count_keys());
  put_array(r.counts, limit, out.mutable_counts());
  put_array(r.probabilities, limit, out.mutable_probabilities());
  put_array(r.statevector, limit, out.mutable_statevector());
  put_array(r.expectations, limit, out.mutable_expectations());
  put_array(r.gradients, limit, out.mutable_gradients());
  if (r.failure) put(r.failure, *out.mutable_failure());
}

qpm::Failure take(const pb::Row& r, RowResult& out) {
  const bool fine = take_array(r.memory(), out.memory) && take_array(r.count_keys(), out.count_keys) &&
                    take_array(r.counts(), out.counts) && take_array(r.probabilities(), out.probabilities) &&
                    take_array(r.statevector(), out.statevector) && take_array(r.expectations(), out.expectations) &&
                    take_array(r.gradients(), out.gradients);
  if (!fine) return broken("an array of a result is not a whole number of entries");
  if (r.has_failure()) out.failure = take(r.failure());
  return {};
}

namespace {

// Calls visit(which, vector) for each array of a row.
template <typename Row, typename Visit>
void each_array(Row& r, Visit&& visit) {
  visit(pb::ArrayChunk::MEMORY, r.memory);
  visit(pb::ArrayChunk::COUNT_KEYS, r.count_keys);
  visit(pb::ArrayChunk::COUNTS, r.counts);
  visit(pb::ArrayChunk::PROBABILITIES, r.probabilities);
  visit(pb::ArrayChunk::STATEVECTOR, r.statevector);
  visit(pb::ArrayChunk::EXPECTATIONS, r.expectations);
  visit(pb::ArrayChunk::GRADIENTS, r.gradients);
}

}  // namespace

uint64_t inline_size(const RowResult& row, uint64_t limit) noexcept {
  uint64_t total = 8 + row.failure.message.size();
  each_array(row, [&](auto, const auto& v) {
    const uint64_t bytes = v.size() * sizeof(v[0]);
    if (bytes <= limit) total += bytes;
  });
  return total;
}

std::vector<Array> large_arrays(const std::vector<RowResult>& rows, uint64_t limit) {
  std::vector<Array> out;
  for (size_t i = 0; i < rows.size(); ++i)
    each_array(rows[i], [&](auto which, const auto& v) {
      const uint64_t bytes = v.size() * sizeof(v[0]);
      if (bytes > limit)
        out.push_back(
            {static_cast<uint32_t>(i), static_cast<int>(which), reinterpret_cast<const char*>(v.data()), bytes});
    });
  return out;
}

qpm::Failure take(const pb::ArrayChunk& chunk, RowResult& row) {
  qpm::Failure failure = broken("chunk of an unknown array " + std::to_string(chunk.array()));
  each_array(row, [&](auto which, auto& v) {
    if (chunk.array() == which) failure = append(chunk, v);
  });
  return failure;
}

}  // namespace qfw::qpm::wire
