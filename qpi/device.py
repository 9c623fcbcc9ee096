"""Devices as an application sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qfw._core import qpi as native


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
    gates: tuple[str, ...] = ()  #: names of the gate table, and "unitary", "measure", "reset"
    outputs: tuple[str, ...] = ()  #: what a task may ask of it
    coupling: tuple[tuple[int, int], ...] = ()  #: empty: all to all
    options: dict[str, str] = field(default_factory=dict)  #: its own task options: name, help text

    @classmethod
    def of(cls, native: native.Device) -> Device:
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
            gates=tuple(native.gates),
            outputs=tuple(native.outputs),
            coupling=tuple(native.coupling),
            options=dict(native.options),
        )
