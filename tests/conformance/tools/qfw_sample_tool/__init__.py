"""The tool `rows`: a sweep as several tasks of a few rows each, so that several devices can share it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qfw.program.errors import InvalidArgument
from qfw.toolchain.tools.tool import replace


@dataclass(frozen=True)
class Rows:
    """Splits a task by the rows of its bindings.

    Attributes:
        at_once: rows that stay together in one task, from 1.
    """

    at_once: int = 1
    name: str = field(default="rows", init=False)

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise InvalidArgument(f"at_once {self.at_once!r}; at least 1 row expected")

    def expand(self, task: Any, device: Any) -> tuple[list[Any], None]:
        """One task for every `at_once` rows; a task without bindings as it is."""
        if task.bindings is None:
            return [task], None
        values = np.atleast_2d(np.asarray(task.bindings, dtype=np.float64))
        starts = range(0, len(values), self.at_once)
        parts = [replace(task, bindings=values[at : at + self.at_once]) for at in starts]
        if getattr(task, "seed", None) is not None:  # the same for all would repeat the same shots
            parts = [replace(part, seed=part_seed(task.seed, i)) for i, part in enumerate(parts)]
        return parts, None

    def reduce(self, results: Sequence[Any], state: None) -> Any:
        """All rows in one result."""
        return results[0] if len(results) == 1 else Joined(results)


class Joined:
    """Several results read as one; what is not its rows is that of the first."""

    def __init__(self, results: Sequence[Any]) -> None:
        self._first = results[0]
        self.rows = [row for result in results for row in result.rows]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._first, name)


def part_seed(seed: int, part: int) -> int:
    """The seed of one part: hashed, since neighbouring numbers may share shots."""
    digest = hashlib.blake2b(f"{seed}/{part}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
