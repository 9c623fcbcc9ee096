"""Completion queues: what came of the operations of one or more streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qfw.qpi.errors import ErrorAvailable, InvalidArgument, NotFound, QfwError, task_error
from qfw.qpi.pipeline import Expanded
from qfw.qpi.result import Result

if TYPE_CHECKING:
    from qfw._core import qpi as native
    from qfw.qpi.context import Context


_ERROR_AVAILABLE = "the next entry is an error; take it with readerr()"


@dataclass(slots=True)
class Completion:
    """The end of one operation: `result` of a success, `error` of a failure."""

    id: int  #: what `Stream.submit` returned
    context: Any  #: the task's own, untouched
    result: Any = None  #: a Result, or what the pipeline's last tool made of it
    error: QfwError | None = None


class CompletionQueue:
    """Completions to read; made by `Context.completion_queue`. Sequential streams complete in order.

    Successes and errors are never mixed: `read` gives successes, and raises ErrorAvailable when the head of the queue
    is an error, which `readerr` takes.
    """

    def __init__(self, context: Context, native: native.CompletionQueue) -> None:
        self._context = context
        self._native = native
        self._tools = False  # whether a stream with a pipeline completes here

    def read(self, n: int = 1, timeout: float | None = None) -> list[Completion]:
        """Waits for `n` successes and takes them.

        Returns fewer when an error comes first (the next call raises ErrorAvailable), or when nothing more is
        outstanding, or when another thread calls `signal`; with `timeout=0` what there is, perhaps nothing.

        Raises:
            ErrorAvailable: the head of the queue is an error.
            WaitTimeout: fewer than `n` were there after `timeout` seconds; they stay in the queue.
            Closed: the context or the queue was closed, and nothing is left to read.
        """
        if n < 1:
            raise InvalidArgument(f"read({n}): at least 1 completion must be asked for")
        wait = -1.0 if timeout is None else timeout
        if self._tools:
            return self._read_reduced(n, wait)
        entries = self._native.read(n, n, wait)
        if entries is None:
            raise ErrorAvailable(_ERROR_AVAILABLE)
        return [Completion(id, context, Result(natives[0])) for id, context, natives in entries]

    def _read_reduced(self, n: int, wait: float) -> list[Completion]:
        """One by one: a tool that cannot reduce makes an error of its own operation, and those behind it wait."""
        done: list[Completion] = []
        entries = self._native.read(n, 1, wait)
        while entries:
            id, context, natives = entries[0]
            if not isinstance(context, Expanded):
                done.append(Completion(id, context, Result(natives[0])))
            else:
                try:
                    done.append(Completion(id, context.context, context.reduce(natives)))
                except QfwError as error:
                    self._native.put_back(id, context.context, error.code, str(error))
                    entries = None
                    break
            if len(done) == n:
                return done
            entries = self._native.read(1, 1, 0.0)
        if entries is None and not done:
            raise ErrorAvailable(_ERROR_AVAILABLE)
        return done

    def readerr(self) -> Completion:
        """Takes the error at the head of the queue.

        Raises:
            NotFound: the head of the queue is not an error.
        """
        entry = self._native.read_error()
        if entry is None:
            raise NotFound("the head of the queue is not an error")
        operation, context, natives = entry
        if isinstance(context, Expanded):
            context = context.context
        failed = next(native for native in natives if native.failed)
        result = Result(failed) if len(failed) else None
        return Completion(operation, context, result, task_error(failed, result))

    def wait(self, timeout: float | None = None) -> bool:
        """Until an entry is there; False when the time ran out or `signal` was called."""
        return self._native.wait(-1.0 if timeout is None else timeout)

    def signal(self) -> None:
        """Wakes every thread that waits for this queue."""
        self._native.signal()

    def fileno(self) -> int:
        """A descriptor that polls readable exactly while entries are there. It belongs to the queue."""
        return self._native.fd()

    def __len__(self) -> int:
        """Entries there to be read."""
        return len(self._native)

    def __bool__(self) -> bool:
        return True

    @property
    def outstanding(self) -> int:
        """Operations whose completion is still to come."""
        return self._native.outstanding

    def close(self) -> None:
        """Wakes waiting threads with Closed; what is there can still be read."""
        self._native.close()
