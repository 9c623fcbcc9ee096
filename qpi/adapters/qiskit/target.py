"""The Target of a device, made once per backend: transpiling one circuit reads it about 160 times."""

from __future__ import annotations

from typing import Any

from qiskit.circuit import (
    BoxOp,
    BreakLoopOp,
    ContinueLoopOp,
    ForLoopOp,
    IfElseOp,
    SwitchCaseOp,
    WhileLoopOp,
)
from qiskit.transpiler import Target

from qfw.toolchain.formats.qiskit_target import make_target

# At level 2 Qiskit makes rzz gates with negative angles, which the runtime's primitives then refuse.
_WITHOUT = ("rzz",)
# What a device that lists "dynamic" runs; a Target takes their classes, since they have no fixed number of qubits.
_CONTROL_FLOW = {
    "if_else": IfElseOp,
    "for_loop": ForLoopOp,
    "while_loop": WhileLoopOp,
    "switch_case": SwitchCaseOp,
    "break_loop": BreakLoopOp,
    "continue_loop": ContinueLoopOp,
    "box": BoxOp,
}


def device_target(device: Any, num_qubits: int) -> Target:
    """Measurement, reset, delay and the device's gates without `rzz`, on `num_qubits` qubits; control flow if any."""
    coupling = [(a, b) for a, b in device.coupling if a < num_qubits and b < num_qubits]
    target = make_target(device.gates, num_qubits=num_qubits, coupling=coupling, without=_WITHOUT)
    if "dynamic" in device.gates:
        for name, operation in _CONTROL_FLOW.items():
            target.add_instruction(operation, name=name)
    return target
