"""Tapes of one structure go together: one task, a row of bindings for each tape or for each element of its batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfw.qpi.adapters.pennylane.plan import Plan


class Job:
    """What becomes one task."""

    __slots__ = ("columns", "places", "plan", "rows", "shots", "size")

    def __init__(self, plan: Plan, shots: int, columns: tuple[int, ...]) -> None:
        self.plan = plan
        self.shots = shots
        self.columns = columns  # parameters of the program that derivatives are wanted of
        self.size = 0  # rows
        self.rows: list[NDArray[np.float64]] = []  # of one dimension, or of two
        self.places: list[tuple[int, int | None]] = []  # the tape's position, rows of a batch or None

    def add(self, position: int, bindings: NDArray[np.float64]) -> None:
        """Another tape's row, or rows."""
        count = None if bindings.ndim == 1 else len(bindings)
        self.size += 1 if count is None else count
        self.rows.append(bindings)
        self.places.append((position, count))

    def bindings(self) -> NDArray[np.float64]:
        """The matrix of all rows."""
        if len(self.rows) > 1:
            return np.vstack(self.rows)
        only = self.rows[0]
        return only[np.newaxis] if only.ndim == 1 else only

    def answers(self, rows: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """(position, its row), or for a tape with a batch (position, list of its rows)."""
        left = iter(rows)
        for position, count in self.places:
            yield position, next(left) if count is None else list(islice(left, count))


class Jobs:
    """The jobs of a batch of tapes, none with more rows than the device takes."""

    def __init__(self, max_rows: int) -> None:
        self.made: list[Job] = []
        self._latest: dict[tuple[int, int, tuple[int, ...]], Job] = {}
        self._max_rows = max_rows

    def add(
        self, position: int, plan: Plan, shots: int, bindings: NDArray[np.float64], columns: tuple[int, ...] = ()
    ) -> None:
        """Another tape: its bindings are a row, or rows x parameters where it carries a batch."""
        key = (id(plan), shots, columns)
        if bindings.ndim == 1:
            self._with_room(key, plan).add(position, bindings)
            return
        start = 0
        while start < len(bindings):
            job = self._with_room(key, plan)
            part = bindings[start : start + self._max_rows - job.size]
            job.add(position, part)
            start += len(part)

    def _with_room(self, key: tuple[int, int, tuple[int, ...]], plan: Plan) -> Job:
        job = self._latest.get(key)
        if job is None or job.size >= self._max_rows:
            job = self._latest[key] = Job(plan, key[1], key[2])
            self.made.append(job)
        return job


__all__ = ["Job", "Jobs"]
