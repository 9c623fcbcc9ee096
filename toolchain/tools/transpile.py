"""Qiskit's transpiler as a tool: to the device's gates and coupling, or to given ones.

Registers and classical bits stay. Observables, and the qubits that probabilities are wanted of, are moved to where
routing leaves them; a state vector comes back in the program's own order of qubits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qfw.program import PauliSum, Program, gate, gates
from qfw.program.errors import InvalidArgument, Unsupported
from qfw.toolchain.tools.tool import program_of, replace

_ALL = tuple(row.name for row in gates())


@dataclass(frozen=True, slots=True)
class Transpile:
    """The tool `transpile`.

    Attributes:
        optimization_level: 0 to 3, as Qiskit's.
        basis_gates: names of the gate table; None: the device's.
        coupling: pairs of qubits; None: the device's (none there: all to all).
        seed: of Qiskit's stochastic passes.
    """

    optimization_level: int = 1
    basis_gates: Sequence[str] | None = None
    coupling: Sequence[tuple[int, int]] | None = None
    seed: int = 0
    name: str = field(default="transpile", init=False)

    def __post_init__(self) -> None:
        if self.optimization_level not in (0, 1, 2, 3):
            raise InvalidArgument(f"optimization_level {self.optimization_level!r}; 0, 1, 2 or 3 allowed")
        for name in self.basis_gates or ():
            gate("U" if name == "u" else name)  # UnknownGate
        for pair in self.coupling or ():
            if len(pair) != 2 or min(pair) < 0:
                raise InvalidArgument(f"coupling {pair!r}; pairs of qubits expected")

    def expand(self, task: Any, device: Any) -> tuple[list[Any], Any]:
        """One task, with the transpiled program; the state is where the program's qubits end up (None: in place)."""
        program = program_of(task)
        converted, order, layout = self._transpile(program, device)
        bindings = None
        if program.num_parameters and task.bindings is not None:
            bindings = converted.columns(np.atleast_2d(np.asarray(task.bindings, dtype=np.float64))[:, order])
        changes: dict[str, Any] = {"program": converted.program, "bindings": bindings}
        if layout is not None:
            changes["observables"] = tuple(move(o, layout) for o in task.observables or ())
            wanted = task.qubits or (range(program.num_qubits) if "probabilities" in task.outputs else ())
            changes["qubits"] = tuple(layout[q] for q in wanted)
        return [replace(task, **changes)], layout

    def reduce(self, results: Sequence[Any], state: list[int] | None) -> Any:
        """The one result; state vectors in the program's own order of qubits."""
        return results[0] if state is None else Relabelled(results[0], state)

    def _transpile(self, program: Program, device: Any) -> tuple[Any, list[int], list[int] | None]:
        from qiskit import transpile
        from qiskit.exceptions import QiskitError

        from qfw.toolchain.formats import qiskit as circuits
        from qfw.toolchain.formats.qiskit_export import unique_names
        from qfw.toolchain.formats.qiskit_target import make_target

        names = self.basis_gates if self.basis_gates is not None else getattr(device, "gates", None)
        coupling = self.coupling if self.coupling is not None else getattr(device, "coupling", None)
        qubits = max([program.num_qubits, *(q + 1 for pair in coupling or () for q in pair)])
        target = make_target(names or _ALL, num_qubits=qubits, coupling=[(a, b) for a, b in coupling or ()])
        level = self.optimization_level
        try:
            circuit = transpile(
                circuits.from_program(program), target=target, optimization_level=level, seed_transpiler=self.seed
            )
        except (TypeError, QiskitError) as e:  # TypeError: Qiskit 2.6 on a parameter that cancels out, at level 3
            advice = "; a lower level may do" if level else ""
            raise Unsupported(f"Qiskit's transpiler failed at optimization level {level}: {e}{advice}") from e
        converted = circuits.to_program(circuit)
        column = {name: i for i, name in enumerate(unique_names(program.parameters))}
        order = [column[name] for name in converted.parameter_names]
        layout = None
        if circuit.layout is not None:
            layout = circuit.layout.final_index_layout(filter_ancillas=True)[: program.num_qubits]
            if layout == list(range(converted.program.num_qubits)):
                layout = None
        return converted, order, layout


def move(observable: PauliSum, layout: Sequence[int]) -> PauliSum:
    """The observable on the qubits that the program's own were moved to."""
    return PauliSum([(c, letters, [layout[q] for q in qubits]) for c, letters, qubits in observable.terms])


class Relabelled:
    """A result whose state vectors are read in another order of qubits; everything else is the result's own."""

    def __init__(self, result: Any, layout: Sequence[int]) -> None:
        self._result = result
        self.rows = [_Row(row, layout) for row in result.rows]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._result, name)


class _Row:
    def __init__(self, row: Any, layout: Sequence[int]) -> None:
        self._row = row
        self._layout = layout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)

    @property
    def statevector(self) -> Any:
        state = self._row.statevector
        return state if state is None or not len(state) else reorder(state, self._layout)


def reorder(state: Any, layout: Sequence[int]) -> Any:
    """Amplitudes over qubits `layout` of a larger state whose other qubits are all zero."""
    index = np.zeros(1, dtype=np.int64)
    for where in layout:  # the first qubit is the least significant
        index = np.concatenate([index, index | (1 << where)])
    return np.asarray(state)[index]
