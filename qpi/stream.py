"""Streams: ordered or parallel sequences of operations on a mesh."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from qfw.qpi import waiting
from qfw.qpi.device import Device
from qfw.qpi.errors import InvalidArgument, ResourceExhausted, WaitTimeout
from qfw.qpi.pipeline import Expanded, ToolPipeline, expand
from qfw.qpi.task import Task, batch, not_a_task

if TYPE_CHECKING:
    from qfw._core import qpi as native


class Stream:
    """Made by `Mesh.stream` or `Device.stream`. As a context manager it waits for what it was given, and cancels it
    after an exception."""

    def __init__(
        self, native: native.Stream, devices: Sequence[Device], on_all: bool, pipeline: ToolPipeline | None
    ) -> None:
        self._native = native
        self._devices = devices
        self._on_all = on_all
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
        return self._native.submit_groups([self._expand(task)], wait)[0]

    def submit_many(self, tasks: Iterable[Task], *, timeout: float | None = None) -> list[int]:
        """The same for many tasks, in one message where the window allows; ids in their order.

        With a timeout, may submit only the first of them: then fewer ids come back.
        """
        tasks = batch(tasks)
        wait = -1.0 if timeout is None else timeout
        if self._pipeline is None:
            return self._native.submit_many(tasks, [task.context for task in tasks], wait)
        return self._native.submit_groups([self._expand(task) for task in tasks], wait)

    def _expand(self, task: Task) -> Expanded:
        assert self._pipeline is not None
        return expand(self._pipeline, task, self._devices, self._on_all)

    async def submit_async(self, task: Task, *, timeout: float | None = None) -> int:
        """`submit`, while the event loop goes on with other things as long as the window is full."""
        end = waiting.Deadline(timeout)
        while True:
            try:
                return self.submit(task, timeout=0)
            except ResourceExhausted as full:  # of the window; a full queue says so at once
                if not full.transient or not str(full).startswith("no credit"):
                    raise
                if not await waiting.readable(self._native.credit_fd(), end):
                    raise

    def query(self, *devices: Device | str, context: Any = None, timeout: float | None = None) -> int:
        """Asks what devices (none given: all of the stream) are like, as an operation of the stream: its completion has
        them as `.devices`. In a parallel stream that is at once, in a sequential one when all before it has ended.

        Raises:
            InvalidArgument: a device that is not one of the stream's. Otherwise as `submit`.
        """
        known = {device.name: device for device in self._devices}
        ids = []
        for device in devices:
            name = device if isinstance(device, str) else device.name
            if name not in known:
                raise InvalidArgument(f"the device {name!r} is not of this stream, which has: {', '.join(known)}")
            ids.append(known[name].id)
        return self._native.query(ids, context, -1.0 if timeout is None else timeout)

    def barrier(self, *, context: Any = None, timeout: float | None = None) -> int:
        """An operation that completes when everything submitted to the stream before has; what comes after it waits
        until then. Raises as `submit`."""
        return self._native.barrier(context, -1.0 if timeout is None else timeout)

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
