"""Waiting in an event loop: for descriptors that native objects keep readable while something is so."""

from __future__ import annotations

import asyncio
import time

from qfw.qpi.errors import WaitTimeout


class Deadline:
    """How long a wait may take, from now."""

    def __init__(self, timeout: float | None) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout

    @property
    def left(self) -> float | None:
        """Seconds; None: no end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def passed(self, words: str) -> WaitTimeout:
        """The error that says so."""
        return WaitTimeout(words)


async def readable(fd: int, end: Deadline) -> bool:
    """Until `fd` polls readable; False at the deadline. Any number of tasks may wait for one descriptor."""
    loop = asyncio.get_running_loop()
    waiters = _waiters(loop).setdefault(fd, set())
    future: asyncio.Future[None] = loop.create_future()
    if not waiters:
        loop.add_reader(fd, _wake, waiters)
    waiters.add(future)
    try:
        await asyncio.wait_for(future, end.left)
        return True
    except TimeoutError:
        return False
    finally:
        waiters.discard(future)
        if not waiters and _waiters(loop).pop(fd, None) is not None:
            loop.remove_reader(fd)


_Waiters = dict[int, set["asyncio.Future[None]"]]
_loops: dict[asyncio.AbstractEventLoop, _Waiters] = {}


def _waiters(loop: asyncio.AbstractEventLoop) -> _Waiters:
    """Who waits in this loop, by descriptor; a loop knows one callback for each."""
    for old in [known for known in _loops if known.is_closed()]:
        del _loops[old]
    return _loops.setdefault(loop, {})


def _wake(waiters: set[asyncio.Future[None]]) -> None:
    for future in waiters:
        if not future.done():
            future.set_result(None)
