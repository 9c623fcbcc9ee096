"""Streams: ordered or parallel sequences of operations on a mesh."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from qfw.qpi.errors import WaitTimeout
from qfw.qpi.pipeline import ToolPipeline
from qfw.qpi.task import Task, batch, not_a_task

if TYPE_CHECKING:
    from qfw._core import qpi as native
    from qfw.qpi.mesh import Mesh


class Stream:
    """Made by `Mesh.stream`. As a context manager it waits for what it was given, and cancels it after an exception."""

    def __init__(self, mesh: Mesh, native: native.Stream, pipeline: ToolPipeline | None) -> None:
        self._mesh = mesh
        self._native = native
        self._pipeline = pipeline

    def submit(self, task: Task, *, timeout: float | None = None) -> int:
        """Hands a task in and returns its operation's id; waits only while the session's window is full.

        Raises:
            InvalidArgument: the task is wrong in itself.
            ResourceExhausted: no credit within `timeout` seconds, or the completion queue is full.
            Closed, ConnectionLost
        """
        wait = -1.0 if timeout is None else timeout
        if not isinstance(task, Task):
            raise not_a_task(task)
        if self._pipeline is None:
            return self._native.submit(task, task.context, wait)
        return self._native.submit_groups([self._pipeline.expand(task, self._mesh._one_device)], wait)[0]

    def submit_many(self, tasks: Iterable[Task], *, timeout: float | None = None) -> list[int]:
        """The same for many tasks, in one message where the window allows; ids in their order.

        With a timeout, may submit only the first of them: then fewer ids come back.
        """
        tasks = batch(tasks)
        wait = -1.0 if timeout is None else timeout
        if self._pipeline is None:
            return self._native.submit_many(tasks, [task.context for task in tasks], wait)
        device = self._mesh._one_device
        return self._native.submit_groups([self._pipeline.expand(task, device) for task in tasks], wait)

    def cancel(self, id: int | None = None) -> None:
        """Cancels one operation, or all; each still completes, as Cancelled unless it was done.

        Raises:
            NotFound: no such operation is outstanding.
        """
        if id is None:
            self._native.cancel_all()
        else:
            self._native.cancel(id)

    def wait(self, timeout: float | None = None) -> None:
        """Until everything submitted has completed.

        Raises:
            WaitTimeout: it had not after `timeout` seconds; the work goes on.
        """
        if not self._native.wait(-1.0 if timeout is None else timeout):
            raise WaitTimeout(f"the stream still had operations outstanding after {timeout} s")

    def close(self) -> None:
        """Cancels what is unfinished; idempotent."""
        self._native.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self.close()
