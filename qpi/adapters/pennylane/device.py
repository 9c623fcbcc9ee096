"""`qfw.device`: the devices of qfw for PennyLane.

    dev = qml.device("qfw.device", wires=3, device="statevec")

A batch of tapes goes to the runtime in one message; tapes of the same structure become rows of one task. Analytic
results are expectation values, probabilities and state vectors of the runtime's simulators; with shots, results are
made from packed bits.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np
import pennylane as qml
from numpy.typing import NDArray
from pennylane.devices import Device, ExecutionConfig
from pennylane.devices.modifiers import simulator_tracking, single_tape_support

from qfw import qpi
from qfw.qpi.adapters.pennylane import dynamic, gradients
from qfw.qpi.adapters.pennylane.jobs import Job, Jobs
from qfw.qpi.adapters.pennylane.measure import Planner, measurement_key
from qfw.qpi.adapters.pennylane.plan import Plan
from qfw.qpi.adapters.pennylane.preprocess import pipeline, prepare
from qfw.qpi.adapters.pennylane.split import stack
from qfw.qpi.errors import InvalidArgument
from qfw.toolchain.formats.pennylane import Key, TapeConverter, rows
from qfw.toolchain.tools.registry import near

_MAX_PLANS = 1024  # structures of tapes a device remembers
_MAX_CACHED_KEY = 20_000  # entries of a key; longer tapes are not remembered
_ARGUMENTS = ("wires", "shots", "device", "endpoint", "seed", "options", "timeout", "mcm_method")
_MAX_TIMINGS = 100_000  # circuits whose timing a device remembers


class CircuitTiming(NamedTuple):
    """Where the time of one task went, and how many circuits were its rows."""

    circuits: int
    timing: Any


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
        mcm_method: how circuits that do not say measure in the middle: "one-shot", "tree-traversal", "deferred"; None:
            followed by the runtime where there are shots, else deferred.

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
        mcm_method: str | None = None,
        **unknown: Any,
    ) -> None:
        for name in unknown:
            raise InvalidArgument(f"argument {name!r} is unknown; {near(name, _ARGUMENTS)}")
        super().__init__(wires=wires, shots=shots)
        names = (device,) if isinstance(device, str) else tuple(device)
        self._context = qpi.connect(endpoint)
        weakref.finalize(self, self._context.close)
        self._mesh = self._context.mesh(*names)
        devices = self._mesh.devices
        self._max_rows = min(d.max_rows for d in devices)
        self._outputs = frozenset.intersection(*(frozenset(d.outputs) for d in devices))
        self._options = _known_options(options, devices) if options else None
        self._timeout = timeout
        if isinstance(seed, str) and seed == "global":
            seed = np.random.randint(2**31 - 1)
        self._rng = None if seed is None else np.random.default_rng(seed)
        self._labels = frozenset(self.wires) if self.wires else None
        self._planner = _planner(tuple(self.wires)) if self.wires else None
        self._plans: OrderedDict[Hashable, Plan] = OrderedDict()
        if mcm_method not in dynamic.METHODS:
            known = [name for name in dynamic.METHODS if name]
            raise InvalidArgument(f"mcm_method {mcm_method!r} is unknown; {near(str(mcm_method), known)}")
        self._mcm_method = mcm_method
        self._follows = all("dynamic" in d.gates for d in devices)
        self._pipelines: dict[tuple[bool, str | None], Any] = {}
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
        if config.mcm_config.mcm_method is None and self._mcm_method is not None:
            config = replace(config, mcm_config=replace(config.mcm_config, mcm_method=self._mcm_method))
        elif config.mcm_config.mcm_method not in dynamic.METHODS:
            raise qml.exceptions.DeviceError(f"mcm_method {config.mcm_config.mcm_method} not supported on {self.name}")
        if config.gradient_method in gradients.METHODS and self.supports_derivatives(config, circuit):
            return replace(
                config,
                gradient_method="adjoint",
                use_device_gradient=True,
                grad_on_execution=True if config.grad_on_execution is None else config.grad_on_execution,
            )
        return config

    def preprocess_transforms(self, execution_config: ExecutionConfig | None = None) -> Any:
        """The device's transforms: see `preprocess`."""
        adjoint, method = False, self._mcm_method
        if execution_config is not None:
            adjoint = execution_config.gradient_method == "adjoint"
            method = execution_config.mcm_config.mcm_method
        made = self._pipelines.get((adjoint, method))
        if made is None:
            steps = pipeline(self.name, self.wires, adjoint=adjoint, mcm_method=method, follows=self._follows)
            made = self._pipelines[adjoint, method] = qml.CompilePipeline()
            made.add_transform(prepare, steps, self._labels, not adjoint)
        return made

    def supports_derivatives(self, execution_config: ExecutionConfig | None = None, circuit: Any | None = None) -> bool:
        """Whether the runtime differentiates: where it offers gradients, once, expectation values without shots."""
        if "gradients" not in self._outputs:
            return False
        config = execution_config
        if config is not None and (config.gradient_method not in gradients.METHODS or config.derivative_order > 1):
            return False
        return circuit is None or gradients.differentiable(circuit)

    supports_jvp = supports_vjp = supports_derivatives

    def execute(self, circuits: Any, execution_config: ExecutionConfig | None = None) -> Any:
        """Runs a batch of tapes as one message; results in the order of the tapes."""
        mode = None if execution_config is None else execution_config.mcm_config.postselect_mode
        return tuple(self._run(circuits, lambda plan, row: plan.read(row), mode=mode))

    def compute_derivatives(self, circuits: Any, execution_config: ExecutionConfig | None = None) -> Any:
        """The Jacobian of each tape with respect to its trainable numbers."""
        return self._differentiate(circuits)[1]

    def execute_and_compute_derivatives(self, circuits: Any, execution_config: ExecutionConfig | None = None) -> Any:
        """Results and Jacobians, of one task for each structure of tape."""
        return self._differentiate(circuits)

    def compute_vjp(self, circuits: Any, cotangents: Any, execution_config: ExecutionConfig | None = None) -> Any:
        """For each tape, the cotangents of its results times its Jacobian."""
        return tuple(map(gradients.vjp, circuits, cotangents, self._differentiate(circuits)[1]))

    def execute_and_compute_vjp(
        self, circuits: Any, cotangents: Any, execution_config: ExecutionConfig | None = None
    ) -> Any:
        """Results, and the cotangents times the Jacobians."""
        results, jacobians = self._differentiate(circuits)
        return results, tuple(map(gradients.vjp, circuits, cotangents, jacobians))

    def compute_jvp(self, circuits: Any, tangents: Any, execution_config: ExecutionConfig | None = None) -> Any:
        """For each tape, its Jacobian times the tangents of its trainable numbers."""
        return tuple(map(gradients.jvp, circuits, tangents, self._differentiate(circuits)[1]))

    def execute_and_compute_jvp(
        self, circuits: Any, tangents: Any, execution_config: ExecutionConfig | None = None
    ) -> Any:
        """Results, and the Jacobians times the tangents."""
        results, jacobians = self._differentiate(circuits)
        return results, tuple(map(gradients.jvp, circuits, tangents, jacobians))

    def _differentiate(self, circuits: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        wanted = [gradients.columns(tape) for tape in circuits]
        found = self._run(circuits, lambda plan, row: (plan.read(row), row), wanted)
        return tuple(result for result, _ in found), tuple(
            gradients.jacobian(row.gradients if columns else np.empty((len(tape.measurements), 0)))
            for (_, row), columns, tape in zip(found, wanted, circuits, strict=True)
        )

    def _run(
        self,
        circuits: Sequence[Any],
        read: Callable[[Plan, Any], Any],
        columns: Sequence[tuple[int, ...]] | None = None,
        mode: str | None = None,
    ) -> list[Any]:
        """What `read` makes of each tape's row; where a tape carries a batch, of all its rows in one."""
        started = perf_counter_ns()
        jobs = Jobs(self._max_rows)
        for position, tape in enumerate(circuits):
            plan, values = self._plan(tape, mode)
            jobs.add(position, plan, tape.shots.total_shots or 0, rows(values), columns[position] if columns else ())
        spent = (perf_counter_ns() - started) // max(len(jobs.made), 1)
        tasks = [self._task(job, spent) for job in jobs.made]
        results = self._mesh.run(tasks, timeout=self._timeout) if tasks else []
        out: list[Any] = [None] * len(circuits)
        batches: dict[int, list[Any]] = {}
        for job, result in zip(jobs.made, results, strict=True):
            self.timings.append(CircuitTiming(job.size, result.timing))
            counts = job.plan.fill
            found = result.rows if counts is None else self._filled(job, result.rows, counts)
            for position, answer in job.answers(found):
                if isinstance(answer, list):
                    batches.setdefault(position, []).extend(read(job.plan, row) for row in answer)
                else:
                    out[position] = read(job.plan, answer)
        for position, answers in batches.items():
            out[position] = stack(answers)
        return out

    def _task(
        self, job: Job, convert_ns: int, bindings: NDArray[np.float64] | None = None, shots: int | None = None
    ) -> qpi.Task:
        """The task of a job, or for some of its rows with another number of shots."""
        plan = job.plan
        seed = None
        if job.shots and self._rng is not None:
            seed = int(self._rng.integers(2**63))
        return qpi.Task(
            plan.program,
            bindings=job.bindings() if bindings is None else bindings,
            shots=job.shots if shots is None else shots,
            outputs=(*plan.outputs, "gradients") if job.columns else plan.outputs,
            observables=plan.observables,
            qubits=plan.qubits,
            gradient_parameters=job.columns,
            seed=seed,
            options=self._options,
            convert_ns=convert_ns,
        )

    def _filled(self, job: Job, found: Sequence[Any], counts: dynamic.Counts) -> list[Any]:
        """Rows whose shots all have the outcomes that are postselected: more are run for those that have not."""
        bindings = job.bindings()

        def more(row: int, shots: int) -> Any:
            task = self._task(job, 0, bindings[row : row + 1], shots)
            return self._mesh.run(task, timeout=self._timeout).rows[0].memory

        return [dynamic.fill(answer.memory, counts, job.shots, partial(more, row)) for row, answer in enumerate(found)]

    def _plan(self, tape: Any, mode: str | None) -> tuple[Plan, list[Any]]:
        planner = self._planner
        if planner is None:
            tape = tape.map_to_standard_wires()
            planner = _planner(tuple(range(max(len(tape.wires), 1))))
        operations, values = planner.converter.structure(tape.operations)
        measured = measurement_key(tape)
        if measured is None or len(operations) > _MAX_CACHED_KEY:
            return self._made(planner, operations, tape, mode), values
        shots = tape.shots
        key = (operations, measured, len(planner.wires), shots.shot_vector if shots else None, mode)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._made(planner, operations, tape, mode)
            if len(self._plans) > _MAX_PLANS:
                self._plans.popitem(last=False)
        return plan, values

    def _made(self, planner: Planner, operations: Key, tape: Any, mode: str | None) -> Plan:
        """A new plan. Deferred measurements may need more wires than the device has: they get qubits after these."""
        if self._labels is not None and (more := [w for w in tape.wires if w not in self._labels]):
            planner = _planner((*planner.wires, *more))
        return planner.plan(operations, tape, mode)


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
