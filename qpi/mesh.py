"""Meshes: devices acted on together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from qfw.qpi import waiting
from qfw.qpi.device import Device
from qfw.qpi.errors import QfwError, task_error
from qfw.qpi.jobs import JobSpec
from qfw.qpi.pipeline import Expanded, ToolPipeline, expand
from qfw.qpi.queues import Completions, by_kind
from qfw.qpi.result import Result
from qfw.qpi.stream import Stream
from qfw.qpi.task import Task, batch

if TYPE_CHECKING:
    from qfw._core import qpi as native
    from qfw.qpi.context import Context


class _Devices:
    """What the two kinds of mesh share."""

    def __init__(self, context: Context, native: native.Mesh) -> None:
        self._context = context
        self._native = native

    @cached_property
    def devices(self) -> tuple[Device, ...]:
        """As they were when the mesh was made."""
        return tuple(Device.of(device, self._context) for device in self._native.devices)

    def stream(
        self,
        order: str = "parallel",
        completions: Completions = None,
        pipeline: ToolPipeline | None = None,
        job: JobSpec | None = None,
    ) -> Stream:
        """Opens a stream; without a queue its completions are dropped.

        Args:
            order: "parallel", or "sequential": each task starts when the one before it has ended (on an `all` mesh: on
                the same device), and completions come in order.
            completions: a queue for everything, or queues by kind, as in {"task": a, "query": b, "error": c}. A kind
                without a queue uses that of the tasks; errors without one stay in the queue of their kind.
            pipeline: tools that every task goes through.
            job: names the stream: its tasks go on when it is closed, and its results can be fetched by the name, in a
                daemon by other processes too. Not on an `all` mesh.

        Raises:
            InvalidArgument: a job of that name is under way. Unsupported: a job on an `all` mesh.
        """
        queues = by_kind(completions)
        for queue in queues.values():
            queue._tools = queue._tools or pipeline is not None
        kinds = ("task", "query", "barrier", "error")
        task, query, barrier, error = (queues[kind]._native if kind in queues else None for kind in kinds)
        name = None if job is None else (job.id, job.metadata)
        made = self._context._native.stream(self._native, order, task, query, barrier, error, name)
        return Stream(made, self.devices, self._native.all, pipeline)

    def _outcomes(self, task: Task | Iterable[Task], wait: float, pipeline: ToolPipeline | None) -> list[Any]:
        tasks = [task] if isinstance(task, Task) else batch(task)
        if pipeline is None:
            return self._ended(self._native.run_many(tasks, wait), len(tasks), None)
        parts, groups = self._expand(tasks, pipeline)
        return self._ended(self._native.run_many(parts, wait), len(tasks), groups)

    async def _outcomes_async(
        self, task: Task | Iterable[Task], timeout: float | None, pipeline: ToolPipeline | None
    ) -> list[Any]:
        tasks = [task] if isinstance(task, Task) else batch(task)
        parts, groups = (tasks, None) if pipeline is None else self._expand(tasks, pipeline)
        end = waiting.Deadline(timeout)
        run = self._native.prepare(parts)
        while not run.submit():
            if not await waiting.readable(self._native.credit_fd(), end):
                run.give_up(timeout or 0.0)
        if not run.done and not await waiting.readable(run.fd(), end):
            run.give_up(timeout or 0.0)
        return self._ended(run.take(), len(tasks), groups)

    def _expand(self, tasks: Sequence[Task], pipeline: ToolPipeline) -> tuple[list[Task], list[list[Expanded]]]:
        """The tasks to run, as the native mesh wants them, and what to reduce: per device, per task."""
        devices: list[Sequence[Device]] = [[d] for d in self.devices] if self._native.all else [self.devices]
        groups = [[expand(pipeline, task, on, False) for task in tasks] for on in devices]
        return [part for group in groups for expanded in group for part in expanded.tasks], groups

    def _ended(self, natives: Sequence[native.Result], tasks: int, groups: list[list[Expanded]] | None) -> list[Any]:
        """Per task its result, its error, or, on an `all` mesh, the list of these."""
        rest = iter(natives)
        if groups is None:
            copies = len(natives) // tasks
            by_device = [[_outcome([next(rest)], None) for _ in range(tasks)] for _ in range(copies)]
        else:
            by_device = [[_outcome([next(rest) for _ in e.tasks], e) for e in group] for group in groups]
        if not self._native.all:
            return by_device[0]
        return [list(outcomes) for outcomes in zip(*by_device, strict=True)]


class Mesh(_Devices):
    """Any of these devices may run a task: the first that is free. Made by `Context.mesh`."""

    @overload
    def run(self, task: Task, timeout: float | None = None, pipeline: ToolPipeline | None = None) -> Result: ...
    @overload
    def run(
        self, task: Iterable[Task], timeout: float | None = None, pipeline: ToolPipeline | None = None
    ) -> list[Result]: ...
    def run(
        self, task: Task | Iterable[Task], timeout: float | None = None, pipeline: ToolPipeline | None = None
    ) -> Result | list[Result]:
        """Runs one task, or a list in one message, and waits for the results, which come in submission order.

        Raises:
            the typed error of a failed task (of the first that failed; `.results` then holds, for each task of a list,
                its Result or its error)
            WaitTimeout: not all done after `timeout` seconds; names those that were not, and they are cancelled.
        """
        wait = -1.0 if timeout is None else timeout
        if type(task) is Task and pipeline is None:
            native = self._native.run(task, wait)[0]
            if native.failed:
                raise task_error(native, Result(native))
            return Result(native)
        outcome: Result | list[Result] = _checked(task, self._outcomes(task, wait, pipeline))
        return outcome

    @overload
    async def run_async(
        self, task: Task, timeout: float | None = None, pipeline: ToolPipeline | None = None
    ) -> Result: ...
    @overload
    async def run_async(
        self, task: Iterable[Task], timeout: float | None = None, pipeline: ToolPipeline | None = None
    ) -> list[Result]: ...
    async def run_async(
        self, task: Task | Iterable[Task], timeout: float | None = None, pipeline: ToolPipeline | None = None
    ) -> Result | list[Result]:
        """`run`, while the event loop goes on with other things; cancelling the wait cancels the tasks."""
        outcome: Result | list[Result] = _checked(task, await self._outcomes_async(task, timeout, pipeline))
        return outcome


class AllMesh(_Devices):
    """Each of these devices runs a task. Made by `Context.mesh(..., mode="all")`."""

    @overload
    def run(self, task: Task, timeout: float | None = None, pipeline: ToolPipeline | None = None) -> list[Result]: ...
    @overload
    def run(
        self, task: Iterable[Task], timeout: float | None = None, pipeline: ToolPipeline | None = None
    ) -> list[list[Result]]: ...
    def run(
        self, task: Task | Iterable[Task], timeout: float | None = None, pipeline: ToolPipeline | None = None
    ) -> list[Result] | list[list[Result]]:
        """Runs one task, or a list of them, on each device; per task a list with the result of each, in their order.

        Raises:
            the typed error of the first task that failed on some device, naming those devices; `.results` then holds,
                for each device (of a list: for each task, for each device), its Result or its error
            WaitTimeout: not all done after `timeout` seconds; they are cancelled.
        """
        wait = -1.0 if timeout is None else timeout
        outcome: list[Result] | list[list[Result]] = self._checked(task, self._outcomes(task, wait, pipeline))
        return outcome

    @overload
    async def run_async(
        self, task: Task, timeout: float | None = None, pipeline: ToolPipeline | None = None
    ) -> list[Result]: ...
    @overload
    async def run_async(
        self, task: Iterable[Task], timeout: float | None = None, pipeline: ToolPipeline | None = None
    ) -> list[list[Result]]: ...
    async def run_async(
        self, task: Task | Iterable[Task], timeout: float | None = None, pipeline: ToolPipeline | None = None
    ) -> list[Result] | list[list[Result]]:
        """`run`, while the event loop goes on with other things; cancelling the wait cancels the tasks."""
        ended = await self._outcomes_async(task, timeout, pipeline)
        outcome: list[Result] | list[list[Result]] = self._checked(task, ended)
        return outcome

    def _checked(self, task: Task | Iterable[Task], outcomes: list[Any]) -> Any:
        single = isinstance(task, Task)
        for each in outcomes:
            failed = {d.name: e for d, e in zip(self.devices, each, strict=True) if isinstance(e, QfwError)}
            if not failed:
                continue
            first = next(iter(failed.values()))
            words = "; ".join(f"{name}: {error}" for name, error in failed.items())
            text = f"{len(failed)} of {len(each)} devices failed: {words}"
            error = type(first)(text, transient=first.transient, retry_after=first.retry_after)
            error.results = each if single else outcomes  # type: ignore[attr-defined]
            raise error
        return outcomes[0] if single else outcomes


def _checked(task: Task | Iterable[Task], outcomes: list[Any]) -> Any:
    for outcome in outcomes:
        if isinstance(outcome, QfwError):
            outcome.results = outcomes  # type: ignore[attr-defined]
            raise outcome
    return outcomes[0] if isinstance(task, Task) else outcomes


def _outcome(natives: list[native.Result], expanded: Expanded | None) -> Any:
    """The result of one task, or its error."""
    for native in natives:
        if native.failed:
            return task_error(native, Result(native))
    if expanded is None:
        return Result(natives[0])
    try:
        return expanded.reduce(natives)
    except QfwError as error:
        return error
