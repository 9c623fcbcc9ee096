"""Completion queues: what came of the operations of one or more streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qfw.qpi import waiting
from qfw.qpi.device import Device
from qfw.qpi.errors import ErrorAvailable, InvalidArgument, NotFound, QfwError, failed_operation
from qfw.qpi.pipeline import Expanded
from qfw.qpi.result import Result

if TYPE_CHECKING:
    from qfw._core import qpi as native
    from qfw.qpi.context import Context

KINDS = ("task", "query", "barrier")  # by the number of the native kind

_ERROR_AVAILABLE = "the next entry is an error; take it with readerr()"


@dataclass(slots=True)
class Completion:
    """The end of one operation: `result` of a success, `error` of a failure."""

    id: int  #: what `Stream.submit` returned
    context: Any  #: the operation's own, untouched
    result: Any = None  #: a Result, or what the pipeline's last tool made of it; of several devices: their list
    error: QfwError | None = None
    kind: str = "task"  #: task, query, barrier
    results: list[Any] = field(default_factory=list)  #: one per device of an `all` mesh, in its order; else the one
    devices: list[Device] = field(default_factory=list)  #: of a query: as they were then


class CompletionQueue:
    """Completions to read; made by `Context.completion_queue`. Sequential streams complete in order.

    Successes and errors are never mixed: `read` gives successes, and raises ErrorAvailable when the head of the queue
    is an error, which `readerr` takes. Iterating, with `for` or `async for`, gives successes until nothing is
    outstanding, and raises ErrorAvailable likewise; after `readerr` it may be gone on with.
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
        return [self._completion(entry) for entry in entries]

    def _completion(self, entry: native.Entry) -> Completion:
        id, kind, context, natives, devices, _ = entry
        if len(natives) == 1:
            result = Result(natives[0])
            return Completion(id, context, result, results=[result])
        if natives:
            results = [Result(each) for each in natives]
            return Completion(id, context, results, results=results)
        found = [Device.of(device, self._context) for device in devices or ()]
        return Completion(id, context, kind=KINDS[kind], devices=found)

    def _read_reduced(self, n: int, wait: float) -> list[Completion]:
        """One by one: a tool that cannot reduce makes an error of its own operation, and those behind it wait."""
        done: list[Completion] = []
        entries = self._native.read(n, 1, wait)
        while entries:
            entry = entries[0]
            expanded = entry[2]
            if not isinstance(expanded, Expanded):
                done.append(self._completion(entry))
            else:
                try:
                    result = expanded.reduce(entry[3])
                except QfwError as error:
                    self._native.put_back(entry[0], expanded.context, error.code, str(error))
                    entries = None
                    break
                results = result if expanded.places else [result]
                done.append(Completion(entry[0], expanded.context, result, results=results))
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
        id, kind, context, natives, _, failure = entry
        if isinstance(context, Expanded):
            context = context.context
        results = [Result(native) for native in natives]
        failed = next((result for result in results if result.error is not None and len(result)), None)
        assert failure is not None
        return Completion(id, context, failed, failed_operation(failure, failed), KINDS[kind], results)

    async def read_async(self, n: int = 1, timeout: float | None = None) -> list[Completion]:
        """`read`, while the event loop goes on with other things."""
        if n < 1:
            raise InvalidArgument(f"read_async({n}): at least 1 completion must be asked for")
        end = waiting.Deadline(timeout)
        done: list[Completion] = []
        while len(done) < n:
            try:
                done += self.read(n - len(done), timeout=0)
            except ErrorAvailable:
                if done:
                    return done
                raise
            if len(done) == n or (done and self.outstanding == 0 and len(self) == 0):
                break
            if not await waiting.readable(self.fileno(), end):
                if done:
                    return done
                raise end.passed(f"no completion was there after {timeout} s, {self.outstanding} are outstanding")
        return done

    def __iter__(self) -> Iterator[Completion]:
        while self.outstanding or len(self):
            yield from self.read(1)

    async def __aiter__(self) -> AsyncIterator[Completion]:
        while self.outstanding or len(self):
            for completion in await self.read_async(1):
                yield completion

    def wait(self, timeout: float | None = None) -> bool:
        """Until an entry is there; False when the time ran out or `signal` was called."""
        return self._native.wait(-1.0 if timeout is None else timeout)

    def signal(self) -> None:
        """Wakes every thread that waits for this queue."""
        self._native.signal()

    def fileno(self) -> int:
        """A descriptor that polls readable exactly while entries are there, or the queue is closed. The queue's own."""
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


Completions = CompletionQueue | Mapping[str, CompletionQueue] | None  #: what `Mesh.stream` takes


def by_kind(completions: Completions) -> dict[str, CompletionQueue]:
    """The queues of a stream by kind: "task", "query", "barrier", "error".

    Raises:
        InvalidArgument: another kind.
    """
    if completions is None:
        return {}
    if isinstance(completions, CompletionQueue):
        return {"task": completions}
    for kind in completions:
        if kind not in (*KINDS, "error"):
            raise InvalidArgument(f"completions of {kind!r}; allowed: {', '.join(KINDS)}, error")
    return dict(completions)
