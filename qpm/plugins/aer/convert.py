"""Program to Aer's own circuit form, in two steps: once per program and method, then once per row of bindings.

Aer's circuits are made directly, without Qiskit's: half the time per circuit, and a seed for each row, which Qiskit's
front end to Aer cannot give within one batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit_aer.backends.backend_utils import BASIS_GATES
from qiskit_aer.backends.controller_wrappers import AerCircuit

from qfw.program import Gate, Instruction, PauliSum, Program, Var, gate
from qfw.program.errors import Unsupported
from qfw.qpm.plugins.aer import dynamic

MAX_MATRIX_QUBITS = 8

Angle = tuple[float, float, int | None]  # offset, scale, parameter

# Names that differ from the gate table's; every other name is asked for as it is.
RENAMED = {"U": "u"}

# base gate -> Aer's name with any number of controls
MULTI_CONTROLLED = {
    "x": "mcx", "y": "mcy", "z": "mcz", "p": "mcp", "gphase": "mcp", "rx": "mcrx", "ry": "mcry", "rz": "mcrz",
    "sx": "mcsx", "swap": "mcswap",
}  # fmt: skip

# Gates that the Clifford methods lack, by those they have: (gate, places among the qubits). An "rz" takes the angle.
CLIFFORD: dict[str, tuple[tuple[str, tuple[int, ...]], ...]] = {
    "dcx": (("cx", (0, 1)), ("cx", (1, 0))),
    "dcxdg": (("cx", (1, 0)), ("cx", (0, 1))),
    "iswap": (("s", (0,)), ("s", (1,)), ("h", (0,)), ("cx", (0, 1)), ("cx", (1, 0)), ("h", (1,))),
    "p": (("rz", (0,)),),
    "rx": (("h", (0,)), ("rz", (0,)), ("h", (0,))),
    "ry": (("sdg", (0,)), ("h", (0,)), ("rz", (0,)), ("h", (0,)), ("s", (0,))),
    "rzz": (("cx", (0, 1)), ("rz", (1,)), ("cx", (0, 1))),
}


@dataclass
class Step:
    """One instruction of Aer. `angles` are put in per row; `matrix` makes a unitary of them."""

    name: str
    qubits: list[int]
    angles: list[Angle] = field(default_factory=list)
    matrix: Callable[[Sequence[float]], NDArray[np.complex128]] | None = None
    bits: list[int] = field(default_factory=list)
    label: str = ""  # of a mark, or where a jump goes
    expression: Any = None  # when a jump is taken (None: always), what is stored


@dataclass
class Plan:
    """A program made ready for one method."""

    num_qubits: int
    num_bits: int
    terminal: bool
    memory: int  # classical bits in Aer: the program's own, and its variables behind them
    steps: list[Step] = field(default_factory=list)
    measures: list[Step] = field(default_factory=list)  # those at the end, where all are
    phases: list[Angle] = field(default_factory=list)  # summed into the global phase


@dataclass(frozen=True)
class Wanted:
    """What is saved of the final state."""

    statevector: bool = False
    probabilities: tuple[int, ...] | None = None
    observables: tuple[PauliSum, ...] = ()
    samples: bool = True


def plan(program: Program, method: str) -> Plan:
    """Chooses Aer's instructions; raises Unsupported where the method has none for a gate."""
    basis = frozenset(BASIS_GATES[method])
    made = Plan(max(1, program.num_qubits), program.num_bits, program.terminal_measurements, program.num_bits)
    made.phases.append((program.global_phase, 0.0, None))
    if program.dynamic:
        _plan_blocks(made, program, basis, method)
        return made
    for instruction in program.instructions:
        _plan_instruction(made, instruction, basis, method)
    return made


def _plan_instruction(made: Plan, instruction: Instruction, basis: frozenset[str], method: str) -> None:
    if instruction.op == "measure":
        step = Step("measure", list(instruction.qubits), bits=list(instruction.bits))
        (made.measures if made.terminal else made.steps).append(step)
    elif instruction.op == "reset":
        if not made.terminal:
            made.steps.append(Step("reset", list(instruction.qubits)))
    elif instruction.op == "unitary":
        made.steps.append(_dense(instruction, basis, method))
    elif instruction.op == "gate":
        made.steps += _gate_steps(instruction, basis, method, made.phases)


def _plan_blocks(made: Plan, program: Program, basis: frozenset[str], method: str) -> None:
    """Every block behind a mark, one after another; see `dynamic`."""
    memory = dynamic.Memory(program)
    everything = list(range(made.num_qubits))
    made.memory = memory.size

    def step(name: str, label: str, bits: list[int], expression: Any) -> None:
        made.steps.append(Step(name, everything, bits=bits, label=label, expression=expression))

    dynamic.prologue(program, memory, step)
    for number, block in enumerate(program.blocks):
        dynamic.opening(number, memory, step)
        for instruction in block.instructions:
            if instruction.op in ("compute", "read_bits", "write_bit"):
                dynamic.classical(instruction, memory, step)
            else:
                _plan_instruction(made, instruction, basis, method)
        dynamic.terminator(block, memory, step)
    dynamic.epilogue(len(program.blocks), memory, step)


def _gate_steps(instruction: Instruction, basis: frozenset[str], method: str, phases: list[Angle]) -> list[Step]:
    qubits, angles = list(instruction.qubits), _angles(instruction)
    row = gate(instruction.name)
    if not qubits:  # gphase
        phases += angles
        return []
    name = _native_name(row, instruction.controls)
    if name in basis:
        return [Step(name, qubits, angles)]
    if "unitary" in basis:
        return [_dense(instruction, basis, method)]
    if instruction.controls == 0 and row.name in CLIFFORD:
        parts = CLIFFORD[row.name]
        return [Step(part, [qubits[p] for p in places], angles if part == "rz" else []) for part, places in parts]
    raise Unsupported(f"Aer's method {method} has no gate {row.name!r} with {instruction.controls} further controls")


def _native_name(row: Gate, controls: int) -> str:
    """Aer's name for a gate of the table with further controls; empty when there is none."""
    if controls == 0:
        return RENAMED.get(row.name, row.name)
    base = gate(row.base)
    if base.name == "gphase" and controls == 1:
        return "p"
    return MULTI_CONTROLLED.get(base.name, "")


def _dense(instruction: Instruction, basis: frozenset[str], method: str) -> Step:
    qubits, controls = list(instruction.qubits), instruction.controls
    if "unitary" not in basis:
        raise Unsupported(f"Aer's method {method} takes no matrices")
    if len(qubits) > MAX_MATRIX_QUBITS:
        raise Unsupported(
            f"gate {instruction.name!r} on {len(qubits)} qubits with Aer's method {method}: at most "
            f"{MAX_MATRIX_QUBITS} qubits where Aer needs the gate as a matrix"
        )
    if instruction.op == "unitary":
        full = controlled(np.asarray(instruction.matrix), controls)
        return Step("unitary", qubits, [], lambda _: full)
    row = gate(instruction.name)
    return Step("unitary", qubits, _angles(instruction), lambda values: row.matrix(list(values), controls))


def _angles(instruction: Instruction) -> list[Angle]:
    angles: list[Angle] = []
    for offset, scale, parameter in instruction.angles:
        if isinstance(parameter, Var):
            raise Unsupported(
                f"gate {instruction.name!r} whose angle is a variable, which Aer has not; statevec runs it"
            )
        angles.append((offset, scale, parameter))
    return angles


def controlled(matrix: NDArray[np.complex128], controls: int) -> NDArray[np.complex128]:
    """The matrix with `controls` controls as its least significant qubits."""
    if controls == 0:
        return matrix
    full = np.eye(len(matrix) << controls, dtype=np.complex128)
    active = ((1 << controls) - 1) | (np.arange(len(matrix)) << controls)
    full[np.ix_(active, active)] = matrix
    return full


def value_of(angle: Angle, row: NDArray[np.float64]) -> float:
    """An angle for one row of bindings."""
    offset, scale, parameter = angle
    return offset if parameter is None else offset + scale * float(row[parameter])


def circuit(made: Plan, row: NDArray[np.float64], wanted: Wanted) -> AerCircuit:
    """One row's circuit, without shots and seed."""
    out = AerCircuit()
    out.set_header({})
    out.num_qubits = made.num_qubits
    out.num_memory = made.memory
    out.global_phase_angle = math.fsum(value_of(a, row) for a in made.phases)
    for step in made.steps:
        _append(out, step, [value_of(a, row) for a in step.angles])
    _append_saves(out, made, wanted)
    if wanted.samples:
        for step in made.measures:
            out.measure(step.qubits, step.bits, [])
    return out


def _append(out: AerCircuit, step: Step, values: list[float]) -> None:
    if step.matrix is not None:
        out.unitary(step.qubits, step.matrix(values), -1, None, "unitary")
    elif step.name == "measure":
        out.measure(step.qubits, step.bits, step.bits)
    elif step.name == "reset":
        out.reset(step.qubits, -1)
    elif step.name == "mark":
        out.mark(step.qubits, [step.label])
    elif step.name == "jump":
        out.jump(step.qubits, [step.label], -1, step.expression)
    elif step.name == "store":
        out.store(step.qubits, step.bits, step.expression)
    else:
        out.gate(step.name, step.qubits, values, [], -1, None, step.name)


def _append_saves(out: AerCircuit, made: Plan, wanted: Wanted) -> None:
    everything = list(range(made.num_qubits))
    if wanted.statevector:
        out.save_state(everything, "save_statevector", "single", "statevector")
    if wanted.probabilities is not None:
        out.save_state(list(wanted.probabilities) or everything, "save_probabilities", "average", "probabilities")
    for i, observable in enumerate(wanted.observables):
        qubits, paulis, coefficients = pauli_labels(observable)
        zeros = [0.0] * len(paulis)
        out.save_expval(qubits, "save_expval", paulis, coefficients, zeros, "average", f"expectation{i}")


def pauli_labels(observable: PauliSum) -> tuple[list[int], list[str], list[float]]:
    """The qubits that an observable names (at least one), and its terms as labels, the first qubit rightmost."""
    terms = observable.terms
    qubits = sorted({q for _, _, on in terms for q in on}) or [0]
    place = {q: len(qubits) - 1 - i for i, q in enumerate(qubits)}
    labels = []
    for _, letters, on in terms:
        label = ["I"] * len(qubits)
        for letter, q in zip(letters, on, strict=True):
            label[place[q]] = letter
        labels.append("".join(label))
    return qubits, labels or ["I" * len(qubits)], [c for c, _, _ in terms] or [0.0]
