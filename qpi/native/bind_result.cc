// Results in Python: counts as a dict made here, everything else as views on the native arrays.
#include <pybind11/numpy.h>

#include <algorithm>
#include <limits>

#include "qpi/native/bind.h"

namespace py = pybind11;

namespace qfw::qpi {
namespace {

const qpm::RowResult& row_of(const qpm::Result& result, size_t row) {
  if (row >= result.rows.size())
    throw Error(ErrorCode::kInvalidArgument,
                "row " + std::to_string(row) + " of a result with " + std::to_string(result.rows.size()) + " rows");
  return result.rows[row];
}

size_t row_bytes(const qpm::Result& result) { return (result.num_bits + 7) / 8; }

// A read-only view; `owner` keeps the memory alive.
template <class T>
py::array view(const std::vector<T>& data, py::handle owner, std::vector<py::ssize_t> shape) {
  py::array array(py::dtype::of<T>(), std::move(shape), data.data(), owner);
  py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return array;
}

template <class T>
py::array view(const std::vector<T>& data, py::handle owner) {
  return view(data, owner, {static_cast<py::ssize_t>(data.size())});
}

py::array packed(const qpm::Result& result, const std::vector<uint8_t>& data, py::handle owner) {
  const auto width = static_cast<py::ssize_t>(row_bytes(result));
  return view(data, owner, {width ? static_cast<py::ssize_t>(data.size()) / width : 0, width});
}

// Keys with the highest bit left, as Qiskit prints them.
py::dict counts_of(const qpm::Result& result, size_t index) {
  const auto& row = row_of(result, index);
  const size_t width = row_bytes(result), bits = result.num_bits;
  py::dict counts;
  for (size_t i = 0; i < row.counts.size(); ++i) {
    auto* text = PyUnicode_New(static_cast<Py_ssize_t>(bits), 127);
    if (!text) throw py::error_already_set();
    const auto key = py::reinterpret_steal<py::object>(text);
    auto* out = PyUnicode_1BYTE_DATA(text);
    const uint8_t* packed = row.count_keys.data() + i * width;
    for (size_t b = 0; b < bits; ++b) out[bits - 1 - b] = static_cast<Py_UCS1>('0' + ((packed[b / 8] >> (b % 8)) & 1));
    const auto value = py::reinterpret_steal<py::object>(PyLong_FromUnsignedLongLong(row.counts[i]));
    if (PyDict_SetItem(counts.ptr(), text, value.ptr()) != 0) throw py::error_already_set();
  }
  return counts;
}

py::tuple timing_to(const qpm::Timing& t) {
  return py::make_tuple(t.convert_ns, t.tools_ns, t.transfer_ns, t.queue_ns, t.dispatch_ns, t.execute_ns, t.return_ns);
}

struct PyResult {
  ResultPtr result;
};

const qpm::Result& of(py::handle self) { return *self.cast<const PyResult&>().result; }

// Rows x observables; a row that failed has none, and reads NaN.
py::array_t<double> all_expectations(const PyResult& r) {
  const auto& rows = r.result->rows;
  size_t columns = 0;
  for (const auto& row : rows) columns = std::max(columns, row.expectations.size());
  py::array_t<double> out({rows.size(), columns});
  double* to = out.mutable_data();
  for (const auto& row : rows) {
    const auto& values = row.expectations;
    std::fill(std::copy(values.begin(), values.end(), to), to + columns, std::numeric_limits<double>::quiet_NaN());
    to += columns;
  }
  return out;
}

}  // namespace

py::object failure_to(const qpm::Failure& failure) {
  if (!failure) return py::none();
  return py::make_tuple(static_cast<int>(failure.code), failure.message, failure.transient, failure.retry_after_s);
}

py::list results_to(std::vector<qpm::Result>&& results) {
  py::list out(results.size());
  for (size_t i = 0; i < results.size(); ++i)
    out[i] = py::cast(PyResult{std::make_shared<const qpm::Result>(std::move(results[i]))});
  return out;
}

void bind_result(py::module_& m) {
  py::class_<PyResult>(m, "Result", "What came back of one task; qfw.qpi.Result reads it.")
      .def("__len__", [](const PyResult& r) { return r.result->rows.size(); })
      .def_property_readonly("shots", [](const PyResult& r) { return r.result->shots; })
      .def_property_readonly("num_bits", [](const PyResult& r) { return r.result->num_bits; })
      .def_property_readonly("seed", [](const PyResult& r) { return r.result->seed; })
      .def_property_readonly("device", [](const PyResult& r) { return r.result->device; })
      .def_property_readonly("device_version", [](const PyResult& r) { return r.result->device_version; })
      .def_property_readonly("method", [](const PyResult& r) { return r.result->method; })
      .def_property_readonly("method_reason", [](const PyResult& r) { return r.result->method_reason; })
      .def_property_readonly("calibration_set", [](const PyResult& r) { return r.result->calibration_set; })
      .def_property_readonly("timing", [](const PyResult& r) { return timing_to(r.result->timing); })
      .def_property_readonly("failed", [](const PyResult& r) { return static_cast<bool>(r.result->failure); })
      .def_property_readonly("failure", [](const PyResult& r) { return failure_to(r.result->failure); })
      .def("row_failure", [](const PyResult& r, size_t i) { return failure_to(row_of(*r.result, i).failure); })
      .def("counts", [](const PyResult& r, size_t i) { return counts_of(*r.result, i); })
      .def("count_arrays",
           [](py::object self, size_t i) {
             const auto& r = of(self);
             const auto& row = row_of(r, i);
             return py::make_tuple(packed(r, row.count_keys, self), view(row.counts, self));
           })
      .def("all_expectations", &all_expectations)
      .def("memory", [](py::object self, size_t i) { return packed(of(self), row_of(of(self), i).memory, self); })
      .def("probabilities", [](py::object self, size_t i) { return view(row_of(of(self), i).probabilities, self); })
      .def("statevector", [](py::object self, size_t i) { return view(row_of(of(self), i).statevector, self); })
      .def("expectations", [](py::object self, size_t i) { return view(row_of(of(self), i).expectations, self); })
      .def("gradients", [](py::object self, size_t i) {
        const auto& values = row_of(of(self), i).gradients;
        const auto columns = static_cast<py::ssize_t>(of(self).gradient_columns);
        const auto lines = columns == 0 ? 0 : static_cast<py::ssize_t>(values.size()) / columns;
        return view(values, self, {lines, columns});
      });
}

}  // namespace qfw::qpi
