"""The Target of a device, made once per backend: transpiling one circuit reads it about 160 times."""

from __future__ import annotations

from typing import Any

from qiskit.transpiler import Target

from qfw.toolchain.formats.qiskit_target import make_target

# At level 2 Qiskit makes rzz gates with negative angles, which the runtime's primitives then refuse.
_WITHOUT = ("rzz",)


def device_target(device: Any, num_qubits: int) -> Target:
    """Measurement, reset, delay and the device's gates without `rzz`, on `num_qubits` qubits."""
    coupling = [(a, b) for a, b in device.coupling if a < num_qubits and b < num_qubits]
    return make_target(device.gates, num_qubits=num_qubits, coupling=coupling, without=_WITHOUT)
