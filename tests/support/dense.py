"""A dense reference in numpy, from the gate table alone: what a Program does to the zero state."""

from __future__ import annotations

from typing import Any

import numpy as np

from qfw.program import Affine, Builder, Program, gate, gates


def statevector(program: Program, row: Any = ()) -> np.ndarray:
    """Amplitudes over all qubits, qubit 0 least significant; measurements and resets are not allowed."""
    n = program.num_qubits
    state = np.zeros(1 << n, dtype=complex)
    state[0] = np.exp(1j * program.global_phase)
    for item in program.instructions:
        if item.op == "barrier":
            continue
        assert item.op in ("gate", "unitary"), item.op
        state = apply(state, matrix(item, row), list(item.qubits), item.controls)
    return state


def matrix(item: Any, row: Any = ()) -> np.ndarray:
    """The matrix of a gate without the controls beyond its own."""
    if item.op == "unitary":
        return np.asarray(item.matrix)
    angles = [offset if p is None else offset + scale * row[p] for offset, scale, p in item.angles]
    return np.asarray(gate(item.name).matrix(angles))


def apply(state: np.ndarray, own: np.ndarray, qubits: list[int], controls: int) -> np.ndarray:
    n = int(np.log2(len(state)))
    targets = qubits[controls:]
    index = np.arange(len(state))
    on = np.all([index >> q & 1 for q in qubits[:controls]], axis=0) if controls else np.ones(len(state), bool)
    base = index[on & np.all([(index >> q & 1) == 0 for q in targets], axis=0)] if targets else index[on]
    places = np.array([sum((k >> i & 1) << q for i, q in enumerate(targets)) for k in range(1 << len(targets))])
    rows = base[:, None] + places
    out = state.copy()
    out[rows] = state[rows] @ own.T
    assert len(out) == 1 << n
    return out


def expectation(state: np.ndarray, terms: Any) -> float:
    """Of a Pauli sum given as (coefficient, letters, qubits)."""
    paulis = {"X": [[0, 1], [1, 0]], "Y": [[0, -1j], [1j, 0]], "Z": [[1, 0], [0, -1]]}
    total = 0.0
    for coefficient, letters, qubits in terms:
        moved = state
        for letter, q in zip(letters, qubits, strict=True):
            if letter != "I":
                moved = apply(moved, np.array(paulis[letter]), [q], 0)
        total += coefficient * float(np.vdot(state, moved).real)
    return total


def distribution(program: Program, row: Any = ()) -> np.ndarray:
    """Probability of every classical outcome, bit 0 least significant; resets and reused bits are followed."""
    branches = {(0,) * program.num_bits: [np.eye(1, 1 << program.num_qubits, dtype=complex)[0]]}
    for item in program.instructions:
        if item.op in ("gate", "unitary"):
            own = matrix(item, row)
            branches = {k: [apply(s, own, list(item.qubits), item.controls) for s in v] for k, v in branches.items()}
        elif item.op in ("measure", "reset"):
            branches = _split(branches, item)
    out = np.zeros(1 << program.num_bits)
    for bits, states in branches.items():
        out[sum(b << i for i, b in enumerate(bits))] += sum(float(np.vdot(s, s).real) for s in states)
    return out


def _split(branches: dict[Any, list[np.ndarray]], item: Any) -> dict[Any, list[np.ndarray]]:
    made: dict[Any, list[np.ndarray]] = {}
    q = item.qubits[0]
    for bits, states in branches.items():
        for state in states:
            for outcome in (0, 1):
                kept = np.where((np.arange(len(state)) >> q & 1) == outcome, state, 0)
                if np.vdot(kept, kept).real < 1e-15:
                    continue
                key = bits
                if item.op == "measure":
                    key = (*bits[: item.bits[0]], outcome, *bits[item.bits[0] + 1 :])
                elif outcome:
                    kept = apply(kept, np.array([[0, 1], [1, 0]]), [q], 0)
                made.setdefault(key, []).append(kept)
    return made


def random_program(
    seed: int, *, qubits: int = 4, length: int = 30, parameters: int = 2, ends: str = "measure"
) -> Program:
    """A program over the whole gate table. ends: "measure" (all qubits at the end), "middle" (anywhere), "" (never)."""
    rng = np.random.default_rng(seed)
    builder = Builder(qubits, qubits)
    for i in range(parameters):
        builder.parameter(f"t{i}" if i else "")
    builder.register("first", 0, 2)
    builder.register("rest", 2, qubits - 2)
    builder.global_phase(float(rng.uniform(-3, 3)))
    table = [g for g in gates() if g.qubits <= qubits]
    for _ in range(length):
        kind = rng.integers(12)
        order = [int(q) for q in rng.permutation(qubits)]
        if kind == 0:
            size = int(rng.integers(1, 3))
            made = np.linalg.qr(rng.normal(size=(1 << size, 1 << size)) + 1j * rng.normal(size=(1 << size, 1 << size)))[
                0
            ]
            builder.unitary(made, order[: size + 1], 1) if rng.integers(2) else builder.unitary(made, order[:size])
        elif kind == 1:
            builder.barrier(order[:2])
        elif kind == 2 and ends == "middle":
            builder.measure(order[0], order[1]) if rng.integers(2) else builder.reset(order[0])
        else:
            row = table[rng.integers(len(table))]
            extra = int(rng.integers(0, qubits - row.qubits + 1)) if row.qubits and rng.integers(4) == 0 else 0
            builder.gate(
                row.id, order[: row.qubits + extra], [_angle(rng, parameters) for _ in range(row.params)], extra
            )
    if ends == "measure":
        for q in range(qubits):
            builder.measure(q, (q + 1) % qubits)
    return builder.finish()


def _angle(rng: np.random.Generator, parameters: int) -> Any:
    if parameters and rng.integers(3) == 0:
        return Affine(int(rng.integers(parameters)), float(rng.uniform(-2, 2)), float(rng.uniform(-1, 1)))
    return float(rng.uniform(-4, 4))
