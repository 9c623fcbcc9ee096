"""Qiskit circuits to Programs.

Gates of Qiskit's standard set are read straight from `circuit.data`, by name, without making their Python objects;
whatever else there is goes through `_Walker.operation`: open controls by conjugation with X, controlled forms as extra
controls of their base, small matrices by value, and everything else by its definition.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import (
    AnnotatedOperation,
    Barrier,
    BreakLoopOp,
    Clbit,
    ContinueLoopOp,
    ControlFlowOp,
    ControlledGate,
    ControlModifier,
    Delay,
    Gate,
    InverseModifier,
    Measure,
    PowerModifier,
    Qubit,
    Reset,
    Store,
)
from qiskit.circuit.library import UnitaryGate
from qiskit.exceptions import QiskitError
from qiskit.transpiler import TranspilerError
from qiskit.transpiler.passes import HighLevelSynthesis

from qfw.program import BARRIER, MEASURE, RESET, UNITARY, Affine, Builder, Program, gates
from qfw.program.errors import LimitExceeded, UnknownGate, Unsupported
from qfw.toolchain.formats import qiskit_export
from qfw.toolchain.formats.control_flow import Statements, loop_parameters
from qfw.toolchain.formats.converted import Converted
from qfw.toolchain.formats.flow import Flow, Operation
from qfw.toolchain.formats.limits import MAX_QUBITS
from qfw.toolchain.formats.parameters import ParameterTable

_HALF_PI = math.pi / 2
_ALIASES = ("u2", "cu3", "cu", "global_phase")
_MAX_DEPTH = 200  # definitions within definitions


def _make_tables() -> tuple[dict[str, tuple[int, int]], dict[str, int]]:
    """Qiskit's instruction names -> (gate id, parameters), and gate ids by our own name."""
    ids = {gate.name: gate.id for gate in gates()}
    names = {gate.name: (gate.id, gate.params) for gate in gates() if gate.qiskit and gate.name not in ("U", "gphase")}
    names |= {"u": (ids["U"], 3), "u3": (ids["U"], 3), "u1": (ids["p"], 1), "cu1": (ids["cp"], 1)}
    return names, ids


_BY_NAME, _ID = _make_tables()
_X, _P, _U, _CU, _GPHASE = (_ID[name] for name in ("x", "p", "U", "cu", "gphase"))


def to_program(circuit: QuantumCircuit) -> Converted:
    """Turns a circuit into a Program; bit i of the Program is `circuit.clbits[i]`.

    Raises:
        UnknownGate: an instruction without matrix and definition. Unsupported: variables that are inputs, classical
            values that a Program has not (docs/qiskit.md). InvalidArgument: a parameter that is not a finite real
            number. LimitExceeded: too many qubits, nested too deeply, a long loop that cannot be written out.
    """
    if circuit.num_qubits > MAX_QUBITS:
        raise LimitExceeded(f"circuit {circuit.name!r} has {circuit.num_qubits} qubits; at most {MAX_QUBITS} allowed")
    parameters = list(circuit.parameters) if circuit.num_parameters else []
    if parameters and circuit.has_control_flow_op():
        bound = loop_parameters(circuit)
        parameters = [p for p in parameters if p not in bound]
    table = ParameterTable(parameters)
    walker = _Walker(circuit, table)
    try:
        walker.circuit()
    except RecursionError as e:
        raise LimitExceeded(f"circuit {circuit.name!r}: control flow or definitions nested too deeply") from e
    builder = Builder(circuit.num_qubits, circuit.num_clbits)
    for name in (*table.names, *[""] * table.extra_count):
        builder.parameter(name)
    for name, first, size in bit_registers(circuit):
        builder.register(name, first, size)
    if walker.phase:
        builder.global_phase(walker.phase)
    walker.flow.write(builder)
    return Converted(builder.finish(), parameter_names=table.names, extra=table.extra if table.extra_count else None)


def bit_registers(circuit: QuantumCircuit) -> Iterator[tuple[str, int, int]]:
    """(name, first bit, size) of the classical registers that are runs of bits of their own.

    Registers that share bits, or whose bits do not lie side by side, are left to the adapter that has the circuit.
    """
    if not circuit.cregs:
        return
    index = {bit: i for i, bit in enumerate(circuit.clbits)}
    used: set[int] = set()
    for register in circuit.cregs:
        bits = [index[bit] for bit in register]
        if bits and bits == list(range(bits[0], bits[0] + len(bits))) and used.isdisjoint(bits):
            used.update(bits)
            yield register.name, bits[0], len(bits)


class _At(NamedTuple):
    """Where an instruction goes: Program qubits, the first `extra` of which control it, Program bits, how deep, and
    the bits of the circuit that it stands in, which conditions name."""

    qubits: tuple[int, ...]
    bits: tuple[int, ...] = ()
    extra: int = 0
    depth: int = 0
    scope: Mapping[Clbit, int] = MappingProxyType({})

    def deeper(self, more_controls: int = 0) -> _At:
        return self._replace(extra=self.extra + more_controls, depth=self.depth + 1)

    @property
    def own(self) -> list[int]:
        return list(self.qubits[self.extra :])


class _Walker:
    """Writes a circuit's operations into a flow."""

    def __init__(self, circuit: QuantumCircuit, table: ParameterTable) -> None:
        self._circuit = circuit
        self._table = table
        self.flow = Flow()
        self.phase = 0.0
        self._statements = Statements(self.flow, table)

    @property
    def operations(self) -> list[Operation]:
        """What is being written to."""
        return self.flow.operations

    def circuit(self) -> None:
        """Walks the whole circuit."""
        circuit = self._circuit
        self._statements.declare(circuit)
        self._add_phase(self._table.angle(circuit.global_phase), ())
        qubits = {q: i for i, q in enumerate(circuit.qubits)}
        self._walk(circuit, qubits, {b: i for i, b in enumerate(circuit.clbits)}, _At(()))

    def _walk(self, circuit: QuantumCircuit, qubits: dict[Qubit, int], bits: dict[Clbit, int], at: _At) -> None:
        """Walks a circuit whose qubits are controlled by `at.qubits`, all of them."""
        table, known, append = self._table, _BY_NAME, self.operations.append
        controls, extra = at.qubits, len(at.qubits)
        for item in circuit.data:
            row = known.get(item.name)
            where = controls + tuple([qubits[q] for q in item.qubits])
            if item.name == "measure" and not extra and isinstance(item.operation, Measure):
                append((MEASURE, where, (bits[item.clbits[0]],), 0))
            elif row is None or not item.is_standard_gate():
                self._other(item, _At(where, tuple([bits[b] for b in item.clbits]), extra, at.depth, bits))
                append = self.operations.append
            elif row[1] == 0:
                append((row[0], where, (), extra))
            else:
                angles = tuple([p if type(p) is float else table.angle(p) for p in item.params])
                append((row[0], where, angles, extra))

    def _other(self, item: Any, at: _At) -> None:
        try:
            self.operation(item.operation, at)
        except QiskitError as e:
            raise UnknownGate(f"instruction {item.name!r} on qubits {at.own}: {e.message}") from e

    def operation(self, op: Any, at: _At) -> None:
        """One instruction of any kind."""
        if at.depth > _MAX_DEPTH:
            raise UnknownGate(f"instruction {op.name!r}: definitions nested more than {_MAX_DEPTH} deep")
        if isinstance(op, Measure | Reset | Barrier | Delay):
            self._directive(op, at)
        elif isinstance(op, ControlFlowOp | BreakLoopOp | ContinueLoopOp | Store):
            self._control_flow(op, at)
        elif isinstance(op, AnnotatedOperation):
            self._annotated(op, at)
        elif isinstance(op, UnitaryGate) and len(op.params[0]) <= 4:
            self.operations.append((UNITARY, at.qubits, (_matrix(op.params[0]),), at.extra))
        elif op.name in _ALIASES and _is_standard(op):
            self._alias(op, at)
        elif isinstance(op, ControlledGate) and _is_plain_control(op):
            self._flip(op, at)
            self.operation(op.base_gate, at.deeper(op.num_ctrl_qubits))
            self._flip(op, at)
        elif op.name in _BY_NAME and _is_standard(op):
            angles = tuple(self._table.angle(p) for p in op.params)
            self.operations.append((_BY_NAME[op.name][0], at.qubits, angles, at.extra))
        else:
            self._definition(op, at)

    def _directive(self, op: Any, at: _At) -> None:
        if isinstance(op, Barrier):
            if at.own:
                self.operations.append((BARRIER, tuple(at.own), (), 0))
        elif isinstance(op, Delay):
            return
        elif at.extra:
            raise Unsupported(f"instruction {op.name!r} on qubits {at.own} under a control")
        elif isinstance(op, Reset):
            self.operations.append((RESET, at.qubits, (), 0))
        else:
            self.operations.append((MEASURE, at.qubits, at.bits, 0))

    def _control_flow(self, op: Any, at: _At) -> None:
        if at.extra:
            raise Unsupported(f"instruction {op.name!r} on qubits {at.own} under a control")

        def body(circuit: QuantumCircuit) -> None:
            phase = self._table.angle(circuit.global_phase)
            if phase != 0.0:
                self.operations.append((_GPHASE, (), (phase,), 0))
            qubits, bits = _zip(circuit.qubits, at.qubits), _zip(circuit.clbits, at.bits)
            self._walk(circuit, qubits, bits, _At((), depth=at.depth + 1))

        try:
            self._statements.write(op, at.scope, body)
        except (Unsupported, LimitExceeded) as e:
            if str(e).startswith("instruction"):
                raise
            raise type(e)(f"instruction {op.name!r} on qubits {at.own}: {e}") from e

    def _alias(self, op: Any, at: _At) -> None:
        """Gates that Qiskit names and the table spells differently, or whose base lacks one of their angles (`cu`)."""
        angles = [self._table.angle(p) for p in op.params]
        if op.name == "global_phase":
            self._add_phase(angles[0], at.qubits)
        elif op.name == "u2":
            self.operations.append((_U, at.qubits, (_HALF_PI, *angles), at.extra))
        else:
            self._flip(op, at)
            gate, extra = (_CU, at.extra) if op.name == "cu" else (_U, at.extra + 1)
            self.operations.append((gate, at.qubits, tuple(angles), extra))
            self._flip(op, at)

    def _add_phase(self, angle: float | Affine, controls: tuple[int, ...]) -> None:
        """A global phase, which under controls is a phase gate on them."""
        if controls:
            self.operations.append((_P, controls, (angle,), len(controls) - 1))
        elif isinstance(angle, Affine):
            self.operations.append((_GPHASE, (), (angle,), 0))
        else:
            self.phase += angle

    def _flip(self, op: ControlledGate, at: _At) -> None:
        """X on the gate's open controls, wanted before and after it."""
        for i in range(op.num_ctrl_qubits):
            if not op.ctrl_state >> i & 1:
                self.operations.append((_X, (at.qubits[at.extra + i],), (), 0))

    def _annotated(self, op: AnnotatedOperation, at: _At) -> None:
        """Controls commute with inverse and power: they go to the front, the rest is applied to the base."""
        base, opened = op.base_op, list[bool]()
        for modifier in op.modifiers:
            if isinstance(modifier, ControlModifier):
                state = modifier.ctrl_state
                opened = [not state >> i & 1 for i in range(modifier.num_ctrl_qubits)] + opened
            elif isinstance(modifier, InverseModifier):
                base = base.inverse()
            elif isinstance(modifier, PowerModifier):
                base = base.power(modifier.power)
            else:
                raise Unsupported(f"instruction {op.name!r}: modifier {type(modifier).__name__}")
        flips: list[Operation] = [(_X, (at.qubits[at.extra + i],), (), 0) for i, flip in enumerate(opened) if flip]
        self.operations.extend(flips)
        self.operation(base, at.deeper(len(opened)))
        self.operations.extend(flips)

    def _definition(self, op: Any, at: _At) -> None:
        definition = getattr(op, "definition", None)
        if definition is None and hasattr(op, "to_instruction"):
            definition = op.to_instruction().definition
        small = op.num_qubits <= 2 and hasattr(op, "__array__")
        if definition is None and not small:
            definition = _synthesised(op)
        if definition is not None:
            phase = self._table.angle(definition.global_phase)
            if phase != 0.0:
                self._add_phase(phase, at.qubits[: at.extra])
            inner = _At(at.qubits[: at.extra], depth=at.depth + 1)
            self._walk(definition, _zip(definition.qubits, tuple(at.own)), _zip(definition.clbits, at.bits), inner)
        elif isinstance(op, Gate) and small:
            self.operations.append((UNITARY, at.qubits, (_matrix(op.to_matrix()),), at.extra))
        else:
            raise UnknownGate(
                f"instruction {op.name!r} on qubits {at.own}: not in the gate table, without a definition, "
                "and not a one- or two-qubit gate with a matrix"
            )


def _zip(bits: Sequence[Any], indices: tuple[int, ...]) -> dict[Any, int]:
    return dict(zip(bits, indices, strict=True))


def _is_plain_control(op: ControlledGate) -> bool:
    """Whether the gate is its base under controls and nothing more.

    Some multi-controlled forms have helper qubits, and those of `cu` carry an angle that their base cannot take.
    """
    base = op.base_gate
    if op.num_ctrl_qubits == 0 or op.num_qubits != op.num_ctrl_qubits + base.num_qubits:
        return False
    return base.name not in _BY_NAME or len(base.params) == _BY_NAME[base.name][1]


def _synthesised(op: Any) -> QuantumCircuit | None:
    """The circuit that Qiskit's synthesis plugins make of an operation without a definition; None when they do not."""
    circuit = QuantumCircuit(op.num_qubits, op.num_clbits)
    circuit.append(op, circuit.qubits, circuit.clbits)
    try:
        made = HighLevelSynthesis(basis_gates=[*_BY_NAME, "unitary"])(circuit)
    except TranspilerError:
        return None
    return None if any(item.name == op.name for item in made.data) else made


def _is_standard(op: Any) -> bool:
    """Whether an instruction is the library's own and not another one of the same name."""
    base = getattr(op, "base_class", type(op))  # the classes of singleton gates have no module
    return str(base.__module__).startswith("qiskit.circuit.library.standard_gates")


def _matrix(values: Any) -> np.ndarray[Any, np.dtype[np.complex128]]:
    return np.ascontiguousarray(values, dtype=np.complex128)


def from_program(program: Program, *, name: str = "program") -> QuantumCircuit:
    """The circuit of a Program; see `qiskit_export`."""
    return qiskit_export.from_program(program, name=name)
