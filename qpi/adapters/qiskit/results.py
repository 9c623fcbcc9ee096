"""Results in Qiskit's forms. Text (hex keys) is made here and only where it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.result.models import ExperimentResult, ExperimentResultData

from qfw.program.errors import QfwError

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a job remembers of one circuit."""

    name: str
    header: dict[str, Any]


def entry(circuit: QuantumCircuit) -> Entry:
    """The header that Qiskit's Result reads registers from.

    Keys are in the order of `circuit.clbits`; registers that do not follow one another in it (shared or loose bits)
    are left out of the header, and keys are then not divided.
    """
    clbits = circuit.clbits
    plain = [bit for register in circuit.cregs for bit in register] == clbits
    header = {
        "name": circuit.name,
        "n_qubits": circuit.num_qubits,
        "memory_slots": len(clbits),
        "creg_sizes": [[r.name, r.size] for r in circuit.cregs] if plain else [],
        "qreg_sizes": [[r.name, r.size] for r in circuit.qregs],
        "global_phase": circuit.global_phase if isinstance(circuit.global_phase, float) else 0.0,
        "metadata": circuit.metadata or {},
    }
    return Entry(circuit.name, header)


def integers(packed: Bytes) -> list[int]:
    """Rows of little-endian packed bits as integers."""
    width = packed.shape[1]
    if width > 8:
        return [int.from_bytes(row.tobytes(), "little") for row in packed]
    wide = np.zeros((len(packed), 8), dtype=np.uint8)
    wide[:, :width] = packed
    return [int(v) for v in wide.view("<u8")[:, 0].tolist()]


def experiment(
    what: Entry, result: Any, row: Any, *, counts: bool, memory: bool, statevector: bool
) -> ExperimentResult:
    """One row of a Result as Qiskit's experiment: hex counts; hex memory and the state where they were asked for."""
    data: dict[str, Any] = {}
    if counts:
        keys, values = row.count_arrays
        data["counts"] = dict(zip(map(hex, integers(keys)), np.asarray(values).tolist(), strict=True))
    if memory:
        data["memory"] = list(map(hex, integers(row.memory)))
    if statevector:
        data["statevector"] = row.statevector
    return ExperimentResult(
        shots=result.shots,
        success=True,
        status="DONE",
        seed=result.seed,
        data=ExperimentResultData(**data),
        header=what.header,
        time_taken=result.timing.total_ns * 1e-9,
        metadata={"device": result.device, **method(result), "timing": timing(result)},
    )


def failed(what: Entry, error: QfwError | None, shots: int) -> ExperimentResult:
    """A circuit that failed, or has not ended (None): no counts, success False, the device's words as status."""
    status = "not done" if error is None else f"{type(error).__name__}: {error}"
    return ExperimentResult(shots=shots, success=False, status=status, data=ExperimentResultData(), header=what.header)


def method(result: Any) -> dict[str, str]:
    """The simulation method that the device chose, and why; empty where it has one only."""
    chosen = {name: str(getattr(result, name, "") or "") for name in ("method", "method_reason")}
    return {name: text for name, text in chosen.items() if text}


PARTS = ("convert_ns", "tools_ns", "transfer_ns", "queue_ns", "dispatch_ns", "execute_ns", "return_ns", "total_ns")


def timing(result: Any) -> dict[str, int]:
    """Nanoseconds by part, `total_ns` among them."""
    return {part: int(getattr(result.timing, part)) for part in PARTS}


def select_bits(memory: Bytes, bits: list[int], total: int) -> Bytes:
    """Packs some bits of each shot, big-endian as Qiskit's BitArray: (..., shots, bytes) -> (..., shots, own bytes).

    Args:
        memory: little-endian packed bits.
        bits: which ones; the first becomes the least significant.
        total: how many there are.
    """
    if bits == list(range(total)):
        return np.ascontiguousarray(memory[..., ::-1])
    if not bits:
        return np.zeros((*memory.shape[:-1], 0), dtype=np.uint8)
    own = np.unpackbits(memory, axis=-1, bitorder="little")[..., bits]
    return np.ascontiguousarray(np.packbits(own, axis=-1, bitorder="little")[..., ::-1])
