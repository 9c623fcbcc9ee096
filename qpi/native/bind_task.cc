// A Python task read into a native one, at submission.
#include <pybind11/numpy.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "program/native/observable.h"
#include "qpi/native/bind.h"

namespace py = pybind11;

namespace qfw::qpi {
namespace {

struct Names {  // interned once: a submission reads all of them
  PyObject *program, *bindings, *shots, *outputs, *observables, *gradient_parameters, *qubits, *seed, *deadline,
      *priority, *options, *convert_ns, *ranks;
};

const Names& names() {
  const auto intern = [](const char* text) { return PyUnicode_InternFromString(text); };
  static const Names all{intern("program"),  intern("bindings"),    intern("shots"),
                         intern("outputs"),  intern("observables"), intern("gradient_parameters"),
                         intern("qubits"),   intern("seed"),        intern("deadline"),
                         intern("priority"), intern("options"),     intern("convert_ns"),
                         intern("ranks")};
  return all;
}

py::object get(py::handle object, PyObject* name) {
  auto* value = PyObject_GetAttr(object.ptr(), name);
  if (!value) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(value);
}

std::string shown(py::handle value) { return py::repr(value).cast<std::string>().substr(0, 80); }

[[noreturn]] void invalid(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

uint64_t unsigned_from(py::handle value, const char* what) {
  const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!number) {
    PyErr_Clear();
    invalid(std::string(what) + " is " + shown(value) + "; an integer is expected");
  }
  const auto result = PyLong_AsUnsignedLongLong(number.ptr());
  if (result == static_cast<unsigned long long>(-1) && PyErr_Occurred()) {
    PyErr_Clear();
    invalid(std::string(what) + " is " + shown(value) + "; allowed: 0 to 2**64 - 1");
  }
  return result;
}

uint32_t outputs_from(py::handle outputs) {
  uint32_t bits = 0;
  for (const py::handle item : outputs) {
    const char* word = PyUnicode_Check(item.ptr()) ? PyUnicode_AsUTF8(item.ptr()) : "";
    uint32_t bit = 0;
    for (const auto& [value, name] : qpm::kOutputNames)
      if (std::strcmp(name, word) == 0) bit = value;
    if (!bit) invalid("unknown output " + shown(item) + "; allowed: " + qpm::output_names());
    bits |= bit;
  }
  return bits;
}

void read_bindings(py::handle given, qpm::Bindings& out) {
  if (given.is_none()) return;
  using Array = py::array_t<double, py::array::c_style | py::array::forcecast>;
  const auto array = Array::ensure(given);
  if (!array) {
    PyErr_Clear();
    invalid("bindings of type " + shown(py::type::of(given)) + "; a rows x columns array of numbers is expected");
  }
  if (array.ndim() != 1 && array.ndim() != 2)
    invalid("bindings have " + std::to_string(array.ndim()) + " dimensions; 1 (one row) or 2 (rows x columns) allowed");
  const auto rows = array.ndim() == 2 ? array.shape(0) : 1;
  const auto columns = array.shape(array.ndim() - 1);
  if (rows > static_cast<py::ssize_t>(kMaxRows))
    throw Error(ErrorCode::kLimitExceeded, "bindings have " + std::to_string(rows) + " rows; at most " +
                                               std::to_string(kMaxRows) + " are allowed");
  out.rows = static_cast<uint32_t>(rows);
  out.columns = static_cast<uint32_t>(std::min<py::ssize_t>(columns, std::numeric_limits<uint32_t>::max()));
  out.values.assign(array.data(), array.data() + array.size());
}

std::string option_text(py::handle value) {
  if (PyBool_Check(value.ptr())) return value.ptr() == Py_True ? "true" : "false";
  return py::str(value).cast<std::string>();
}

uint64_t deadline_from(py::handle value) {
  const double seconds = PyFloat_AsDouble(value.ptr());
  if (seconds == -1.0 && PyErr_Occurred()) PyErr_Clear();
  if (!(seconds > 0.0) || !std::isfinite(seconds) || seconds > 1e9)
    invalid("deadline is " + shown(value) + "; seconds above 0 and at most 1e9 are allowed");
  return static_cast<uint64_t>(seconds * 1e9);
}

int32_t priority_from(py::handle value) {
  const long number = PyLong_AsLong(value.ptr());
  if (number == -1 && PyErr_Occurred()) PyErr_Clear();
  if (!PyLong_Check(value.ptr()) || number < std::numeric_limits<int32_t>::min() ||
      number > std::numeric_limits<int32_t>::max())
    invalid("priority is " + shown(value) + "; an integer of 32 bits is expected");
  return static_cast<int32_t>(number);
}

uint32_t ranks_from(py::handle value) {
  const uint64_t ranks = unsigned_from(value, "ranks");
  if (ranks > std::numeric_limits<uint32_t>::max())
    invalid("ranks is " + shown(value) + "; allowed: 0 (the device chooses) to 2**32 - 1");
  return static_cast<uint32_t>(ranks);
}

void release(void* object) {
  if (!Py_IsInitialized() || _Py_IsFinalizing()) return;  // too late: the interpreter is going
  py::gil_scoped_acquire lock;
  Py_DECREF(static_cast<PyObject*>(object));
}

}  // namespace

Task task_from(py::handle given) {
  const Names& n = names();
  Task made;
  qpm::Task& task = made.task;
  const auto program = get(given, n.program);
  if (!py::isinstance<program::Program>(program))
    invalid("the task's program is " + shown(program) + "; a qfw.program.Program is expected");
  task.program = program.cast<std::shared_ptr<program::Program>>();
  read_bindings(get(given, n.bindings), task.bindings);
  task.shots = unsigned_from(get(given, n.shots), "shots");
  task.outputs = outputs_from(get(given, n.outputs));
  for (const py::handle q : get(given, n.qubits)) {
    const uint64_t qubit = unsigned_from(q, "a qubit");
    task.probability_qubits.push_back(static_cast<uint32_t>(std::min<uint64_t>(qubit, program::kNoParameter)));
  }
  for (const py::handle o : get(given, n.observables)) {
    if (!py::isinstance<program::PauliSum>(o))
      invalid("observable " + shown(o) + "; a qfw.program.PauliSum is expected");
    task.observables.push_back(o.cast<const program::PauliSum&>());
  }
  for (const py::handle p : get(given, n.gradient_parameters)) {
    const uint64_t parameter = unsigned_from(p, "a gradient parameter");
    task.gradient_parameters.push_back(static_cast<uint32_t>(std::min<uint64_t>(parameter, program::kNoParameter)));
  }
  if (const auto seed = get(given, n.seed); !seed.is_none()) task.seed = unsigned_from(seed, "seed");
  if (const auto deadline = get(given, n.deadline); !deadline.is_none()) task.deadline_ns = deadline_from(deadline);
  task.priority = priority_from(get(given, n.priority));
  task.ranks = ranks_from(get(given, n.ranks));
  if (const auto options = get(given, n.options); !options.is_none())
    for (const auto& [key, value] : py::dict(options)) task.options[key.cast<std::string>()] = option_text(value);
  made.convert_ns = unsigned_from(get(given, n.convert_ns), "convert_ns");
  return made;
}

std::vector<Task> tasks_from(py::handle tasks) {
  std::vector<Task> made;
  for (const py::handle task : tasks) made.push_back(task_from(task));
  return made;
}

UserContext context_from(py::handle object) {
  if (object.is_none()) return {};
  return UserContext(object.inc_ref().ptr(), &release);
}

py::object context_to(UserContext& context) {
  auto* object = static_cast<PyObject*>(context.take());
  return object ? py::reinterpret_steal<py::object>(object) : py::none();
}

}  // namespace qfw::qpi
