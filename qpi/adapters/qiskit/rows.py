"""Sweeps of more rows than a device takes in one task: cut into several, and their results put together again."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from qfw.qpi.adapters.qiskit.options import part_seed
from qfw.qpi.adapters.qiskit.results import PARTS


def split(task: Any, limit: int) -> list[Any]:
    """Tasks of at most `limit` rows each (0: no limit); the first keeps the seed, the others hash theirs from it."""
    if task.bindings is None or not limit or len(task.bindings) <= limit:
        return [task]
    parts = []
    for place, first in enumerate(range(0, len(task.bindings), limit)):
        part = copy.copy(task)
        part.bindings = task.bindings[first : first + limit]
        part.seed = part_seed(task.seed, place)
        part.convert_ns = 0 if place else task.convert_ns
        parts.append(part)
    return parts


@dataclass(frozen=True)
class Joined:
    """Results of the parts of one task, as one: rows in order, nanoseconds added up."""

    rows: list[Any]
    shots: int
    seed: int
    device: str
    method: str
    timing: Any


def join(parts: Sequence[Any]) -> Any:
    """The result of a task from those of its parts."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    timing = SimpleNamespace(**{name: sum(getattr(p.timing, name) for p in parts) for name in PARTS})
    rows = [row for part in parts for row in part.rows]
    return Joined(rows, first.shots, first.seed, first.device, getattr(first, "method", ""), timing)
