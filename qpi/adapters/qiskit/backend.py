"""`QFWBackend`: any device of qfw as a Qiskit backend."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2, JobStatus, Options
from qiskit.transpiler import Target

from qfw import qpi
from qfw.program.errors import Closed, InvalidArgument, LimitExceeded, NotFound
from qfw.qpi.adapters.qiskit import kinds, results
from qfw.qpi.adapters.qiskit.batch import Batch, Retrieved, naming
from qfw.qpi.adapters.qiskit.job import QFWJob
from qfw.qpi.adapters.qiskit.noise import check_circuits
from qfw.qpi.adapters.qiskit.options import DEFAULTS, RunOptions, device_properties, frozen, part_seed, run_options
from qfw.qpi.adapters.qiskit.record import Record, is_run, tags_of, unpack
from qfw.qpi.adapters.qiskit.target import device_target
from qfw.toolchain.formats.converted import Converted, Matrix
from qfw.toolchain.formats.qiskit import to_program

_log = logging.getLogger("qfw.qiskit")
_MAX_CIRCUITS = 1024
_DEFAULT_QUBITS = 400
_PAGE = 50  # jobs asked for at once


class QFWBackend(BackendV2):
    """A device of qfw for Qiskit.

    Args:
        betype: mask of `QFWBackendType`; -1: any.
        capability: mask of `QFWBackendCapability`; -1: any.
        target: a Target to use in place of the device's.
        properties: options of every run, under QFw's names (`backend` is Aer's method).
        num_qubits: at most as many as the device has, but with the option `method="auto"`.
        lookup_timeout: seconds to wait for the daemon.
        provider: name of a provider ("nwqsim", "aer", "statevec" ...); goes before `betype`.
        backend: the provider's own choice, as `properties["backend"]`.
        service_id: ignored; qfw finds its daemon by the run.
        device: name of a qfw device; goes before everything else.
        endpoint: of `qfw.qpi.connect`.

    Raises:
        NotFound: no such device; the message names what is there. InvalidArgument, Unavailable.
    """

    COMPLETION_TIMEOUT_SEC = None  # no fixed wait: see the run option `timeout`

    def __init__(
        self,
        betype: int = -1,
        capability: int = -1,
        target: Target | None = None,
        properties: Mapping[str, Any] | None = None,
        num_qubits: int = _DEFAULT_QUBITS,
        lookup_timeout: float | None = None,
        provider: str | None = None,
        backend: str | None = None,
        service_id: str | None = None,
        *,
        device: str | None = None,
        endpoint: str | None = None,
        **options: Any,
    ) -> None:
        self.context = qpi.connect(endpoint, timeout=10.0 if lookup_timeout is None else lookup_timeout)
        try:
            devices = self.context.devices()
            wanted = kinds.wanted_device(devices, betype, capability, provider, device)
            self.device = kinds.choose(devices, wanted)
            self._mesh = self.context.mesh(self.device.name)
            super().__init__(
                name="QFw Backend",
                description=f"device {self.device.name!r} of qfw",
                backend_version="1.0",
            )
            given = dict(properties or {})
            if backend is not None:
                given["backend"] = backend
            self._properties = given
            defaults = frozen({**device_properties(given, self.device.options), **options}, self.device)
            run_options({}, defaults, self.device)
            self._options.update_options(**defaults)
            anywhere = defaults.get("method") == "auto"  # then a task may go to a device with more qubits
            self._num_qubits = _qubits(num_qubits, 0 if anywhere else self.device.max_qubits)
        except BaseException:
            self.context.close()
            raise
        self._type, self._capability = betype, capability
        if target is not None:
            self.__dict__["target"] = target
        self._lock = threading.Lock()
        self._statistics = dict.fromkeys(("jobs", "circuits", "shots"), 0)
        self._closed = False

    def __repr__(self) -> str:
        return f"<QFWBackend {self.device.name!r}, {self._num_qubits} qubits, {self.context.endpoint}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> QFWBackend:
        """Itself: it stands for a session, and the runtime's primitives copy the options that hold it."""
        return self

    @cached_property
    def target(self) -> Target:
        """The device's gates, without rzz; made once."""
        return device_target(self.device, self._num_qubits)

    @property
    def num_qubits(self) -> int:
        """Number of qubits."""
        return int(self.target.num_qubits or self._num_qubits)

    @property
    def max_circuits(self) -> int:
        """Circuits that one `run` takes."""
        return _MAX_CIRCUITS

    @classmethod
    def _default_options(cls) -> Options:
        return Options(**DEFAULTS)

    def set_options(self, **fields: Any) -> None:
        """Changes defaults of later runs; unknown names raise InvalidArgument."""
        fields = frozen(fields, self.device)
        run_options({}, fields, self.device)
        self._options.update_options(**fields)

    def run(
        self,
        run_input: QuantumCircuit | Sequence[QuantumCircuit],
        parameter_binds: Sequence[Mapping[Any, Any]] | None = None,
        **kwargs: Any,
    ) -> QFWJob:
        """Submits circuits, all in one message.

        Args:
            run_input: a circuit or several.
            parameter_binds: as Aer's: per circuit a dict of parameter -> values; each value is an experiment.
            kwargs: `shots`, `seed_simulator` (or `seed`), `memory`, `timeout` (seconds), `priority`,
                `return_statevector`, `noise_model`, `job_tags`, and the device's own options.

        Raises:
            InvalidArgument: an unknown option, no circuit, an unbound parameter. LimitExceeded: too many circuits.
            UnknownGate, Unsupported: a circuit that cannot be run; the message names it.
        """
        if self._closed:
            raise Closed("this backend was shut down")
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        if not circuits:
            raise InvalidArgument("run() of no circuit; at least one expected")
        if len(circuits) > _MAX_CIRCUITS:
            raise LimitExceeded(f"run() of {len(circuits)} circuits; at most {_MAX_CIRCUITS} allowed (max_circuits)")
        want = run_options(self.options, kwargs, self.device)
        if "noise_model" in want.device:
            check_circuits(circuits)
        binds = list(parameter_binds) if parameter_binds else [{}] * len(circuits)
        if len(binds) != len(circuits):
            raise InvalidArgument(f"parameter_binds for {len(binds)} circuits; {len(circuits)} were given")
        entries, tasks = [], []
        for i, (circuit, bind) in enumerate(zip(circuits, binds, strict=True)):
            if not isinstance(circuit, QuantumCircuit):
                raise InvalidArgument(f"circuit {i} is a {type(circuit).__name__}; a QuantumCircuit expected")
            with naming(f"circuit {i} ({circuit.name!r})"):
                tasks.append(_task(circuit, bind, want, part_seed(want.seed, i)))
            entries.append(results.entry(circuit))
        tags = tags_of(kwargs.get("job_tags", self.options.get("job_tags")))
        record = Record(self.device.name, tuple(entries), want, tags=tags, created=time.time())
        job_id = uuid.uuid4().hex

        def spec(parts: list[int]) -> qpi.JobSpec:
            return qpi.JobSpec(job_id, replace(record, parts=tuple(parts)).pack())

        return QFWJob(self, job_id, self.submit(tasks, [e.name for e in entries], spec), record)

    def submit(
        self, tasks: Sequence[Any], names: Sequence[str], job: Callable[[list[int]], qpi.JobSpec] | None = None
    ) -> Batch:
        """Submits tasks in one message, sweeps beyond the device's rows in parts; for the primitives."""
        if self._closed:
            raise Closed("this backend was shut down")
        return Batch(self.context, self._mesh, tasks, names, max_rows=self.device.max_rows, job=job)

    def retrieve_job(self, job_id: str) -> QFWJob:
        """A job by its id: of this process, or in a daemon of any, while the runtime remembers it.

        Raises:
            NotFound: it does not, or the job was of another runtime. InvalidArgument: not of a `QFWBackend.run`.
        """
        found = self.context.jobs(str(job_id))
        if not found:
            where = self.context.endpoint
            only = "; an embedded runtime remembers those of its own process alone" if where == "embedded" else ""
            raise NotFound(f"the runtime at {where} remembers no job {job_id!r}{only}")
        return self._job_of(found[0])

    def _job_of(self, info: qpi.JobInfo) -> QFWJob:
        record = unpack(info.id, info.metadata)
        names = [e.name for e in record.entries]
        return QFWJob(self, info.id, Retrieved(self.context, info.id, names, record.parts), record)

    def jobs(
        self, limit: int | None = 10, skip: int = 0, status: JobStatus | str | None = None, tags: Sequence[str] = ()
    ) -> list[QFWJob]:
        """Jobs on this device that the runtime remembers, the youngest first.

        Args:
            limit: at most so many; None: all.
            skip: leaves out so many of the youngest.
            status: those of this status alone.
            tags: those with all of these tags alone.
        """
        wanted = JobStatus[status.upper()] if isinstance(status, str) else status
        made: list[QFWJob] = []
        ids = [info.id for info in reversed(self.context.jobs())]
        for first in range(0, len(ids), _PAGE):
            page = {info.id: info for info in self.context.jobs(*ids[first : first + _PAGE])}
            for info in (page[i] for i in ids[first : first + _PAGE] if i in page):
                if limit is not None and len(made) >= skip + limit:
                    return made[skip:]
                job = self._job_of(info) if is_run(info.metadata) else None
                if job is None or job.device() != self.device.name or not set(tags) <= set(job.tags()):
                    continue
                if wanted is None or job.status() is wanted:
                    made.append(job)
        return made[skip:]

    def shutdown(self) -> None:
        """Ends this backend's session, and nothing that others use; its jobs go on in a daemon, else are cancelled."""
        if not self._closed:
            self._closed = True
            self.context.close()

    def __enter__(self) -> QFWBackend:
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()

    def account(self, done: Iterable[Any]) -> None:
        """Adds finished results to the statistics."""
        with self._lock:
            total = self._statistics
            total["jobs"] += 1
            for result in done:
                if result is not None:
                    total["circuits"] += len(result.rows)
                    total["shots"] += result.shots * len(result.rows)
                    for part, ns in results.timing(result).items():
                        total[part] = total.get(part, 0) + ns

    def dump_statistics(self) -> dict[str, int]:
        """Jobs, circuits and shots so far, and the sums of nanoseconds by part."""
        with self._lock:
            return dict(self._statistics)

    def log_statistics(self) -> None:
        """Logs `dump_statistics` to the logger `qfw.qiskit`."""
        _log.info("%r: %s", self, self.dump_statistics())

    def returns_statevector(self) -> bool:
        """Whether runs may ask for the state vector (`return_statevector=True`); shot runs never carry it unasked."""
        return "statevector" in self.device.outputs

    def properties(self) -> dict[str, Any]:
        """The properties it was made with."""
        return dict(self._properties)

    def status(self) -> SimpleNamespace:
        """The device as it is now: `operational`, `pending_jobs` (tasks that wait for it), `status_msg`."""
        now = self.context.device(self.device.name)
        return SimpleNamespace(
            backend_name=self.name,
            backend_version=self.backend_version,
            operational=now.status in ("online", "starting", "busy"),
            pending_jobs=now.queued,
            status_msg=f"{now.status}: {now.status_reason}" if now.status_reason else now.status,
        )

    def configuration(self) -> SimpleNamespace:
        """What BackendV1's configuration told, for code that still reads it."""
        return SimpleNamespace(
            backend_name=self.name,
            backend_version=self.backend_version,
            n_qubits=self.num_qubits,
            basis_gates=sorted(self.target.operation_names),
            coupling_map=[list(pair) for pair in self.device.coupling] or None,
            simulator=self.device.simulator,
            local=self.context.endpoint == "embedded",
            memory=True,
            conditional=False,
            max_shots=self.device.max_shots,
            max_experiments=_MAX_CIRCUITS,
            description=self.description,
        )

    def my_name(self) -> str:
        """The backend's name."""
        return str(self.name)

    def my_version(self) -> str:
        """The backend's version."""
        return str(self.backend_version)


def _qubits(wanted: int, there: int) -> int:
    if isinstance(wanted, bool) or not isinstance(wanted, int | np.integer) or wanted < 1:
        raise InvalidArgument(f"num_qubits {wanted!r}; an integer of at least 1 expected")
    return min(int(wanted), there) if there else int(wanted)


def _task(circuit: QuantumCircuit, bind: Mapping[Any, Any], want: RunOptions, seed: int | None) -> Any:
    start = time.perf_counter_ns()
    if not circuit.clbits and not want.return_statevector:
        raise InvalidArgument(
            "no classical bits, so nothing to count; add measure_all(), or ask for return_statevector"
        )
    converted = to_program(circuit)
    outputs = ["counts"] if circuit.clbits else []
    if want.memory and circuit.clbits:
        outputs.append("memory")
    if want.return_statevector:
        outputs.append("statevector")
    return qpi.Task(
        converted.program,
        bindings=_bindings(converted, bind),
        shots=want.shots,
        outputs=tuple(outputs),
        seed=seed,
        priority=want.priority,
        options=want.device or None,
        convert_ns=time.perf_counter_ns() - start,
    )


def _bindings(converted: Converted, bind: Mapping[Any, Any]) -> Matrix | None:
    """The bindings of Aer's `parameter_binds`; None where the circuit has no parameters."""
    if not converted.parameter_names:
        if bind:
            raise InvalidArgument(f"values for {len(bind)} parameters, but the circuit has none")
        return None
    values = {getattr(p, "name", p): np.atleast_1d(np.asarray(v, dtype=np.float64)) for p, v in bind.items()}
    free = [name for name in converted.parameter_names if name not in values]
    if free:
        raise InvalidArgument(f"parameters without a value: {', '.join(free)}")
    return converted.columns(np.column_stack([values[name] for name in converted.parameter_names]))
