"""What a tool is: one task in, one or more tasks out, and one result back.

Optimising (1 -> 1), cutting and knitting, error mitigation and measurement grouping all have this one shape. A tool is
pure: no clock, no network, no random numbers but those seeded by its options or its task. It never changes the task it
is given. Its options are its constructor's keyword arguments.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from qfw.program import Program


class TaskLike(Protocol):
    """What a tool may read of a task (`qfw.qpi.Task` is one)."""

    program: Any  # a Program by the time a tool sees it
    bindings: Any  # rows x columns, or None
    outputs: Any  # names of the outputs wanted
    observables: Any  # PauliSums
    qubits: Any  # qubits that probabilities are wanted of; empty: all


class DeviceLike(Protocol):
    """What a tool may read of a device (`qfw.qpi.Device` is one)."""

    @property
    def name(self) -> str: ...
    @property
    def max_qubits(self) -> int: ...
    @property
    def gates(self) -> Sequence[str]: ...
    @property
    def coupling(self) -> Sequence[tuple[int, int]]: ...


@runtime_checkable
class Tool(Protocol):
    """One step of a pipeline."""

    @property
    def name(self) -> str:
        """The name that pipelines and errors call it by."""

    def expand(self, task: Any, device: Any) -> tuple[list[Any], Any]:
        """The tasks to run in place of `task` on `device` (None: unknown), and what `reduce` needs to know."""

    def reduce(self, results: Sequence[Any], state: Any) -> Any:
        """One result for the task of `expand`, of the results of its tasks, in their order."""


T = TypeVar("T")


def replace(thing: T, **changes: Any) -> T:
    """A shallow copy of a task or result with some attributes changed."""
    made = copy.copy(thing)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def program_of(task: TaskLike) -> Program:
    """The task's Program; a task that still holds text or a circuit is converted."""
    if isinstance(task.program, Program):
        return task.program
    from qfw.toolchain.formats import load

    return load(task.program).program
