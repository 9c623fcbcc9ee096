"""The tool pipeline of a stream: a task becomes a group of tasks on the way in, their results one on the way back."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from qfw.qpi.result import Result, Timing
from qfw.qpi.task import Task

if TYPE_CHECKING:
    from qfw.qpi.device import Device


class ToolPipeline:
    """Tools one after another, by name, as (name, options), or ready made; `qfw.toolchain.tools.names()` lists them.

    Raises:
        NotFound: no tool of that name. InvalidArgument: an unknown option, or one out of range.
    """

    __slots__ = ("_tools",)

    def __init__(self, *specs: Any) -> None:
        from qfw.toolchain.tools.registry import pipeline

        self._tools = pipeline(*specs)

    def expand(self, task: Task, device: Device | None) -> Expanded:
        """The tasks to run in place of `task`."""
        start = perf_counter_ns()
        tasks, state = self._tools.expand(task, device)
        return Expanded(self, tasks, state, task.context, perf_counter_ns() - start)

    def reduce(self, results: Sequence[Any], state: Any) -> Any:
        return self._tools.reduce(results, state)

    def __repr__(self) -> str:
        return f"Tool{self._tools!r}"


class Expanded:
    """One task on its way through a pipeline."""

    __slots__ = ("_pipeline", "_state", "context", "places", "tasks", "tools_ns")

    def __init__(self, pipeline: ToolPipeline, tasks: list[Task], state: Any, context: Any, tools_ns: int) -> None:
        self._pipeline = pipeline
        self._state = state
        self.tasks = tasks
        self.places: list[int] = []  # of the tasks among the devices of an `all` mesh; else none
        self.context = context
        self.tools_ns = tools_ns

    def reduce(self, natives: Sequence[Any]) -> Any:
        """The one result of the tasks' native results; its timing is that of the last task to end, tools included."""
        start = perf_counter_ns()
        results = [Result(native) for native in natives]
        timing = Timing(max((native.timing for native in natives), key=sum))
        timing.tools_ns = self.tools_ns
        for result in results:
            result._timing = timing
        reduced = self._pipeline.reduce(results, self._state)
        timing.tools_ns += perf_counter_ns() - start
        return reduced


class ExpandedOnEach(Expanded):
    """One task on its way through a pipeline to each device of an `all` mesh: its result is the list of theirs."""

    __slots__ = ("_parts",)

    def __init__(self, parts: list[Expanded]) -> None:
        super().__init__(
            parts[0]._pipeline,
            [task for part in parts for task in part.tasks],
            None,
            parts[0].context,
            sum(part.tools_ns for part in parts),
        )
        self._parts = parts
        self.places = [place for place, part in enumerate(parts) for _ in part.tasks]

    def reduce(self, natives: Sequence[Any]) -> Any:
        rest = iter(natives)
        return [part.reduce([next(rest) for _ in part.tasks]) for part in self._parts]


def expand(pipeline: ToolPipeline, task: Task, devices: Sequence[Device], on_all: bool) -> Expanded:
    """A task made ready for a mesh: for its one device, for any of its devices, or for each of them."""
    if on_all:
        return ExpandedOnEach([pipeline.expand(task, device) for device in devices])
    return pipeline.expand(task, devices[0] if len(devices) == 1 else None)
