"""Programs to Qiskit circuits: for transpiling, drawing, and devices that speak Qiskit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, Gate, Parameter
from qiskit.circuit import library as lib
from qiskit.circuit.library import UnitaryGate

from qfw.program import Program, gate
from qfw.program.errors import UnknownGate, Unsupported

# Rows that Qiskit has no class for. Several entries stand for one after another on the same qubits.
_OTHERS: dict[str, Callable[..., list[Gate]]] = {
    "iswapdg": lambda: [lib.iSwapGate().inverse()],
    "dcxdg": lambda: [lib.DCXGate().inverse()],
    "csxdg": lambda: [lib.SXdgGate().control(1, annotated=False)],
    "ising_xy": lambda a: [lib.XXPlusYYGate(-a, 0.0)],
    "siswap": lambda: [lib.RXXGate(-pi / 4), lib.RYYGate(-pi / 4)],
    "siswapdg": lambda: [lib.RXXGate(pi / 4), lib.RYYGate(pi / 4)],
    "rot": lambda phi, theta, omega: [lib.RZGate(phi), lib.RYGate(theta), lib.RZGate(omega)],
}


def from_program(program: Program, *, name: str = "program") -> QuantumCircuit:
    """The circuit of a Program; parameters become `Parameter`s of the same names, unnamed ones `p<i>`.

    Raises:
        UnknownGate: a gate that has no Qiskit form.
        Unsupported: a dynamic program.
    """
    if program.dynamic:
        raise Unsupported("a dynamic program (blocks, variables) has no Qiskit form")
    bits, registers = _bits(program)
    circuit = QuantumCircuit(program.num_qubits, name=name, global_phase=program.global_phase)
    circuit.add_bits(bits)
    for register in registers:
        circuit.add_register(register)
    parameters = [Parameter(n) for n in unique_names(program.parameters)]
    for item in program.instructions:
        if item.op == "measure":
            circuit.measure(item.qubits[0], item.bits[0])
        elif item.op == "reset":
            circuit.reset(item.qubits[0])
        elif item.op == "barrier":
            circuit.barrier(item.qubits)
        else:
            for operation in _gates(item, parameters):
                circuit.append(operation, item.qubits, copy=False)
    return circuit


def unique_names(names: Sequence[str]) -> list[str]:
    """Parameter names with the empty and the repeated ones made unique."""
    taken = {n for n in names if n}
    seen: set[str] = set()
    out = []
    for i, name in enumerate(names):
        new, n = name or f"p{i}", 0
        while new in seen or (not name and new in taken):
            new, n = f"{name or 'p'}{i}_{n}", n + 1
        seen.add(new)
        out.append(new)
    return out


def _bits(program: Program) -> tuple[list[Clbit], list[ClassicalRegister]]:
    bits: list[Clbit] = [Clbit() for _ in range(program.num_bits)]
    registers = []
    for name, first, size in program.registers:
        registers.append(ClassicalRegister(bits=bits[first : first + size], name=name))
    return bits, registers


def _gates(item: Any, parameters: Sequence[Parameter]) -> list[Gate]:
    if item.op == "unitary":
        made: list[Gate] = [UnitaryGate(item.matrix, check_input=False)]
    else:
        angles = [a if p is None else _affine(a, s, parameters[p]) for a, s, p in item.angles]
        made = _named(item.name, angles)
    if item.controls:
        made = [g.control(item.controls, annotated=g.name == "unitary" and item.controls > 4) for g in made]
    return made


def _affine(offset: float, scale: float, parameter: Parameter) -> Any:
    value = parameter if scale == 1.0 else scale * parameter
    return value if offset == 0.0 else value + offset


def _named(name: str, angles: Sequence[Any]) -> list[Gate]:
    cls = gate(name).qiskit
    if cls:
        return [getattr(lib, cls)(*angles)]
    make = _OTHERS.get(name)
    if make is None:
        raise UnknownGate(f"gate {name!r} has no Qiskit form")
    return make(*angles)
