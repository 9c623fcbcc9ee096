"""What one structure of tape asks the runtime for, and how the results of its tapes are read off the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qfw.program import PauliSum, Program
from qfw.qpi.adapters.pennylane.dynamic import Counts

Reader = Callable[[Any], Any]  # a row of a result -> what PennyLane expects


@dataclass(frozen=True, eq=False)
class Plan:
    """What one structure of tape asks for. `read` gives the result of a tape from a row."""

    program: Program
    outputs: tuple[str, ...]
    observables: tuple[PauliSum, ...]
    qubits: tuple[int, ...]  # of the probabilities, least significant first
    readers: tuple[Reader, ...]
    fill: Counts | None = None  # which shots count: more are run for the others

    def read(self, row: Any) -> Any:
        """The result of one tape: bare for one measurement, else a tuple."""
        if len(self.readers) == 1:
            return self.readers[0](row)
        return tuple([reader(row) for reader in self.readers])


__all__ = ["Plan", "Reader"]
