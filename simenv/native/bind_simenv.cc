// qfw._core.simenv: the simulator for tests and tools. Results become numpy arrays that own the C++ vectors.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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

struct Wish {
  uint64_t shots, seed;
  bool memory, counts, probabilities, statevector, gradients;
  std::vector<uint32_t> gradient_parameters;
  simenv::Precision precision;
  uint64_t max_steps;
};

py::dict simulate(const py::buffer& bytes, const std::vector<double>& row, const Wish& wish,
                  const std::vector<uint32_t>& probability_qubits, const std::vector<Terms>& observables,
                  unsigned threads, const std::optional<std::string>& simd) {
  const py::buffer_info view = bytes.request();
  std::vector<program::PauliSum> sums;
  for (const Terms& terms : observables) sums.push_back(pauli_sum(terms));
  simenv::Request request{row,
                          wish.shots,
                          wish.seed,
                          wish.memory,
                          wish.counts,
                          wish.probabilities,
                          wish.statevector,
                          probability_qubits,
                          sums,
                          wish.gradients,
                          wish.gradient_parameters,
                          wish.precision,
                          wish.max_steps};
  simenv::Outcome out;
  uint32_t bits = 0;
  {
    py::gil_scoped_release release;
    const auto program =
        program::Program::decode({static_cast<const std::byte*>(view.ptr), static_cast<size_t>(view.size)});
    bits = program->num_bits();
    out = simenv::Simulator(program, level_named(simd)).run(request, pool_of(threads), simenv::Stop());
  }
  const py::ssize_t row_bytes = (bits + 7) / 8;
  py::dict result;
  if (wish.counts) {
    const auto keys = static_cast<py::ssize_t>(out.counts.size());
    result["count_keys"] = to_array(std::move(out.count_keys), {keys, row_bytes});
    result["counts"] = to_array(std::move(out.counts));
  }
  if (wish.memory)
    result["memory"] = to_array(std::move(out.memory), {static_cast<py::ssize_t>(wish.shots), row_bytes});
  if (wish.probabilities) result["probabilities"] = to_array(std::move(out.probabilities));
  if (wish.statevector) result["statevector"] = to_array(std::move(out.statevector));
  if (!observables.empty()) result["expectations"] = to_array(std::move(out.expectations));
  if (wish.gradients) {
    const auto lines = static_cast<py::ssize_t>(sums.size()), columns = static_cast<py::ssize_t>(out.gradients.size());
    result["gradients"] = to_array(std::move(out.gradients), {lines, columns / lines});
  }
  return result;
}

}  // namespace

void bind_simenv(py::module_& m) {
  m.def("usable_cpus", &simenv::usable_cpus);
  m.def("simd_levels", &simd_levels);
  m.def("best_simd_level", [] { return std::string(simenv::simd_name(simenv::best_simd_level())); });
  m.def("bytes_available", &simenv::Simulator::bytes_available);
  m.def("derive_seed", &simenv::derive_seed);
  m.def(
      "simulate",
      [](const py::buffer& program, const std::vector<double>& row, uint64_t shots, uint64_t seed, bool memory,
         bool counts, bool probabilities, bool statevector, const std::vector<uint32_t>& probability_qubits,
         const std::vector<Terms>& observables, bool gradients, const std::vector<uint32_t>& gradient_parameters,
         const std::string& precision, uint64_t max_steps, unsigned threads, const std::optional<std::string>& simd) {
        return simulate(program, row,
                        {shots, seed, memory, counts, probabilities, statevector, gradients, gradient_parameters,
                         simenv::precision_named(precision), max_steps},
                        probability_qubits, observables, threads, simd);
      },
      py::arg("program"), py::kw_only(), py::arg("row"), py::arg("shots"), py::arg("seed"), py::arg("memory"),
      py::arg("counts"), py::arg("probabilities"), py::arg("statevector"), py::arg("probability_qubits"),
      py::arg("observables"), py::arg("gradients"), py::arg("gradient_parameters"), py::arg("precision"),
      py::arg("max_steps"), py::arg("threads"), py::arg("simd"));
}

}  // namespace qfw
