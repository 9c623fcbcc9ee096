"""Devices as an application sees them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from qfw.qpi.errors import InvalidArgument

if TYPE_CHECKING:
    from qfw._core import qpi as native
    from qfw.qpi.context import Context
    from qfw.qpi.mesh import Mesh
    from qfw.qpi.pipeline import ToolPipeline
    from qfw.qpi.queues import Completions
    from qfw.qpi.result import Result
    from qfw.qpi.stream import Stream
    from qfw.qpi.task import Task


@dataclass(frozen=True, slots=True)
class Device:
    """A QPU or simulator, as it was when it was listed."""

    name: str
    provider: str = ""
    description: str = ""
    version: str = ""
    simulator: bool = True
    status: str = "online"  #: online, starting, busy, draining, fault, offline
    status_reason: str = ""
    max_qubits: int = 0
    max_shots: int = 0
    max_rows: int = 0
    capacity: int = 1  #: tasks at once
    queued: int = 0  #: tasks waiting for it
    instances: int = 1  #: simulators that run for it now, processes or groups of ranks
    max_ranks: int = 1  #: that can simulate one task together
    threads: int = 0  #: that a rank computes with; 0: not known
    gates: tuple[str, ...] = ()  #: names of the gate table, and "unitary", "measure", "reset"
    outputs: tuple[str, ...] = ()  #: what a task may ask of it
    coupling: tuple[tuple[int, int], ...] = ()  #: empty: all to all
    options: dict[str, str] = field(default_factory=dict)  #: its own task options: name, help text
    id: int = 0  #: in its runtime
    _context: Context | None = field(default=None, repr=False, compare=False)

    def mesh(self) -> Mesh:
        """A mesh of this device alone."""
        if self._context is None:
            raise InvalidArgument(f"the device {self.name!r} is a description, not a device of a context")
        return self._context.mesh(self.name)

    def stream(
        self, order: str = "parallel", completions: Completions = None, pipeline: ToolPipeline | None = None
    ) -> Stream:
        """Opens a stream on this device; see `Mesh.stream`."""
        return self.mesh().stream(order, completions, pipeline)

    @overload
    def run(self, task: Task, timeout: float | None = None, pipeline: ToolPipeline | None = None) -> Result: ...
    @overload
    def run(
        self, task: Iterable[Task], timeout: float | None = None, pipeline: ToolPipeline | None = None
    ) -> list[Result]: ...
    def run(
        self, task: Task | Iterable[Task], timeout: float | None = None, pipeline: ToolPipeline | None = None
    ) -> Result | list[Result]:
        """Runs tasks on this device; see `Mesh.run`."""
        return self.mesh().run(task, timeout, pipeline)

    @classmethod
    def of(cls, native: native.Device, context: Context | None = None) -> Device:
        """A copy of a native device."""
        return cls(
            name=native.name,
            provider=native.provider,
            description=native.description,
            version=native.version,
            simulator=native.simulator,
            status=native.status,
            status_reason=native.status_reason,
            max_qubits=native.max_qubits,
            max_shots=native.max_shots,
            max_rows=native.max_rows,
            capacity=native.capacity,
            queued=native.queued,
            instances=native.instances,
            max_ranks=native.max_ranks,
            threads=native.threads,
            gates=tuple(native.gates),
            outputs=tuple(native.outputs),
            coupling=tuple(native.coupling),
            options=dict(native.options),
            id=native.id,
            _context=context,
        )
