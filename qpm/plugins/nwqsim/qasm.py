"""A program as the OpenQASM 2 text that NWQ-Sim reads: gates it gets right by name, every other by its matrix.

NWQ-Sim 1.0 takes its gates by built-in names and no include. Some of them it gets wrong (cs vanishes, cu loses its
fourth angle) or has not; those, gates with further controls, and matrices are written by

- U and a global phase for one qubit;
- C^k(U) = C(V) C^(k-1)X C(V^-1) C^(k-1)X C^(k-1)(V) with V^2 = U for controls (Barenco et al., Phys. Rev. A 52, 3457
  (1995), lemma 7.5), with CX and two Us at the end;
- Givens rotations between basis states that differ in one bit for two qubits. NWQ-Sim's fusion makes one operation of
  all that stands on the same pair of qubits.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qfw.program import Instruction, Program, Var, gate
from qfw.program.errors import Unsupported

MAX_CONTROLS = 8
TINY = 1e-15

Matrix = NDArray[np.complex128]

# Names of the gate table -> NWQ-Sim's, where both mean the same matrix.
NATIVE = {
    **{name: name for name in ("id", "x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "p", "rx", "ry", "rz")},
    **{name: name for name in ("swap", "rxx", "ryy", "rzz", "cx", "cy", "cz", "ch", "csdg", "csx", "cp", "ccx")},
    **{name: name for name in ("crx", "cry", "crz")},
    "U": "u",
}
BASIS = ("id", "rz", "sx", "x", "cx")  # of the devices whose noise NWQ-Sim knows: its density matrices take no others


class Writer:
    """Writes one program for one row of bindings; with `basis` in those gates alone, up to a global phase."""

    def __init__(self, row: Sequence[float], basis: bool = False) -> None:
        self._row = row
        self._basis = basis
        self._lines: list[str] = []
        self._phase = 0.0

    def write(self, program: Program, qubits: int, measured: bool) -> tuple[str, float]:
        """The text, over `qubits` qubits (those above the program's stay 0), and the global phase that it leaves out.

        Raises:
            Unsupported: more than MAX_CONTROLS controls.
        """
        self._phase = program.global_phase
        measures = []
        for instruction in program.instructions:
            if instruction.op == "measure":
                measures.append(f"measure q[{instruction.qubits[0]}] -> c[{instruction.bits[0]}];")
            elif instruction.op == "gate":
                self._gate(instruction)
            elif instruction.op == "unitary":
                on, controls = list(instruction.qubits), instruction.controls
                self._matrix(np.asarray(instruction.matrix, dtype=np.complex128), on[:controls], on[controls:])
        head = ["OPENQASM 2.0;", f"qreg q[{qubits}];"]
        if measured and measures:
            head.append(f"creg c[{program.num_bits}];")
            self._lines += measures
        return "\n".join([*head, *self._lines, ""]), self._phase

    def _emit(self, name: str, qubits: Sequence[int], angles: Sequence[float] = ()) -> None:
        if self._basis and name not in BASIS:
            theta, phi, lam = {"u": angles, "ry": (*angles, 0.0, 0.0), "p": (0.0, 0.0, *angles)}[name]
            if theta:  # U is rz(phi + pi) sx rz(theta + pi) sx rz(lambda), up to a phase (McKay et al., 2017)
                self._emit("rz", qubits, [lam])
                self._emit("sx", qubits)
                self._emit("rz", qubits, [theta + math.pi])
                self._emit("sx", qubits)
                phi, lam = phi + math.pi, 0.0
            self._emit("rz", qubits, [phi + lam])
            return
        # Plain decimals: 18 places lose less than the angle's own rounding does.
        params = f"({','.join(f'{a:.18f}' for a in angles)})" if angles else ""
        self._lines.append(f"{name}{params} {','.join(f'q[{q}]' for q in qubits)};")

    def _gate(self, instruction: Instruction) -> None:
        angles = [self._value(a) for a in instruction.angles]
        on = list(instruction.qubits)
        if not on:  # gphase
            self._phase += angles[0]
            return
        name = NATIVE.get(instruction.name, "")
        if name and instruction.controls == 0 and (not self._basis or name in BASIS):
            self._emit(name, on, angles)
            return
        row = gate(instruction.name)
        step = 1 << row.controls
        base = row.matrix(angles)[step - 1 :: step, step - 1 :: step]  # where the gate's own controls are 1
        controls = row.controls + instruction.controls
        self._matrix(base, on[:controls], on[controls:])

    def _value(self, angle: tuple[float, float, int | Var | None]) -> float:
        offset, scale, slot = angle
        if isinstance(slot, Var):
            raise Unsupported("an angle follows a variable of the program: device nwqsim runs no dynamic programs")
        return offset if slot is None else offset + scale * float(self._row[slot])

    def _matrix(self, matrix: Matrix, controls: list[int], targets: list[int]) -> None:
        if len(controls) > MAX_CONTROLS:
            raise Unsupported(f"a gate with {len(controls)} controls; device nwqsim takes at most {MAX_CONTROLS}")
        if not targets:  # a phase of the state where all controls are 1
            self._one(np.diag([1.0, matrix[0, 0]]), controls[:-1], controls[-1])
        elif len(targets) == 1:
            self._one(matrix, controls, targets[0])
        else:
            self._two(matrix, controls, targets)

    def _one(self, matrix: Matrix, controls: list[int], target: int) -> None:
        """A matrix on one qubit under any number of controls."""
        if not controls:
            theta, phi, lam, phase = euler(matrix)
            self._phase += phase
            self._emit("u", [target], [theta, phi, lam])
        elif np.abs(matrix - np.eye(2)).max() <= TINY:
            return
        elif len(controls) == 1:
            self._controlled(matrix, controls[0], target)
        elif len(controls) == 2 and not self._basis and np.abs(matrix - [[0, 1], [1, 0]]).max() <= TINY:
            self._emit("ccx", [*controls, target])
        else:
            half, last, rest = square_root(matrix), controls[-1], controls[:-1]
            flip = np.array([[0, 1], [1, 0]], dtype=np.complex128)
            self._controlled(half, last, target)
            self._one(flip, rest, last)
            self._controlled(half.conj().T, last, target)
            self._one(flip, rest, last)
            self._one(half, rest, target)

    def _controlled(self, matrix: Matrix, control: int, target: int) -> None:
        """One control: A X B X C on the target with A B C = 1, and a phase of the control (Barenco, lemma 5.1)."""
        if np.abs(matrix - [[0, 1], [1, 0]]).max() <= TINY:
            self._emit("cx", [control, target])
            return
        theta, phi, lam, phase = euler(matrix)
        phase += (phi + lam) / 2
        if abs(theta) > TINY or abs(phi + lam) > TINY:
            self._emit("rz", [target], [(lam - phi) / 2])
            self._emit("cx", [control, target])
            self._emit("rz", [target], [-(phi + lam) / 2])
            self._emit("ry", [target], [-theta / 2])
            self._emit("cx", [control, target])
            self._emit("ry", [target], [theta / 2])
            self._emit("rz", [target], [phi])
        if abs(phase) > TINY:
            self._emit("p", [control], [phase])

    def _two(self, matrix: Matrix, controls: list[int], targets: list[int]) -> None:
        """A matrix on two qubits, as rotations between neighbours in the order 0, 1, 3, 2 of basis states."""
        order = (0, 1, 3, 2)
        left = matrix.copy()
        rotations: list[tuple[int, Matrix]] = []
        for column in range(3):
            for place in range(3, column, -1):
                up, down = order[place - 1], order[place]
                a, b = left[up, order[column]], left[down, order[column]]
                if abs(b) <= TINY:
                    continue
                length = math.hypot(abs(a), abs(b))
                turn: Matrix = np.array([[a.conjugate(), b.conjugate()], [-b, a]], dtype=np.complex128) / length
                left[[up, down]] = turn @ left[[up, down]]
                rotations.append((place, turn.conj().T))
        phases = left.diagonal()
        self._between(0, 1, np.diag(phases[[0, 1]]), controls, targets)
        self._between(2, 3, np.diag(phases[[2, 3]]), controls, targets)
        for place, back in reversed(rotations):
            self._between(order[place - 1], order[place], back, controls, targets)

    def _between(self, first: int, second: int, matrix: Matrix, controls: list[int], targets: list[int]) -> None:
        """A 2x2 matrix on the basis states `first` and `second`, which differ in one bit."""
        bit = (first ^ second).bit_length() - 1
        if first >> bit & 1:
            matrix = matrix[::-1, ::-1]
        if np.abs(matrix - np.eye(2)).max() <= TINY:
            return
        other = targets[1 - bit]
        inverted = not first >> (1 - bit) & 1
        if inverted:
            self._emit("x", [other])
        self._one(matrix, [*controls, other], targets[bit])
        if inverted:
            self._emit("x", [other])


def euler(matrix: Matrix) -> tuple[float, float, float, float]:
    """theta, phi, lambda and phase with matrix = e^(i phase) U(theta, phi, lambda)."""
    theta = 2 * math.atan2(abs(matrix[1, 0]), abs(matrix[0, 0]))
    if abs(matrix[0, 0]) > abs(matrix[1, 0]):
        phase = cmath.phase(matrix[0, 0])
        total = cmath.phase(matrix[1, 1]) - phase  # phi + lambda
        phi = cmath.phase(matrix[1, 0]) - phase if abs(matrix[1, 0]) > TINY else 0.0
        return theta, phi, total - phi, phase
    phase = cmath.phase(matrix[0, 0]) if abs(matrix[0, 0]) > TINY else 0.0
    phi = cmath.phase(matrix[1, 0]) - phase
    return theta, phi, cmath.phase(-matrix[0, 1]) - phase, phase


def square_root(matrix: Matrix) -> Matrix:
    """A unitary 2x2 matrix whose square is `matrix`, by (M + s 1) / sqrt(trace + 2 s), s^2 = det (Cayley-Hamilton)."""
    s = cmath.sqrt(complex(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    trace = complex(matrix[0, 0] + matrix[1, 1])
    if abs(trace + 2 * s) < abs(trace - 2 * s):  # away from zero
        s = -s
    return (matrix + s * np.eye(2)) / cmath.sqrt(trace + 2 * s)
