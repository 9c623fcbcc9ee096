"""The leases of simulator instances, as the daemon keeps them: a pure table. A clock comes in, what is due goes out.

    expected ── register ──▶ held ── no renewal for `lapse_s` ──▶ lapsed
    (started by us,             │
     or found by a new daemon)  └── dismiss ──▶ unwanted: told to end at its next word

An instance that nobody expects is adopted or told to end, as `adopt` decides: after a daemon's death the next one meets
those of the last.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from qfw.simenv.launch.launcher import Place

RENEW_SECONDS = 1.0
LAPSE_SECONDS = 5.0
REMEMBERED = 1000  # instances that are not wanted any more


@dataclass(frozen=True)
class Registration:
    """What an instance says of itself."""

    run_id: str
    instance: str
    plugin: str
    device: str
    carrier: str
    address: str
    node: str
    pid: int
    start_time: int
    ranks: int
    threads: int
    places: tuple[Place, ...]
    memory: int = 0
    software: str = ""


@dataclass(frozen=True)
class Answer:
    """To an instance's word."""

    wanted: bool = True
    known: bool = True
    reason: str = ""


@dataclass
class _Held:
    registration: Registration
    renewed: float


class LeaseTable:
    """All leases of one daemon's life. Not thread-safe."""

    def __init__(
        self,
        run_id: str,
        adopt: Callable[[Registration], str],
        *,
        renew_s: float = RENEW_SECONDS,
        lapse_s: float = LAPSE_SECONDS,
    ) -> None:
        self.lease = secrets.token_hex(8)
        self.renew_s = renew_s
        self.lapse_s = lapse_s
        self._run_id = run_id
        self._adopt = adopt  # says why an instance is not wanted; "" takes it
        self._expected: set[str] = set()
        self._held: dict[str, _Held] = {}
        self._unwanted: dict[str, str] = {}

    def expect(self, instance: str) -> None:
        """An instance of this name is being started."""
        self._expected.add(instance)

    def register(self, registration: Registration, now: float) -> Answer:
        """An instance is ready. Again for one that is held already: it has lost the answer."""
        name = registration.instance
        if name in self._unwanted:
            return Answer(wanted=False, reason=self._unwanted[name])
        if name not in self._held:
            if reason := self._refusal(registration):
                self._remember_unwanted(name, reason)
                return Answer(wanted=False, reason=reason)
            self._expected.discard(name)
        self._held[name] = _Held(registration, now)
        return Answer()

    def _refusal(self, registration: Registration) -> str:
        if registration.run_id != self._run_id:
            return f"this is run {self._run_id}, not {registration.run_id}"
        return "" if registration.instance in self._expected else self._adopt(registration)

    def renew(self, instance: str, lease: str, now: float) -> Answer:
        """A sign of life."""
        if instance in self._unwanted:
            return Answer(wanted=False, reason=self._unwanted[instance])
        held = self._held.get(instance)
        if held is None or lease != self.lease:
            return Answer(known=False, reason="no such lease: register")
        held.renewed = now
        return Answer()

    def touch(self, instance: str, now: float) -> None:
        """A sign of life that came another way."""
        if held := self._held.get(instance):
            held.renewed = now

    def dismiss(self, instance: str, reason: str) -> None:
        """It is not wanted any more, whether it has registered or not."""
        self._expected.discard(instance)
        self._held.pop(instance, None)
        self._remember_unwanted(instance, reason)

    def leave(self, instance: str) -> None:
        """It ends by itself."""
        self._held.pop(instance, None)
        self._expected.discard(instance)

    def get(self, instance: str) -> Registration | None:
        """What a held instance said of itself."""
        held = self._held.get(instance)
        return held.registration if held else None

    def lapsed(self, now: float) -> list[Registration]:
        """Those that have not renewed in time; they stay until they are dismissed or touched."""
        return [h.registration for h in self._held.values() if now - h.renewed > self.lapse_s]

    def _remember_unwanted(self, instance: str, reason: str) -> None:
        self._unwanted[instance] = reason
        while len(self._unwanted) > REMEMBERED:
            del self._unwanted[next(iter(self._unwanted))]
