// qfw._core.simenv: the simulator for tests and tools. Results become numpy arrays that own the C++ vectors.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "simenv/native/comm.h"
#include "simenv/native/distribute.h"
#include "simenv/native/kernels.h"
#include "simenv/native/rng.h"
#include "simenv/native/simulator.h"

namespace py = pybind11;

namespace qfw {
namespace {

using simenv::SimdLevel;

template <class T>
py::array_t<T> to_array(std::vector<T>&& values, std::vector<py::ssize_t> shape) {
  auto* kept = new std::vector<T>(std::move(values));
  py::capsule owner(kept, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return py::array_t<T>(std::move(shape), kept->data(), owner);
}

template <class T>
py::array_t<T> to_array(std::vector<T>&& values) {
  const auto size = static_cast<py::ssize_t>(values.size());
  return to_array(std::move(values), {size});
}

std::vector<std::string> simd_levels() {
  std::vector<std::string> names;
  for (SimdLevel level : {SimdLevel::kScalar, SimdLevel::kAvx2, SimdLevel::kAvx512})
    if (simenv::kernels(level).level == level) names.emplace_back(simenv::simd_name(level));
  return names;
}

SimdLevel level_named(const std::optional<std::string>& name) {
  if (!name) return simenv::best_simd_level();
  for (SimdLevel level : {SimdLevel::kScalar, SimdLevel::kAvx2, SimdLevel::kAvx512})
    if (*name == simenv::simd_name(level) && simenv::kernels(level).level == level) return level;
  throw Error(ErrorCode::kInvalidArgument, "no SIMD level '" + *name + "' on this CPU");
}

// One pool per number of threads, kept for the next call.
simenv::ThreadPool* pool_of(unsigned threads) {
  static std::mutex mutex;
  static auto* pools = new std::map<unsigned, std::unique_ptr<simenv::ThreadPool>>;
  if (threads == 0) threads = simenv::usable_cpus();
  if (threads == 1) return nullptr;
  std::lock_guard lock(mutex);
  auto& pool = (*pools)[threads];
  if (!pool) pool = std::make_unique<simenv::ThreadPool>(threads);
  return pool.get();
}

// (coefficient, "XYZ", [qubits]) terms.
using Terms = std::vector<std::tuple<double, std::string, std::vector<uint32_t>>>;

program::PauliSum pauli_sum(const Terms& terms) {
  program::PauliSum sum;
  for (const auto& [coefficient, letters, qubits] : terms) {
    if (letters.size() != qubits.size())
      throw Error(ErrorCode::kInvalidArgument, "the Pauli string '" + letters + "' has " +
                                                   std::to_string(letters.size()) + " letters and " +
                                                   std::to_string(qubits.size()) + " qubits");
    program::PauliTerm term{coefficient, {}};
    for (size_t i = 0; i < letters.size(); ++i) {
      if (letters[i] == 'I') continue;
      const size_t which = std::string("XYZ").find(letters[i]);
      if (which == std::string::npos)
        throw Error(ErrorCode::kInvalidArgument, "the Pauli string '" + letters + "' has a letter that is not of IXYZ");
      term.factors.push_back({qubits[i], static_cast<program::Pauli>(which + 1)});
    }
    sum.terms.push_back(std::move(term));
  }
  return sum;
}

// What a rank says to others, in Python: swap(partner, bytes to send, buffer to fill) and all_gather(float64
// values) -> every rank's values, one rank after the other.
class PyComm : public simenv::Comm {
 public:
  using Comm::Comm;

  std::vector<double> all_gather(std::span<const double> mine) override {
    const py::gil_scoped_acquire gil;
    const py::array_t<double> values(static_cast<py::ssize_t>(mine.size()), mine.data());
    const auto all =
        override_of("all_gather")(values).cast<py::array_t<double, py::array::c_style | py::array::forcecast>>();
    if (static_cast<size_t>(all.size()) != mine.size() * ranks())
      throw Error(ErrorCode::kInternal, "all_gather gave " + std::to_string(all.size()) + " values of " +
                                            std::to_string(ranks()) + " ranks with " + std::to_string(mine.size()));
    return {all.data(), all.data() + all.size()};
  }

  void swap(unsigned partner, std::span<const std::byte> send, std::span<std::byte> receive) override {
    const py::gil_scoped_acquire gil;
    override_of("swap")(partner, py::memoryview::from_memory(send.data(), static_cast<py::ssize_t>(send.size())),
                        py::memoryview::from_memory(receive.data(), static_cast<py::ssize_t>(receive.size()), false));
  }

 private:
  py::function override_of(const char* name) const {
    py::function f = py::get_override(static_cast<const Comm*>(this), name);
    if (!f) throw Error(ErrorCode::kInternal, std::string("a Comm has no method ") + name);
    return f;
  }
};

// Everything of one run, kept together while the global lock is released.
struct Wish {
  std::vector<double> row;
  std::vector<uint32_t> probability_qubits;
  std::vector<program::PauliSum> observables;
  std::vector<uint32_t> gradient_parameters;
  simenv::Request request;
  unsigned threads = 1;
};

std::unique_ptr<Wish> wish_of(const py::kwargs& given) {
  auto wish = std::make_unique<Wish>();
  wish->row = given["row"].cast<std::vector<double>>();
  wish->probability_qubits = given["probability_qubits"].cast<std::vector<uint32_t>>();
  for (const Terms& terms : given["observables"].cast<std::vector<Terms>>())
    wish->observables.push_back(pauli_sum(terms));
  wish->gradient_parameters = given["gradient_parameters"].cast<std::vector<uint32_t>>();
  wish->threads = given["threads"].cast<unsigned>();
  simenv::Request& r = wish->request;
  r.row = wish->row;
  r.shots = given["shots"].cast<uint64_t>();
  r.seed = given["seed"].cast<uint64_t>();
  r.memory = given["memory"].cast<bool>();
  r.counts = given["counts"].cast<bool>();
  r.probabilities = given["probabilities"].cast<bool>();
  r.statevector = given["statevector"].cast<bool>();
  r.probability_qubits = wish->probability_qubits;
  r.observables = wish->observables;
  r.gradients = given["gradients"].cast<bool>();
  r.gradient_parameters = wish->gradient_parameters;
  r.precision = simenv::precision_named(given["precision"].cast<std::string>());
  r.max_steps = given["max_steps"].cast<uint64_t>();
  if (given.contains("comm") && !given["comm"].is_none()) r.comm = given["comm"].cast<simenv::Comm*>();
  return wish;
}

py::dict result_of(simenv::Outcome&& out, const simenv::Request& wish, uint32_t bits) {
  const py::ssize_t row_bytes = (bits + 7) / 8;
  py::dict result;
  const bool root = wish.comm == nullptr || wish.comm->root();
  if (wish.counts && root) {
    const auto keys = static_cast<py::ssize_t>(out.counts.size());
    result["count_keys"] = to_array(std::move(out.count_keys), {keys, row_bytes});
    result["counts"] = to_array(std::move(out.counts));
  }
  if (wish.memory && root)
    result["memory"] = to_array(std::move(out.memory), {static_cast<py::ssize_t>(wish.shots), row_bytes});
  if (wish.probabilities && root) result["probabilities"] = to_array(std::move(out.probabilities));
  if (wish.statevector && root) result["statevector"] = to_array(std::move(out.statevector));
  if (!wish.observables.empty()) result["expectations"] = to_array(std::move(out.expectations));
  if (wish.gradients) {
    const auto lines = static_cast<py::ssize_t>(wish.observables.size()),
               columns = static_cast<py::ssize_t>(out.gradients.size());
    result["gradients"] = to_array(std::move(out.gradients), {lines, columns / lines});
  }
  return result;
}

class PySimulator {
 public:
  PySimulator(const py::buffer& bytes, const std::optional<std::string>& simd, unsigned rank_bits) {
    const py::buffer_info view = bytes.request();
    const SimdLevel level = level_named(simd);
    const py::gil_scoped_release release;
    program_ = program::Program::decode({static_cast<const std::byte*>(view.ptr), static_cast<size_t>(view.size)});
    simulator_.emplace(program_, level, rank_bits);
  }

  py::dict run(const py::kwargs& given) const {
    const std::unique_ptr<Wish> wish = wish_of(given);
    simenv::Outcome out;
    {
      const py::gil_scoped_release release;
      out = simulator_->run(wish->request, pool_of(wish->threads), simenv::Stop());
    }
    return result_of(std::move(out), wish->request, program_->num_bits());
  }

  uint64_t bytes_needed(const py::kwargs& given) const {
    return simenv::Simulator::bytes_needed(*program_, wish_of(given)->request);
  }

  py::dict shares() const {
    const auto s = simulator_->shares();
    py::dict out;
    out["operations"] = s.operations;
    out["crossing"] = s.crossing;
    out["exchanges"] = s.exchanges;
    return out;
  }

 private:
  program::ProgramPtr program_;
  std::optional<simenv::Simulator> simulator_;
};

}  // namespace

void bind_simenv(py::module_& m) {
  m.def("usable_cpus", &simenv::usable_cpus);
  m.def("simd_levels", &simd_levels);
  m.def("best_simd_level", [] { return std::string(simenv::simd_name(simenv::best_simd_level())); });
  m.def("bytes_available", &simenv::Simulator::bytes_available);
  m.def("derive_seed", &simenv::derive_seed);
  m.def("most_rank_bits", &simenv::most_rank_bits);
  py::class_<simenv::Comm, PyComm>(m, "Comm")
      .def(py::init<unsigned, unsigned, unsigned>(), py::arg("rank"), py::arg("rank_bits"), py::arg("neighbours"))
      .def_property_readonly("rank", &simenv::Comm::rank)
      .def_property_readonly("ranks", &simenv::Comm::ranks)
      .def_property_readonly("exchanges", [](const simenv::Comm& c) { return c.traffic.exchanges; })
      .def_property_readonly("bytes", [](const simenv::Comm& c) { return c.traffic.bytes; });
  py::class_<PySimulator>(m, "Simulator")
      .def(py::init<const py::buffer&, const std::optional<std::string>&, unsigned>(), py::arg("program"),
           py::kw_only(), py::arg("simd"), py::arg("rank_bits"))
      .def("run", &PySimulator::run)
      .def("bytes_needed", &PySimulator::bytes_needed)
      .def("shares", &PySimulator::shares);
}

}  // namespace qfw
