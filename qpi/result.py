"""Results: everything is made when it is asked for; arrays are read-only views on native memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qfw.qpi.errors import QfwError, of_failure

if TYPE_CHECKING:
    from qfw._core import qpi as native

_PARTS = ("convert_ns", "tools_ns", "transfer_ns", "queue_ns", "dispatch_ns", "execute_ns", "return_ns")


class Timing:
    """Where the wall time of a task went, in nanoseconds; the parts add up to `total_ns`."""

    __slots__ = _PARTS

    convert_ns: int  #: the caller's object to a Program
    tools_ns: int  #: tool pipeline, both ways
    transfer_ns: int  #: to the runtime
    queue_ns: int  #: waiting for a device
    dispatch_ns: int  #: bookkeeping of the runtime, hand-over to the device and back
    execute_ns: int  #: on the device
    return_ns: int  #: back to the caller's queue

    def __init__(self, parts: tuple[int, ...]) -> None:
        (
            self.convert_ns,
            self.tools_ns,
            self.transfer_ns,
            self.queue_ns,
            self.dispatch_ns,
            self.execute_ns,
            self.return_ns,
        ) = parts

    @property
    def total_ns(self) -> int:
        return (
            self.convert_ns
            + self.tools_ns
            + self.transfer_ns
            + self.queue_ns
            + self.dispatch_ns
            + self.execute_ns
            + self.return_ns
        )

    def as_dict(self) -> dict[str, int]:
        """The parts by name, without the total."""
        return {name: getattr(self, name) for name in _PARTS}

    def __repr__(self) -> str:
        return f"Timing({', '.join(f'{name}={getattr(self, name)}' for name in _PARTS)})"


class Row:
    """What one row of bindings gave. An output that was not asked for is empty."""

    __slots__ = ("_index", "_native")

    def __init__(self, native: native.Result, index: int) -> None:
        self._native = native
        self._index = index

    @property
    def counts(self) -> dict[str, int]:
        """Shots by bit string, highest bit left. Made anew at each call."""
        return self._native.counts(self._index)

    @property
    def count_arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
        """Keys (k x bytes, packed, bit i of a key is bit i % 8 of byte i // 8) and how often each was seen."""
        return self._native.count_arrays(self._index)

    @property
    def memory(self) -> NDArray[np.uint8]:
        """One line per shot, in shot order: shots x bytes, packed like the keys of `count_arrays`."""
        return self._native.memory(self._index)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """2**k values; the first of the task's `qubits` is the least significant bit of the index."""
        return self._native.probabilities(self._index)

    @property
    def statevector(self) -> NDArray[np.complex128]:
        """2**n amplitudes; qubit 0 is the least significant bit of the index. Global phase included."""
        return self._native.statevector(self._index)

    @property
    def expectations(self) -> NDArray[np.float64]:
        """One value per observable."""
        return self._native.expectations(self._index)

    @property
    def gradients(self) -> NDArray[np.float64]:
        """Derivatives of the expectation values, exact: observables x the task's `gradient_parameters`."""
        return self._native.gradients(self._index)

    @property
    def error(self) -> QfwError | None:
        """What went wrong with this row alone."""
        failure = self._native.row_failure(self._index)
        return None if failure is None else of_failure(failure)


class Result:
    """What came back of one task."""

    __slots__ = ("_native", "_rows", "_timing")

    def __init__(self, native: native.Result) -> None:
        self._native = native
        self._rows: list[Row] | None = None
        self._timing: Timing | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Counts of row 0."""
        return self._native.counts(0)

    @property
    def expectations(self) -> NDArray[np.float64]:
        """Of all rows at once, for sweeps: rows x observables, NaN where a row failed."""
        return self._native.all_expectations()

    @property
    def rows(self) -> list[Row]:
        """One per row of the task's bindings, in their order."""
        if self._rows is None:
            self._rows = [Row(self._native, i) for i in range(len(self._native))]
        return self._rows

    def __len__(self) -> int:
        return len(self._native)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def shots(self) -> int:
        return self._native.shots

    @property
    def num_bits(self) -> int:
        return self._native.num_bits

    @property
    def seed(self) -> int:
        """The one used; running the same task with it gives the same bits."""
        return self._native.seed

    @property
    def device(self) -> str:
        """Name of the device that ran it."""
        return self._native.device

    @property
    def device_version(self) -> str:
        return self._native.device_version

    @property
    def method(self) -> str:
        """How it was simulated where option method="auto" chose: "statevector", "stabilizer", ...; else empty."""
        return self._native.method

    @property
    def method_reason(self) -> str:
        """Why that method was chosen."""
        return self._native.method_reason

    @property
    def calibration_set(self) -> str:
        return self._native.calibration_set

    @property
    def timing(self) -> Timing:
        if self._timing is None:
            self._timing = Timing(self._native.timing)
        return self._timing

    @property
    def error(self) -> QfwError | None:
        """What went wrong; None for a success."""
        failure = self._native.failure
        return None if failure is None else of_failure(failure)

    def __repr__(self) -> str:
        return f"Result({len(self)} rows, {self.shots} shots, device={self.device!r}, seed={self.seed})"
