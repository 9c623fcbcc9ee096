"""The way into qfw: one session with a runtime, in this process or behind a socket."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal, overload

from qfw._core import qpi as native
from qfw.qpi.device import Device
from qfw.qpi.errors import InvalidArgument, Unsupported
from qfw.qpi.events import EventQueue
from qfw.qpi.jobs import Job, JobInfo
from qfw.qpi.mesh import AllMesh, Mesh
from qfw.qpi.pipeline import ToolPipeline
from qfw.qpi.queues import CompletionQueue

_KINDS = {None: None, "simulator": True, "qpu": False}


def connect(
    endpoint: str | os.PathLike[str] | None = None, *, timeout: float = 10.0, reconnect: float | None = None
) -> Context:
    """Opens a session.

    Args:
        endpoint: None: the run named by $QFW_ENDPOINT, $QFW_RUN_ID or $SLURM_JOB_ID, else the only live run of this
            user, else a runtime inside this process. "embedded": that runtime. "unix:/path": a daemon's Runtime
            service. Else the path of an endpoint.json: by its unix socket on the daemon's host, else over TLS
            ($QFW_TRANSPORT: "unix" or "tls").
        timeout: seconds to wait for the daemon.
        reconnect: seconds to wait for a daemon that was lost, before unfinished tasks fail with ConnectionLost; what
            is unfinished runs again on the one that comes back, and completes once. 0: not at all. None:
            $QFW_RECONNECT, else 30 while somebody holds the run's place and 3 when nobody does.

    Raises:
        Unavailable: nothing answers there. PermissionDenied: no certificate that it takes.
        InvalidArgument: several runs are live; the message lists them.
        WaitTimeout, ProtocolError
    """
    if reconnect is not None and not 0 <= reconnect < float("inf"):
        raise InvalidArgument(f"reconnect is {reconnect}; allowed: seconds from 0, or None")
    where = (native.find_endpoint() or "embedded") if endpoint is None else os.fspath(endpoint)
    made = _embedded() if where == "embedded" else native.Context.connect(where, timeout, reconnect)
    return Context(made, where, timeout)


def _embedded() -> native.Context:
    """This process's own runtime, with the Python plugins; its module is named here and imported nowhere."""
    root: Any = importlib.import_module("qfw._embedded")
    return native.Context.over(root.runtime().session())


class Context:
    """One session; made by `connect`. Close it, or use it as a context manager. Its methods are thread-safe."""

    def __init__(self, native: native.Context, where: str | None = None, timeout: float = 10.0) -> None:
        self._native = native
        self._where = where  # as given to connect(), or found
        self._timeout = timeout

    @property
    def endpoint(self) -> str:
        """Where the runtime is: "embedded", "unix:/path" or, over TLS, "host:port"."""
        return self._native.endpoint

    @property
    def window(self) -> int:
        """How many tasks may be outstanding; beyond it `submit` waits."""
        return self._native.window

    def devices(self) -> list[Device]:
        """All devices, as they are now."""
        return [Device.of(device, self) for device in self._native.devices()]

    def device(self, name: str) -> Device:
        """One device, as it is now.

        Raises:
            NotFound: lists the names there are.
        """
        return Device.of(self._native.device(name), self)

    @overload
    def mesh(
        self, *names: str, kind: str | None = None, min_qubits: int | None = None, mode: Literal["any"] = "any"
    ) -> Mesh: ...
    @overload
    def mesh(
        self, *names: str, kind: str | None = None, min_qubits: int | None = None, mode: Literal["all"]
    ) -> AllMesh: ...
    def mesh(
        self, *names: str, kind: str | None = None, min_qubits: int | None = None, mode: str = "any"
    ) -> Mesh | AllMesh:
        """Devices acted on together: those named, or all; of them those that fit.

        Args:
            kind: "simulator" or "qpu".
            min_qubits: qubits that a device must have.
            mode: "any": a task goes to the first device that is free. "all": each device runs it, and it completes
                once, with the results of all.

        Raises:
            NotFound: a name that is not there or does not fit, or nothing fits.
        """
        if mode not in ("any", "all"):
            raise InvalidArgument(f"mode is {mode!r}; allowed: 'any', 'all'")
        if kind not in _KINDS:
            raise InvalidArgument(f"kind is {kind!r}; allowed: 'simulator', 'qpu', None")
        if min_qubits is not None and not 0 <= min_qubits < 1 << 32:
            raise InvalidArgument(f"min_qubits is {min_qubits}; allowed: 0 to {(1 << 32) - 1}")
        made = self._native.mesh(list(names), _KINDS[kind], min_qubits or 0, mode == "all")
        return AllMesh(self, made) if mode == "all" else Mesh(self, made)

    def completion_queue(self, capacity: int = native.DEFAULT_CAPACITY) -> CompletionQueue:
        """A queue for the completions of streams; `capacity` bounds operations outstanding plus entries unread."""
        if capacity < 1:
            raise InvalidArgument(f"a completion queue's capacity is {capacity}; it must be at least 1")
        return CompletionQueue(self, self._native.completion_queue(capacity))

    def event_queue(
        self,
        devices: Iterable[Device | str] = (),
        kinds: Iterable[str] = (),
        *,
        capacity: int = native.DEFAULT_EVENTS,
    ) -> EventQueue:
        """A queue for what devices have to say. Any number of queues may listen; where none does, nothing is kept.

        Args:
            devices: those to hear of, none: all. What concerns the runtime as a whole comes to every queue.
            kinds: among status, fault, drain, calibration, noise; none: all.
            capacity: of events that are not read in time the oldest are dropped, and counted.

        Raises:
            NotFound: no such device. InvalidArgument: an unknown kind. Unsupported: a runtime without events.
        """
        if capacity < 1:
            raise InvalidArgument(f"an event queue's capacity is {capacity}; it must be at least 1")
        names = [device if isinstance(device, str) else device.name for device in devices]
        return EventQueue(self._native.event_queue(names, list(kinds), capacity))

    def tool_pipeline(self, *specs: Any) -> ToolPipeline:
        """Tools one after another: names, (name, options) pairs, or tools."""
        return ToolPipeline(*specs)

    def cancel(self) -> None:
        """Cancels what is outstanding in all streams and runs; each completes, as Cancelled unless it was done."""
        self._native.cancel()

    def jobs(self, *ids: str) -> list[JobInfo]:
        """The jobs that the runtime remembers, oldest first; by name with their metadata, unknown ones left out."""
        return [JobInfo.of(found) for found in native.jobs(self._native, list(ids))]

    def attach_job(self, job_id: str) -> Job:
        """A job of this runtime, whoever submitted it; opens a session of its own.

        Raises:
            Unsupported: this context was not made by `connect`.
            NotFound: the runtime does not remember it. An embedded runtime remembers those of its own process alone.
        """
        if self._where is None:
            raise Unsupported("jobs are attached to through a context that connect() made")
        session = connect(self._where, timeout=self._timeout)
        try:
            return Job(session, job_id)
        except BaseException:
            session.close()
            raise

    def forget_job(self, job_id: str) -> None:
        """Cancels what is unfinished of a job and drops its results."""
        native.forget_job(self._native, job_id)

    def close(self) -> None:
        """Cancels what is outstanding (but a daemon's jobs, which go on) and wakes all waiting threads; idempotent."""
        self._native.close()

    def __enter__(self) -> Context:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Context({self.endpoint!r})"
