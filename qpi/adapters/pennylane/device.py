"""`qfw.device`: the devices of qfw for PennyLane.

    dev = qml.device("qfw.device", wires=3, device="statevec")

A batch of tapes goes to the runtime in one message; tapes of the same structure become rows of one task. Analytic
results are expectation values, probabilities and state vectors of the runtime's simulators; with shots, results are
made from packed bits.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping, Sequence
from itertools import islice
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np
import pennylane as qml
from numpy.typing import NDArray
from pennylane.devices import Device, ExecutionConfig
from pennylane.devices.modifiers import simulator_tracking, single_tape_support

from qfw import qpi
from qfw.qpi.adapters.pennylane.measure import Plan, Planner, measurement_key
from qfw.qpi.adapters.pennylane.preprocess import pipeline, prepare
from qfw.qpi.adapters.pennylane.split import stack
from qfw.qpi.errors import InvalidArgument
from qfw.toolchain.formats.pennylane import TapeConverter, rows
from qfw.toolchain.tools.registry import near

_MAX_PLANS = 1024  # structures of tapes a device remembers
_MAX_CACHED_KEY = 20_000  # entries of a key; longer tapes are not remembered
_ARGUMENTS = ("wires", "shots", "device", "endpoint", "seed", "options", "timeout")
_MAX_TIMINGS = 100_000  # circuits whose timing a device remembers


class CircuitTiming(NamedTuple):
    """Where the time of one task went, and how many circuits were its rows."""

    circuits: int
    timing: Any


class _Job:
    """Tapes of one structure: one task, a row for each tape or for each element of its batch."""

    __slots__ = ("places", "plan", "rows", "shots", "size")

    def __init__(self, plan: Plan, shots: int) -> None:
        self.plan = plan
        self.shots = shots
        self.size = 0  # rows
        self.rows: list[NDArray[np.float64]] = []  # of one dimension, or of two
        self.places: list[tuple[int, int | None]] = []  # the tape's position, rows of a batch or None

    def add(self, position: int, bindings: NDArray[np.float64]) -> None:
        """Another tape's row, or rows."""
        count = None if bindings.ndim == 1 else len(bindings)
        self.size += 1 if count is None else count
        self.rows.append(bindings)
        self.places.append((position, count))

    def bindings(self) -> NDArray[np.float64]:
        """The matrix of all rows."""
        if len(self.rows) > 1:
            return np.vstack(self.rows)
        only = self.rows[0]
        return only[np.newaxis] if only.ndim == 1 else only


@simulator_tracking
@single_tape_support
class QFWDevice(Device):
    """A qfw device under PennyLane's device interface.

    Args:
        wires: how many wires, or their labels; None: as many as each circuit uses.
        shots: default number of shots (PennyLane prefers `qml.set_shots`).
        device: name of the qfw device, or names of several (each task runs on the first that is free).
        endpoint: as in `qfw.qpi.connect`: None looks for the current run and falls back to the embedded runtime.
        seed: of the sampling: an int, a numpy generator, None (drawn by the runtime), or "global" (numpy's).
        options: the qfw device's own options, by name.
        timeout: seconds to wait for a batch; None: no limit.

    Raises (from `qfw.qpi.errors`): NotFound for a device that is not there, Unavailable for a daemon that is not there,
    InvalidArgument for an argument or an option that is not known, with the nearest one.
    """

    def __init__(
        self,
        wires: int | Sequence[Hashable] | None = None,
        shots: Any = None,
        *,
        device: str | Sequence[str] = "statevec",
        endpoint: str | None = None,
        seed: Any = "global",
        options: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **unknown: Any,
    ) -> None:
        for name in unknown:
            raise InvalidArgument(f"argument {name!r} is unknown; {near(name, _ARGUMENTS)}")
        super().__init__(wires=wires, shots=shots)
        names = (device,) if isinstance(device, str) else tuple(device)
        self._context = qpi.connect(endpoint)
        weakref.finalize(self, self._context.close)
        self._mesh = self._context.mesh(*names)
        self._max_rows = min(d.max_rows for d in self._mesh.devices)
        self._options = _known_options(options, self._mesh.devices) if options else None
        self._timeout = timeout
        if isinstance(seed, str) and seed == "global":
            seed = np.random.randint(2**31 - 1)
        self._rng = None if seed is None else np.random.default_rng(seed)
        self._labels = frozenset(self.wires) if self.wires else None
        self._planner = _planner(tuple(self.wires)) if self.wires else None
        self._plans: OrderedDict[Hashable, Plan] = OrderedDict()
        self._pipeline = qml.CompilePipeline()
        self._pipeline.add_transform(prepare, pipeline(self.name, self.wires), self._labels)
        self._debugger: Any = None
        self.timings: deque[CircuitTiming] = deque(maxlen=_MAX_TIMINGS)

    @property
    def name(self) -> str:
        """The name under which PennyLane finds the device."""
        return "qfw.device"

    @property
    def endpoint(self) -> str:
        """Where the runtime is: "embedded" or an address."""
        return str(self._context.endpoint)

    def close(self) -> None:
        """Ends the connection; what is still running is cancelled."""
        self._context.close()

    def setup_execution_config(
        self, config: ExecutionConfig | None = None, circuit: Any | None = None
    ) -> ExecutionConfig:
        """Fills in what is open; refuses options and methods for mid-circuit measurement that are not there."""
        config = config or ExecutionConfig()
        for option in config.device_options:
            raise qml.exceptions.DeviceError(
                f"device option {option} not present on {self.name}: options are given to qml.device"
            )
        method = config.mcm_config.mcm_method
        if method not in (None, "deferred", "device"):
            raise qml.exceptions.DeviceError(
                f"mcm_method {method} not supported on {self.name}. Supported methods are {{'deferred'}}"
            )
        return config

    def preprocess_transforms(self, execution_config: ExecutionConfig | None = None) -> Any:
        """The device's transforms: see `preprocess`."""
        return self._pipeline

    def execute(self, circuits: Any, execution_config: ExecutionConfig | None = None) -> Any:
        """Runs a batch of tapes as one message; results in the order of the tapes."""
        jobs = self._jobs(circuits)
        results = self._mesh.run([task for task, _ in jobs], timeout=self._timeout) if jobs else ()
        out: list[Any] = [None] * len(circuits)
        batches: dict[int, list[Any]] = {}
        for (_, job), result in zip(jobs, results, strict=True):
            self.timings.append(CircuitTiming(job.size, result.timing))
            rows = iter(result.rows)
            for position, count in job.places:
                if count is None:
                    out[position] = job.plan.read(next(rows))
                else:
                    answers = [job.plan.read(answer) for answer in islice(rows, count)]
                    batches.setdefault(position, []).extend(answers)
        for position, answers in batches.items():
            out[position] = stack(answers)
        return tuple(out)

    def _jobs(self, circuits: Sequence[Any]) -> list[tuple[qpi.Task, _Job]]:
        jobs: list[_Job] = []
        latest: dict[tuple[int, int], _Job] = {}
        started = perf_counter_ns()
        for position, tape in enumerate(circuits):
            plan, values = self._plan(tape)
            key = (id(plan), tape.shots.total_shots or 0)
            bindings = rows(values)
            if bindings.ndim == 1:
                self._job(jobs, latest, plan, key).add(position, bindings)
                continue
            start = 0
            while start < len(bindings):
                job = self._job(jobs, latest, plan, key)
                part = bindings[start : start + self._max_rows - job.size]
                job.add(position, part)
                start += len(part)
        spent = (perf_counter_ns() - started) // max(len(jobs), 1)
        return [(self._task(job, spent), job) for job in jobs]

    def _job(self, jobs: list[_Job], latest: dict[tuple[int, int], _Job], plan: Plan, key: tuple[int, int]) -> _Job:
        """The job of the key that has room for one more row."""
        job = latest.get(key)
        if job is None or job.size >= self._max_rows:
            job = latest[key] = _Job(plan, key[1])
            jobs.append(job)
        return job

    def _task(self, job: _Job, convert_ns: int) -> qpi.Task:
        plan = job.plan
        seed = None
        if job.shots and self._rng is not None:
            seed = int(self._rng.integers(2**63))
        return qpi.Task(
            plan.program,
            bindings=job.bindings(),
            shots=job.shots,
            outputs=plan.outputs,
            observables=plan.observables,
            qubits=plan.qubits,
            seed=seed,
            options=self._options,
            convert_ns=convert_ns,
        )

    def _plan(self, tape: Any) -> tuple[Plan, list[Any]]:
        planner = self._planner
        if planner is None:
            tape = tape.map_to_standard_wires()
            planner = _planner(tuple(range(max(len(tape.wires), 1))))
        operations, values = planner.converter.structure(tape.operations)
        measured = measurement_key(tape.measurements)
        if measured is None or len(operations) > _MAX_CACHED_KEY:
            return planner.plan(operations, tape), values
        shots = tape.shots
        key = (operations, measured, len(planner.wires), shots.shot_vector if shots else None)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = planner.plan(operations, tape)
            if len(self._plans) > _MAX_PLANS:
                self._plans.popitem(last=False)
        return plan, values


def _known_options(options: Mapping[str, str], devices: Sequence[qpi.Device]) -> dict[str, str]:
    """The options, all of which some device knows."""
    known = {name for device in devices for name in device.options}
    for name in options:
        if name not in known:
            raise InvalidArgument(f"option {name!r} of {', '.join(d.name for d in devices)}; {near(name, known)}")
    return dict(options)


def _planner(wires: Sequence[Hashable]) -> Planner:
    plain = all(isinstance(w, int) and w == i for i, w in enumerate(wires))
    return Planner(TapeConverter(None if plain else wires, len(wires)), wires)


__all__ = ["CircuitTiming", "QFWDevice"]
