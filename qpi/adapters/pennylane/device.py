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
from qfw.toolchain.formats.pennylane import TapeConverter, row

_MAX_PLANS = 1024  # structures of tapes a device remembers
_MAX_CACHED_KEY = 20_000  # entries of a key; longer tapes are not remembered
_MAX_TIMINGS = 100_000  # circuits whose timing a device remembers


class CircuitTiming(NamedTuple):
    """Where the time of one task went, and how many circuits were its rows."""

    circuits: int
    timing: Any


class _Job(NamedTuple):
    """Tapes of one structure: one task, a row each."""

    plan: Plan
    shots: int
    rows: list[NDArray[np.float64]]
    positions: list[int]  # in the batch


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

    Raises (from `qfw.qpi.errors`): NotFound for a device that is not there, Unavailable for a daemon that is not there.
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
    ) -> None:
        super().__init__(wires=wires, shots=shots)
        names = (device,) if isinstance(device, str) else tuple(device)
        self._context = qpi.connect(endpoint)
        weakref.finalize(self, self._context.close)
        self._mesh = self._context.mesh(*names)
        self._max_rows = min(d.max_rows for d in self._mesh.devices)
        self._options = dict(options) if options else None
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
            raise qml.exceptions.DeviceError(f"device option {option} not present on {self.name}")
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
        results = self._mesh.run([task for task, _ in jobs], timeout=self._timeout)
        out: list[Any] = [None] * len(circuits)
        for (_, job), result in zip(jobs, results, strict=True):
            self.timings.append(CircuitTiming(len(job.positions), result.timing))
            rows = result.rows
            for position, answer in zip(job.positions, rows, strict=True):
                out[position] = job.plan.read(answer)
        return tuple(out)

    def _jobs(self, circuits: Sequence[Any]) -> list[tuple[qpi.Task, _Job]]:
        jobs: list[_Job] = []
        latest: dict[tuple[int, int], _Job] = {}
        started = perf_counter_ns()
        for position, tape in enumerate(circuits):
            plan, values = self._plan(tape)
            shots = tape.shots.total_shots or 0
            job = latest.get((id(plan), shots))
            if job is None or len(job.rows) >= self._max_rows:
                job = latest[id(plan), shots] = _Job(plan, shots, [], [])
                jobs.append(job)
            job.rows.append(row(values))
            job.positions.append(position)
        spent = (perf_counter_ns() - started) // max(len(jobs), 1)
        return [(self._task(job, spent), job) for job in jobs]

    def _task(self, job: _Job, convert_ns: int) -> qpi.Task:
        plan = job.plan
        seed = None
        if job.shots and self._rng is not None:
            seed = int(self._rng.integers(2**63))
        return qpi.Task(
            plan.program,
            bindings=np.array(job.rows),
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


def _planner(wires: Sequence[Hashable]) -> Planner:
    plain = all(isinstance(w, int) and w == i for i, w in enumerate(wires))
    return Planner(TapeConverter(None if plain else wires, len(wires)), wires)


__all__ = ["CircuitTiming", "QFWDevice"]
