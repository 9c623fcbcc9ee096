"""Event queues: what devices and the system have to say, apart from tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qfw.qpi import waiting
from qfw.qpi.errors import Closed, InvalidArgument

if TYPE_CHECKING:
    from qfw._core import qpi as native


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a device, or, with no device named, to the runtime as a whole."""

    kind: str  #: status, fault, drain, calibration, noise
    device: str = ""
    message: str = ""
    status: str = "online"  #: of the device, after the event
    severity: str = "info"  #: info, warning, error
    calibration_set: str = ""  #: of a calibration: its id
    values: Mapping[str, float] = field(default_factory=dict)  #: figures in SI units, by the provider's names
    time: float = 0.0  #: seconds since the epoch
    sequence: int = 0  #: of the runtime, rising
    lost: int = 0  #: how many events of this queue were dropped just before this one, unread


class EventQueue:
    """Events to read; made by `Context.event_queue`. Close it, or use it as a context manager.

    Bounded: of events that are not read in time the oldest are dropped, and the next one says how many.
    """

    def __init__(self, native: native.EventQueue) -> None:
        self._native = native

    def read(self, n: int = 1, timeout: float | None = None) -> list[Event]:
        """Waits for an event, then takes up to `n`; an empty list after `timeout` seconds without one.

        Raises:
            Closed: the context or the queue was closed, and nothing is left to read.
        """
        if n < 1:
            raise InvalidArgument(f"read({n}): at least 1 event must be asked for")
        return [Event(*event) for event in self._native.read(n, -1.0 if timeout is None else timeout)]

    async def read_async(self, n: int = 1, timeout: float | None = None) -> list[Event]:
        """`read`, while the event loop goes on with other things."""
        end = waiting.Deadline(timeout)
        while True:
            events = self.read(n, timeout=0)
            if events or not await waiting.readable(self.fileno(), end):
                return events

    def __iter__(self) -> Iterator[Event]:
        """Events as they come, until the queue is closed."""
        while True:
            try:
                events = self.read(64)
            except Closed:
                return
            yield from events

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            try:
                events = await self.read_async(64)
            except Closed:
                return
            for event in events:
                yield event

    def fileno(self) -> int:
        """A descriptor that polls readable exactly while events are there, or the queue is closed. The queue's own."""
        return self._native.fd()

    def __len__(self) -> int:
        """Events there to be read."""
        return len(self._native)

    def __bool__(self) -> bool:
        return True

    def close(self) -> None:
        """Listens no more; what is there can still be read."""
        self._native.close()

    def __enter__(self) -> EventQueue:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
