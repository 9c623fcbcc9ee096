"""Tasks that belong together, on a stream and a completion queue of their own: no job sees another one's results."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from qfw.qpi.adapters.qiskit import rows
from qfw.qpi.errors import (
    Cancelled,
    ErrorAvailable,
    NotFound,
    QfwError,
    ResourceExhausted,
    Unavailable,
    WaitTimeout,
)
from qfw.qpi.jobs import JobSpec

_SLICE = 0.2  # seconds that one wait lasts: another thread may have taken what it waits for
_ANSWER = 30.0  # seconds that results which are there may take


@contextlib.contextmanager
def naming(what: str) -> Iterator[None]:
    """Puts `what` before the message of an error of qfw."""
    try:
        yield
    except QfwError as e:
        raise type(e)(f"{what}: {e}", transient=e.transient, retry_after=e.retry_after) from e


class Gathering(ABC):
    """What came of tasks, in the order of their submission; a subclass says where it comes from.

    Args:
        names: what errors call the tasks.
        parts: into how many parts each task was cut.
    """

    def __init__(self, names: Sequence[str], parts: Sequence[int]) -> None:
        self.names = tuple(names)
        self.results: list[Any] = [None] * len(parts)
        self.errors: dict[int, QfwError] = {}
        self._parts: list[list[Any]] = [[None] * count for count in parts]
        self._places = [(i, k) for i, count in enumerate(parts) for k in range(count)]
        self._missing = len(self._places)
        self._lock = threading.Lock()  # one thread may wait while others ask for the status

    def __len__(self) -> int:
        return len(self.results)

    @abstractmethod
    def poll(self) -> None:
        """Takes in what has ended, without waiting."""

    @abstractmethod
    def _read(self, count: int, timeout: float) -> None:
        """Takes in up to `count` completions; waits for them for some time at most (WaitTimeout or not)."""

    @abstractmethod
    def _cancel(self) -> None:
        """Cancels what has not ended."""

    @abstractmethod
    def _close(self) -> None:
        """Called when all have ended."""

    @property
    def done(self) -> bool:
        """Whether every task has ended, well or not."""
        self.poll()
        return self._missing == 0

    @property
    def started(self) -> bool:
        """Whether some task has ended."""
        self.poll()
        return self._missing < len(self._places)

    @property
    def cancelled(self) -> bool:
        """Whether it ended by being cancelled."""
        return self.done and any(isinstance(e, Cancelled) for e in self.errors.values())

    def _take(self, index: int, result: Any, error: QfwError | None) -> None:
        task, part = self._places[index]
        with self._lock:
            self._parts[task][part] = result
            if error is not None:
                self.errors.setdefault(task, error)
            elif all(part is not None for part in self._parts[task]):
                self.results[task] = rows.join(self._parts[task])
            self._missing -= 1
            if self._missing == 0:
                self._close()

    def wait(self, timeout: float | None) -> None:
        """Waits until all have ended.

        Raises:
            WaitTimeout: `timeout` seconds have passed; names what is missing. The work goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while missing := self._missing:
            left = math.inf if end is None else end - time.monotonic()
            if left <= 0.0:
                self.poll()
                if self._missing:
                    raise WaitTimeout(self._timeout_message(timeout))
                return
            with contextlib.suppress(WaitTimeout):  # raised here, with names, when the time has run out
                self._read(missing, min(left, _SLICE))

    def _timeout_message(self, timeout: float | None) -> str:
        missing = [self._label(i) for i, r in enumerate(self.results) if r is None and i not in self.errors]
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        return f"{len(missing)} of {len(self)} not done after {timeout} s: {', '.join(missing[:8])}{more}"

    def _label(self, index: int) -> str:
        return f"{index} ({self.names[index]!r})"

    def raise_failure(self) -> None:
        """Raises the error of the first failed task, in the device's own words, naming every failed one."""
        if not self.errors:
            return
        first = min(self.errors)
        error = self.errors[first]
        also = [self._label(i) for i in sorted(self.errors) if i != first]
        more = f" (failed as well: {', '.join(also[:8])}{' ...' if len(also) > 8 else ''})" if also else ""
        message = f"circuit {self._label(first)} of {len(self)}: {error}{more}"
        raise type(error)(message, transient=error.transient, retry_after=error.retry_after) from error

    def cancel(self) -> bool:
        """Cancels what has not ended; False when everything had."""
        if self.done:
            return False
        self._cancel()
        return True


class Batch(Gathering):
    """Submits in one message and collects in submission order.

    Args:
        context: where the queue is made.
        mesh: what runs the tasks.
        tasks: their `context` is overwritten; those of more than `max_rows` rows go out in parts.
        names: what errors call them.
        job: from the parts of each task, the name under which the runtime is to remember it, and what it gives back.
    """

    def __init__(
        self,
        context: Any,
        mesh: Any,
        tasks: Sequence[Any],
        names: Sequence[str],
        *,
        max_rows: int = 0,
        job: Callable[[list[int]], JobSpec] | None = None,
    ) -> None:
        parts = [rows.split(task, max_rows) for task in tasks]
        sizes = [len(some) for some in parts]
        super().__init__(names, sizes)
        if not tasks:
            return
        self._queue = context.completion_queue()
        self._stream = _open(mesh, self._queue, job(sizes) if job else None)
        flat = [part for some in parts for part in some]
        for i, task in enumerate(flat):
            task.context = i
        self._stream.submit_many(flat)

    def poll(self) -> None:
        while self._missing and (there := len(self._queue)):
            self._read(there, 0.0)

    def _read(self, count: int, timeout: float) -> None:
        try:
            for done in self._queue.read(count, timeout=timeout):
                self._take(done.context, done.result, None)
        except ErrorAvailable:
            with contextlib.suppress(NotFound):  # another thread took it
                failed = self._queue.readerr()
                self._take(failed.context, None, failed.error)

    def _cancel(self) -> None:
        self._stream.cancel()

    def _close(self) -> None:
        self._stream.close()


def _open(mesh: Any, queue: Any, job: JobSpec | None) -> Any:
    if job is None:
        return mesh.stream(order="parallel", completions=queue)
    try:
        return mesh.stream(order="parallel", completions=queue, job=job)
    except ResourceExhausted:  # of remembered jobs: it runs all the same, and cannot be retrieved
        return mesh.stream(order="parallel", completions=queue)


class Retrieved(Gathering):
    """A job that another process may have submitted; attached to when something of it is first asked for.

    Args:
        context: of the runtime that remembers it.
        job_id: its name.
        names, parts: as it was submitted.
    """

    def __init__(self, context: Any, job_id: str, names: Sequence[str], parts: Sequence[int]) -> None:
        super().__init__(names, parts)
        self._context = context
        self._id = job_id
        self._job: Any = None
        self._attaching = threading.Lock()

    def _attached(self) -> Any:
        with self._attaching:
            if self._job is None:
                self._job = job = self._context.attach_job(self._id)
                if job.info.tasks < len(self._places):
                    self._leave()
                    raise Unavailable(
                        f"job {self._id}: {job.info.tasks} of {len(self._places)} tasks are submitted as yet",
                        transient=True,
                        retry_after=0.1,
                    )
                self._replay(job)
            return self._job

    def _leave(self) -> None:
        self._job.close()
        self._job = None

    def _replay(self, job: Any) -> None:
        """Takes in what had ended before it was attached to: that is on its way."""
        left = job.info.completed
        while left > 0:
            read = job.read(_ANSWER)
            if not read:
                self._leave()
                raise WaitTimeout(f"job {self._id}: the runtime sent no results for {_ANSWER} s")
            left -= len(read)
            for entry in read:
                self._take(entry.place, entry.result, entry.error)

    def poll(self) -> None:
        if self._missing:
            self._read(self._missing, 0.0)

    def _read(self, count: int, timeout: float) -> None:
        job = self._attached()
        for entry in job.read(timeout) if self._missing else ():
            self._take(entry.place, entry.result, entry.error)

    def _cancel(self) -> None:
        self._attached().cancel()

    def _close(self) -> None:
        self._job.close()
