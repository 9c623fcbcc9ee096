"""From a unitary matrix to the Clifford operation that it is, exactly or not at all."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import numpy as np
import stim
from numpy.typing import NDArray

from qfw.program import Instruction, Var, gate
from qfw.program.errors import Unsupported

TOLERANCE = 1e-12  # of a matrix entry: an angle's own rounding
MAX_QUBITS = 3

Matrix = NDArray[np.complex128]

# Stim's names of the gates that programs consist of; the others go by their matrices.
NAMED = {
    "id": "I", "x": "X", "y": "Y", "z": "Z", "h": "H", "s": "S", "sdg": "S_DAG", "sx": "SQRT_X", "sxdg": "SQRT_X_DAG",
    "cx": "CX", "cy": "CY", "cz": "CZ", "swap": "SWAP", "iswap": "ISWAP", "iswapdg": "ISWAP_DAG",
}  # fmt: skip


def circuit(instructions: Iterable[Instruction], row: Sequence[float]) -> stim.Circuit:
    """The program with the values of one row; raises Unsupported at a gate that is not Clifford."""
    out = stim.Circuit()
    for instruction in instructions:
        on = list(instruction.qubits)
        if instruction.op == "measure":
            out.append("M", on)
        elif instruction.op == "reset":
            out.append("R", on)
        elif instruction.op in ("gate", "unitary"):
            _append(out, instruction, on, row)
    return out


def _append(out: stim.Circuit, instruction: Instruction, on: list[int], row: Sequence[float]) -> None:
    if instruction.op == "gate" and not instruction.angles and not instruction.controls and instruction.name in NAMED:
        out.append(NAMED[instruction.name], on)
        return
    if not on:  # a global phase
        return
    for part in _parts(instruction, tuple(_value(a, row) for a in instruction.angles)):
        out.append(part.name, [on[t.value] for t in part.targets_copy()])


def _value(angle: tuple[float, float, int | Var | None], row: Sequence[float]) -> float:
    offset, scale, slot = angle
    if isinstance(slot, Var):
        raise Unsupported("an angle follows a variable of the program: device stim runs no dynamic programs")
    return offset if slot is None else offset + scale * float(row[slot])


def _parts(instruction: Instruction, angles: tuple[float, ...]) -> tuple[stim.CircuitInstruction, ...]:
    words = f"gate {instruction.name!r} of angles {angles}" if instruction.op == "gate" else "the matrix"
    if len(instruction.qubits) > MAX_QUBITS:
        raise Unsupported(f"{words} on {len(instruction.qubits)} qubits: at most {MAX_QUBITS} with device stim")
    if instruction.op == "gate":
        parts = _of_gate(instruction.name, instruction.controls, angles)
    else:
        parts = decompose(_controlled(np.asarray(instruction.matrix), instruction.controls))
    if parts is None:
        raise Unsupported(f"{words} on qubits {list(instruction.qubits)} is not Clifford: device stim cannot run it")
    return parts


@functools.lru_cache(maxsize=4096)
def _of_gate(name: str, controls: int, angles: tuple[float, ...]) -> tuple[stim.CircuitInstruction, ...] | None:
    return decompose(gate(name).matrix(list(angles), controls))


def _controlled(matrix: Matrix, controls: int) -> Matrix:
    full = np.eye(len(matrix) << controls, dtype=np.complex128)
    active = ((1 << controls) - 1) | (np.arange(len(matrix)) << controls)
    full[np.ix_(active, active)] = matrix
    return full


def decompose(unitary: Matrix) -> tuple[stim.CircuitInstruction, ...] | None:
    """Stim's gates for a matrix whose first qubit is the least significant; None when it is not Clifford."""
    count = len(unitary).bit_length() - 1
    xs: list[stim.PauliString] = []
    zs: list[stim.PauliString] = []
    for qubit in range(count):
        for letter, images in (("X", xs), ("Z", zs)):
            image = _image(unitary, stim.PauliString([letter if q == qubit else "I" for q in range(count)]))
            if image is None:
                return None
            images.append(image)
    return tuple(stim.Tableau.from_conjugated_generators(xs=xs, zs=zs).to_circuit("elimination"))


def _image(unitary: Matrix, pauli: stim.PauliString) -> stim.PauliString | None:
    """U P U^dagger as a signed product of Pauli matrices; None when it is none."""
    image = unitary @ _dense(str(pauli)[1:]) @ unitary.conj().T
    column = int(np.argmax(np.abs(image[0])))  # the places of X and Y
    rows = np.arange(len(image))
    values = image[rows, rows ^ column]
    letters = []
    for qubit in range(len(image).bit_length() - 1):
        flips = bool(column >> qubit & 1)
        turns = (values[1 << qubit] / values[0]).real < 0 if abs(values[0]) > TOLERANCE else False
        letters.append({(False, False): "_", (True, False): "X", (True, True): "Y", (False, True): "Z"}[flips, turns])
    found = "".join(letters)
    for sign in ("+", "-"):
        if np.abs(image - _dense(found) * (1 if sign == "+" else -1)).max() <= TOLERANCE:
            return stim.PauliString(sign + found)
    return None


_LETTERS: dict[str, Matrix] = {
    "_": np.eye(2, dtype=np.complex128),
    "X": np.array([[0, 1], [1, 0]], dtype=np.complex128),
    "Y": np.array([[0, -1j], [1j, 0]], dtype=np.complex128),
    "Z": np.array([[1, 0], [0, -1]], dtype=np.complex128),
}


@functools.lru_cache(maxsize=256)
def _dense(letters: str) -> Matrix:
    """Of Pauli letters, the first for the least significant qubit."""
    out: Matrix = np.eye(1, dtype=np.complex128)
    for letter in letters:
        out = np.kron(_LETTERS[letter], out).astype(np.complex128)
    return out
