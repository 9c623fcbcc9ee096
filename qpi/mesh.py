"""Meshes: devices acted on together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from qfw.qpi.device import Device
from qfw.qpi.errors import QfwError, task_error
from qfw.qpi.pipeline import Expanded, ToolPipeline
from qfw.qpi.queues import CompletionQueue
from qfw.qpi.result import Result
from qfw.qpi.stream import Stream
from qfw.qpi.task import Task, batch

if TYPE_CHECKING:
    from qfw._core import qpi as native
    from qfw.qpi.context import Context


class Mesh:
    """Any of these devices may run a task: the first that is free. Made by `Context.mesh`."""

    def __init__(self, context: Context, native: native.Mesh) -> None:
        self._context = context
        self._native = native

    @cached_property
    def devices(self) -> tuple[Device, ...]:
        """As they were when the mesh was made."""
        return tuple(Device.of(device) for device in self._native.devices)

    @cached_property
    def _one_device(self) -> Device | None:
        return self.devices[0] if len(self.devices) == 1 else None

    def stream(
        self,
        order: str = "parallel",
        completions: CompletionQueue | None = None,
        pipeline: ToolPipeline | None = None,
    ) -> Stream:
        """Opens a stream; without a queue its completions are dropped.

        Args:
            order: "parallel", or "sequential": each task starts when the one before it has ended.
        """
        queue = None if completions is None else completions._native
        if completions is not None and pipeline is not None:
            completions._tools = True
        return Stream(self, self._context._native.stream(self._native, order, queue), pipeline)

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
            native = self._native.run(task, wait)
            if native.failed:
                raise task_error(native, Result(native))
            return Result(native)
        if isinstance(task, Task):
            return self._run_many([task], wait, pipeline)[0]
        return self._run_many(batch(task), wait, pipeline)

    def _run_many(self, tasks: Sequence[Task], wait: float, pipeline: ToolPipeline | None) -> list[Result]:
        if pipeline is None:
            results: list[Any] = [_outcome([native], None) for native in self._native.run_many(tasks, wait)]
        else:
            expanded = [pipeline.expand(task, self._one_device) for task in tasks]
            natives = iter(self._native.run_many([part for e in expanded for part in e.tasks], wait))
            results = [_outcome([next(natives) for _ in e.tasks], e) for e in expanded]
        for result in results:
            if isinstance(result, QfwError):
                result.results = results  # type: ignore[attr-defined]
                raise result
        return results


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
