"""The task: a program, a matrix of bindings, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qfw.program import PauliSum, Program
from qfw.qpi.errors import InvalidArgument, LimitExceeded

OUTPUTS = ("counts", "memory", "probabilities", "statevector", "expectations", "gradients")
MAX_ROWS = 1 << 24
_DEFAULT_SHOTS = (0, 1024)  # without and with sampled outputs


class Task:
    """One program to run, for one or many rows of parameter values.

    Args:
        program: a `qfw.program.Program`, OpenQASM 2 or 3 text, a Qiskit circuit or a PennyLane tape; all but the
            first are converted here, and `convert_ns` says how long that took.
        bindings: rows x parameters (one dimension: one row), in the order of the program's parameters. One task can be
            a sweep of many rows. None: no parameters.
        shots: samples per row; None: 1024 where counts or memory are wanted, else 0 (exact values).
        outputs: among counts, memory, probabilities, statevector, expectations, gradients.
        observables: Pauli sums that expectation values, or their gradients, are wanted of.
        gradient_parameters: indices of the program's parameters that gradients are with respect to; empty: all.
        qubits: those that probabilities are wanted of, the first least significant; empty: all.
        seed: same task, same seed, same bits; None: drawn, and reported with the result.
        deadline: seconds from its arrival in the runtime after which it fails with DeadlineExceeded.
        priority: higher goes first among the tasks of one session.
        ranks: that simulate each row together (see `Device.max_ranks`); 0: the device chooses.
        options: the device's own (see `Device.options`).
        context: comes back untouched with the completion.
        convert_ns: time already spent on converting, for the Timing.

    Raises:
        InvalidArgument, LimitExceeded, ParseError and others: with the value found and what is allowed.
    """

    __slots__ = (
        "bindings",
        "context",
        "convert_ns",
        "deadline",
        "gradient_parameters",
        "observables",
        "options",
        "outputs",
        "priority",
        "program",
        "qubits",
        "ranks",
        "seed",
        "shots",
    )

    program: Program
    bindings: NDArray[np.float64] | None
    shots: int

    def __init__(
        self,
        program: Any,
        *,
        bindings: ArrayLike | None = None,
        shots: int | None = None,
        outputs: Sequence[str] = ("counts",),
        observables: Sequence[PauliSum] = (),
        gradient_parameters: Sequence[int] = (),
        qubits: Sequence[int] = (),
        seed: int | None = None,
        deadline: float | None = None,
        priority: int = 0,
        ranks: int = 0,
        options: Mapping[str, Any] | None = None,
        context: Any = None,
        convert_ns: int = 0,
    ) -> None:
        if type(program) is not Program:
            program, bindings, took = _convert(program, bindings)
            convert_ns += took
        elif bindings is not None:
            bindings = _matrix(bindings)
        self.program = program
        self.bindings = bindings
        self.outputs = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        self.shots = _DEFAULT_SHOTS[_sampled(self.outputs)] if shots is None else shots
        self.observables = (observables,) if isinstance(observables, PauliSum) else tuple(observables)
        self.gradient_parameters = tuple(gradient_parameters)
        self.qubits = tuple(qubits)
        self.seed = seed
        self.deadline = deadline
        self.priority = priority
        self.ranks = ranks
        self.options = options
        self.context = context
        self.convert_ns = convert_ns
        _check(self)

    def __repr__(self) -> str:
        rows = 1 if self.bindings is None else len(self.bindings)
        return f"Task({self.program!r}, rows={rows}, shots={self.shots}, outputs={self.outputs})"


def not_a_task(found: object) -> InvalidArgument:
    """The error for something else where a task is expected."""
    return InvalidArgument(f"a qfw.qpi.Task is expected, not {type(found).__name__}: Task(program, shots=...)")


def batch(tasks: Iterable[Task]) -> list[Task]:
    """The tasks as a list.

    Raises:
        InvalidArgument: none at all, or one that is no task.
    """
    try:
        made = list(tasks)
    except TypeError:
        raise not_a_task(tasks) from None
    if not made:
        raise InvalidArgument("an empty batch: 0 tasks; at least 1 is needed")
    for task in made:
        if not isinstance(task, Task):
            raise not_a_task(task)
    return made


def _sampled(outputs: Sequence[str]) -> bool:
    return "counts" in outputs or "memory" in outputs


def _check(task: Task) -> None:
    """What can be said at once; the rest is said at submission."""
    for output in task.outputs:
        if output not in OUTPUTS:
            raise InvalidArgument(f"unknown output {output!r}; allowed: {', '.join(OUTPUTS)}")
    shots = task.shots
    if type(shots) is not int:
        try:
            shots = task.shots = shots.__index__()
        except AttributeError:
            raise InvalidArgument(f"shots is {shots!r}; an integer is expected") from None
    if shots < 0 or (shots == 0 and _sampled(task.outputs)):
        raise InvalidArgument(f"shots is {shots}; counts and memory need at least 1, and it is never negative")
    given = 0 if task.bindings is None else task.bindings.shape[1]
    if given != task.program.num_parameters:
        raise InvalidArgument(
            f"bindings have {given} columns; the program has {task.program.num_parameters} parameters"
            + (f": {', '.join(task.program.parameters[:8])}" if task.program.num_parameters else "")
        )


def _matrix(bindings: ArrayLike) -> NDArray[np.float64]:
    """A rows x columns array of finite values.

    Raises:
        InvalidArgument: of another shape, or with values that are not finite numbers. LimitExceeded: too many rows.
    """
    try:
        array = np.ascontiguousarray(bindings, dtype=np.float64)
    except (TypeError, ValueError) as e:
        raise InvalidArgument(f"bindings are not an array of numbers: {e}") from e
    if array.ndim == 1:
        array = array.reshape(1, -1)
    if array.ndim != 2 or len(array) == 0:
        raise InvalidArgument(f"bindings have the shape {array.shape}; rows x columns with at least 1 row is allowed")
    if len(array) > MAX_ROWS:
        raise LimitExceeded(f"bindings have {len(array)} rows; at most {MAX_ROWS} are allowed")
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise InvalidArgument(f"bindings[{row}][{column}] is {array[row, column]}; values must be finite")
    return array


def _convert(source: Any, bindings: ArrayLike | None) -> tuple[Program, NDArray[np.float64] | None, int]:
    from qfw.toolchain.formats import load

    start = perf_counter_ns()
    converted = load(source)
    program: Program = converted.program
    matrix: NDArray[np.float64] | None = None
    if bindings is not None:
        matrix = converted.columns(_matrix(bindings))
    elif converted.bindings is not None:
        matrix = _matrix(converted.bindings)
    elif program.num_parameters:
        names = ", ".join(converted.parameter_names[:8])
        raise InvalidArgument(f"no bindings given for the {len(converted.parameter_names)} parameters {names}")
    if not program.num_parameters:
        matrix = None if matrix is None or matrix.shape[1] else matrix
    return program, matrix, perf_counter_ns() - start
