"""What a provider implements: a Plugin describes its devices and makes an Executor that runs batches of tasks.

A minimal provider, announced by the entry point group `qfw.qpm_plugins`::

    class Executor:
        def run(self, tasks):                     # one result per task: its rows, or the error of that task
            return [[Row(expectations=np.zeros(len(t.observables))) for _ in t.bindings] for t in tasks]
        def close(self): ...

    class MyPlugin(Plugin):
        name = "mine"
        def devices(self):
            return [DeviceSpec(name="mine", max_qubits=4, gates=("x", "h"), outputs=("expectations",))]
        def executor(self, device):
            return Executor()

    plugin = MyPlugin()

The module that holds the plugin is imported by the daemon, so it imports nothing heavy at its top: vendor packages are
imported in `executor()`, which runs in a worker process of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from qfw.program import PauliSum, Program
from qfw.program.errors import DeviceError, InternalError, InvalidArgument, QfwError, Unsupported

OUTPUTS = ("counts", "memory", "probabilities", "statevector", "expectations", "gradients")

OptionValue = str | int | float | bool

Kind = Literal["native", "worker"]


@dataclass(frozen=True)
class Option:
    """One option of a device. The type of `default` is the option's type.

    `values` lists what is allowed; without it `minimum` and `maximum` bound a number.
    """

    name: str
    default: OptionValue
    help: str
    values: tuple[OptionValue, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    def describe(self) -> str:
        """Help text with the allowed values and the default, as applications see it."""
        allowed = ""
        if self.values:
            allowed = " One of " + ", ".join(_text(v) for v in self.values) + "."
        elif self.minimum is not None or self.maximum is not None:
            allowed = (
                f" From {self.minimum} to {self.maximum}." if self.maximum is not None else f" At least {self.minimum}."
            )
        return f"{self.help}{allowed} Default {_text(self.default)}."

    def parse(self, text: str) -> OptionValue:
        """The value of `text`; raises InvalidArgument with the value found and those allowed."""
        value = self._convert(text)
        if self.values and value not in self.values:
            raise InvalidArgument(f"option {self.name}={text!r}: not one of {', '.join(_text(v) for v in self.values)}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._check_range(value, text)
        return value

    def _convert(self, text: str) -> OptionValue:
        if isinstance(self.default, bool):
            known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
            if text.lower() not in known:
                raise InvalidArgument(f"option {self.name}={text!r}: not a truth value (true, false)")
            return known[text.lower()]
        if isinstance(self.default, str):
            return text
        try:
            return type(self.default)(text)
        except ValueError:
            raise InvalidArgument(f"option {self.name}={text!r}: not a {type(self.default).__name__}") from None

    def _check_range(self, value: float, text: str) -> None:
        low = self.minimum is not None and not value >= self.minimum
        high = self.maximum is not None and not value <= self.maximum
        if low or high or value != value:
            raise InvalidArgument(f"option {self.name}={text!r}: outside {self.minimum} to {self.maximum}")


def _text(value: OptionValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class DeviceSpec:
    """A device as its provider describes it; limits are checked by the runtime before a task reaches the executor."""

    name: str
    description: str = ""
    version: str = ""
    simulator: bool = True
    max_qubits: int = 0
    max_shots: int = 10_000_000
    max_rows: int = 1_000_000
    capacity: int = 1  # tasks that the executor takes at once, as one batch
    workers: int = 1  # processes at most, started as they are needed; 0: one per CPU, up to 8
    gates: tuple[
        str, ...
    ] = ()  # names of the gate table, "controlled" (further controls), "unitary", "measure", "reset"
    outputs: tuple[str, ...] = OUTPUTS[:-1]  # gradients are the exception
    coupling: tuple[tuple[int, int], ...] = ()
    options: tuple[Option, ...] = ()
    max_ranks: int = 1  # of one task; `Task.ranks` says how many are asked for
    threads: int = 0  # that a rank computes with; 0: not known
    split_rows: bool = False  # rows may run apart, in several workers: each gives the same whatever runs beside it

    def info(self, provider: str) -> dict[str, Any]:
        """The form in which the runtime takes a device."""
        return {
            "name": self.name,
            "provider": provider,
            "description": self.description,
            "version": self.version,
            "simulator": self.simulator,
            "max_qubits": self.max_qubits,
            "max_shots": self.max_shots,
            "max_rows": self.max_rows,
            "capacity": self.capacity,
            "gates": list(self.gates),
            "outputs": list(self.outputs),
            "coupling": [tuple(pair) for pair in self.coupling],
            "options": {o.name: o.describe() for o in self.options},
            "max_ranks": self.max_ranks,
            "threads": self.threads,
            "split_rows": self.split_rows,
        }

    def resolve(self, given: Mapping[str, str]) -> dict[str, OptionValue]:
        """Every option's value, defaults filled in; raises InvalidArgument for an unknown name or a bad value."""
        known = {o.name: o for o in self.options}
        for name in given:
            if name not in known:
                raise InvalidArgument(
                    f"device {self.name} has no option {name!r}; it has {', '.join(sorted(known)) or 'none'}"
                )
        return {n: o.parse(given[n]) if n in given else o.default for n, o in known.items()}


@dataclass(frozen=True)
class Task:
    """One task as an executor sees it."""

    program: Program
    bindings: NDArray[np.float64]  # rows x program.num_parameters
    shots: int
    outputs: frozenset[str]
    qubits: tuple[int, ...]  # of "probabilities"; empty: all
    observables: tuple[PauliSum, ...]
    gradient_parameters: tuple[int, ...]  # of "gradients"; empty: all of the program's
    seed: int
    options: Mapping[str, OptionValue]
    first_row: int = 0  # of a part of a sweep: the number that its first row has in the whole. Seeds of rows need it
    ranks: int = 0  # asked for; 0: the device's choice
    stopped: Callable[[], bool] = field(default=lambda: False)  # True once nobody waits for this task any more


@dataclass
class Row:
    """The result of one row of bindings. Bit i of a shot is bit (i % 8) of byte (i // 8)."""

    memory: NDArray[np.uint8] | None = None  # shots x bytes
    count_keys: NDArray[np.uint8] | None = None  # distinct outcomes x bytes, ascending as little-endian numbers
    counts: NDArray[np.uint64] | None = None
    probabilities: NDArray[np.float64] | None = None
    statevector: NDArray[np.complex128] | None = None
    expectations: NDArray[np.float64] | None = None
    gradients: NDArray[np.float64] | None = None  # observables x gradient parameters
    error: QfwError | None = None  # of this row alone


@dataclass(frozen=True)
class DeviceEvent:
    """What a provider has to say of one of its devices, apart from tasks; the runtime tells of changes of status."""

    device: str
    kind: Literal["calibration", "noise"]  # a new calibration set is in force; noise figures changed
    message: str = ""
    severity: Literal["info", "warning", "error"] = "info"
    calibration_set: str = ""  # of "calibration": its id
    values: Mapping[str, float] = field(default_factory=dict)  # figures in SI units, by the provider's names


class Executor(Protocol):
    """Runs tasks, one batch at a time, always on the same thread."""

    def run(self, tasks: Sequence[Task]) -> Sequence[list[Row] | QfwError]:
        """One entry per task, in order: a Row per row of its bindings, or the error of that task alone."""

    def close(self) -> None:
        """Frees what the executor holds."""


class Plugin(ABC):
    """A provider. Subclass it and name an instance in the entry point group `qfw.qpm_plugins`."""

    name: ClassVar[str] = ""
    kind: ClassVar[Kind] = "worker"  # "native": run by the compiled runtime itself, for the built-in simulator only

    tell: Callable[[DeviceEvent], None] | None = None  # set by the host

    def emit(self, event: DeviceEvent) -> None:
        """Tells the applications that listen; nothing is kept where none does. From any thread, in the daemon and in a
        worker process alike."""
        if self.tell is not None:
            self.tell(event)

    @abstractmethod
    def devices(self) -> Sequence[DeviceSpec]:
        """What this provider offers; cheap, and without importing the vendor's packages."""

    def missing(self) -> str:
        """Empty when the provider can run here, else what is missing and how to install it."""
        return ""

    def executor(self, device: str) -> Executor:
        """Called once, in the worker process of `device`."""
        raise Unsupported(f"plugin {self.name} has no executor")

    def on_ranks(self, comm: Any) -> Plugin:
        """The same provider over the ranks of an MPI job, on rank 0 of `comm` (mpi4py's), while the other ranks call
        `qfw.simenv.distributed.follow`. Raises Unsupported where it cannot use several."""
        raise Unsupported(f"plugin {self.name} cannot use several ranks")


def spec_of(plugin: Plugin, device: str) -> DeviceSpec:
    """The spec of one device of a plugin; raises InvalidArgument when it has no such device."""
    specs = {s.name: s for s in plugin.devices()}
    if device not in specs:
        raise InvalidArgument(f"plugin {plugin.name} has no device {device!r}; it has {', '.join(specs) or 'none'}")
    return specs[device]


RawTask = dict[str, Any]
RawResult = dict[str, Any] | QfwError


def batch_runner(spec: DeviceSpec, make: Callable[[], Executor]) -> Callable[[list[RawTask]], list[RawResult]]:
    """The function that the compiled runtime calls with a batch, always on one thread. It makes the executor at the
    first batch, checks options, and turns whatever the provider raises into its tasks' error, in its own words."""
    executor: list[Executor] = []

    def run(tasks: Sequence[Task]) -> Sequence[list[Row] | QfwError]:
        if not executor:
            executor.append(make())
        return executor[0].run(tasks)

    def execute(raw: list[RawTask]) -> list[RawResult]:
        results: list[RawResult] = [InternalError("not run")] * len(raw)
        tasks: list[Task] = []
        places: list[int] = []
        for place, item in enumerate(raw):
            try:
                tasks.append(_task(spec, item))
                places.append(place)
            except QfwError as error:
                results[place] = error
        for place, result in zip(places, _run(run, tasks), strict=True):
            results[place] = result
        return results

    return execute


def _task(spec: DeviceSpec, raw: RawTask) -> Task:
    return Task(
        program=raw["program"],
        bindings=raw["bindings"],
        shots=raw["shots"],
        outputs=frozenset(raw["outputs"]),
        qubits=tuple(raw["qubits"]),
        observables=tuple(raw["observables"]),
        gradient_parameters=tuple(raw["gradient_parameters"]),
        seed=raw["seed"],
        options=spec.resolve(raw["options"]),
        first_row=raw.get("first_row", 0),
        ranks=raw.get("ranks", 0),
        stopped=raw.get("stopped", lambda: False),
    )


def _run(run: Callable[[Sequence[Task]], Sequence[list[Row] | QfwError]], tasks: list[Task]) -> list[RawResult]:
    if not tasks:
        return []
    try:
        results = run(tasks)
    except QfwError as error:
        return [error] * len(tasks)
    except Exception as error:  # noqa: BLE001 - a provider's code: its failure is its tasks' error and nothing else
        return [DeviceError(f"{type(error).__name__}: {error}")] * len(tasks)
    if len(results) != len(tasks):
        return [InternalError(f"the executor returned {len(results)} results for {len(tasks)} tasks")] * len(tasks)
    return [_raw_result(task, result) for task, result in zip(tasks, results, strict=True)]


def _raw_result(task: Task, result: list[Row] | QfwError) -> RawResult:
    if isinstance(result, QfwError):
        return result
    if len(result) != len(task.bindings):
        return InternalError(f"the executor returned {len(result)} rows for {len(task.bindings)} rows of bindings")
    return {"rows": [_raw_row(row) for row in result]}


_TYPES: dict[str, type[np.generic]] = {
    "memory": np.uint8,
    "count_keys": np.uint8,
    "counts": np.uint64,
    "probabilities": np.float64,
    "statevector": np.complex128,
    "expectations": np.float64,
    "gradients": np.float64,
}


def _raw_row(row: Row) -> dict[str, Any]:
    if row.error is not None:
        return {"error": row.error}
    arrays = {name: getattr(row, name) for name in _TYPES}
    return {n: np.ascontiguousarray(a, dtype=_TYPES[n]) for n, a in arrays.items() if a is not None}
