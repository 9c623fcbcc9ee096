"""Tasks that belong together, on a stream and a completion queue of their own: no job sees another one's results."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from qfw.qpi.adapters.qiskit import rows
from qfw.qpi.errors import Cancelled, ErrorAvailable, NotFound, QfwError, WaitTimeout


@contextlib.contextmanager
def naming(what: str) -> Iterator[None]:
    """Puts `what` before the message of an error of qfw."""
    try:
        yield
    except QfwError as e:
        raise type(e)(f"{what}: {e}", transient=e.transient, retry_after=e.retry_after) from e


class Batch:
    """Submits in one message and collects in submission order.

    Args:
        context: where the queue is made.
        mesh: what runs the tasks.
        tasks: their `context` is overwritten; those of more than `max_rows` rows go out in parts.
        names: what errors call them.
    """

    def __init__(
        self, context: Any, mesh: Any, tasks: Sequence[Any], names: Sequence[str], *, max_rows: int = 0
    ) -> None:
        self.names = tuple(names)
        self.results: list[Any] = [None] * len(tasks)
        self.errors: dict[int, QfwError] = {}
        parts = [rows.split(task, max_rows) for task in tasks]
        self._parts: list[list[Any]] = [[None] * len(some) for some in parts]
        self._places = [(i, k) for i, some in enumerate(parts) for k in range(len(some))]
        self._missing = len(self._places)
        self._lock = threading.Lock()  # one thread may wait while others ask for the status
        if not tasks:
            return
        self._queue = context.completion_queue()
        self._stream = mesh.stream(order="parallel", completions=self._queue)
        flat = [part for some in parts for part in some]
        for i, task in enumerate(flat):
            task.context = i
        self._stream.submit_many(flat)

    def __len__(self) -> int:
        return len(self.results)

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

    def poll(self) -> None:
        """Takes in what has ended, without waiting."""
        while self._missing and len(self._queue):
            self._read(len(self._queue), 0.0)

    def _read(self, count: int, timeout: float | None) -> None:
        """Takes in up to `count` completions; waits for all of them, an error or the timeout (WaitTimeout)."""
        try:
            for done in self._queue.read(count, timeout=timeout):
                self._take(done.context, done.result, None)
        except ErrorAvailable:
            with contextlib.suppress(NotFound):  # another thread took it
                failed = self._queue.readerr()
                self._take(failed.context, None, failed.error)

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
                self._stream.close()

    def wait(self, timeout: float | None) -> None:
        """Waits until all have ended.

        Raises:
            WaitTimeout: `timeout` seconds have passed; names what is missing. The work goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while self._missing:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0.0:
                self.poll()
                if self._missing:
                    raise WaitTimeout(self._timeout_message(timeout))
                return
            with contextlib.suppress(WaitTimeout):  # raised here, with names, when the time has run out
                self._read(self._missing, left)

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
        self._stream.cancel()
        return True
