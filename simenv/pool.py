"""Who gets the slots: a pure policy over `Nodes`. Devices come with their floor (instances kept warm) and ceiling.

A device that finds no free slot waits, and somebody else is asked to give an idle instance back. What is free is kept
for those who wait and hold less: one with many instances cannot take again what it has just given back for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qfw.program.errors import ResourceExhausted
from qfw.simenv.launch.launcher import Place
from qfw.simenv.nodes import RETRY_AFTER, Grant, Nodes

PATIENCE = 6.0  # seconds after which a device that did not ask again waits no more; pools ask every 5 s


@dataclass(frozen=True)
class Limits:
    """Of one device, in instances."""

    floor: int = 0  # kept when idle
    ceiling: int = 0  # at most; 0: what the slots allow


@dataclass
class _Wait:
    ranks: int
    memory: int
    since: float
    asked: float


@dataclass
class _Share:
    limits: Limits
    grants: list[Grant] = field(default_factory=list)
    wait: _Wait | None = None

    @property
    def slots(self) -> int:
        return sum(g.ranks for g in self.grants)


class Pool:
    """The slots that each device holds, and who waits for more. Not thread-safe; `now` is any clock that only grows."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self._shares: dict[str, _Share] = {}

    def add(self, device: str, limits: Limits | None = None) -> None:
        """A device that will ask for slots."""
        self._shares[device] = _Share(limits or Limits())

    def take(self, device: str, ranks: int, now: float, memory: int = 0) -> Grant:
        """Slots for one more instance of `device`.

        Raises ResourceExhausted: transient when others hold or wait for what is wanted, in which case `device` waits
        and `donors` says whom to ask.
        """
        share = self._shares[device]
        ceiling = share.limits.ceiling
        if ceiling and len(share.grants) >= ceiling:
            raise ResourceExhausted(
                f"device {device} has {len(share.grants)} instances, and may have {ceiling}",
                transient=True,
                retry_after=RETRY_AFTER,
            )
        self._expire(now)
        try:
            self._keep_free(device, ranks, now)
            grant = self.nodes.take(ranks, memory)
        except ResourceExhausted as error:
            if error.transient:
                since = share.wait.since if share.wait else now
                share.wait = _Wait(ranks, memory, since, now)
            raise
        share.wait = None
        share.grants.append(grant)
        return grant

    def claim(self, device: str, places: Sequence[Place], memory: int = 0) -> Grant:
        """The slots of an instance that runs already; raises ResourceExhausted when somebody has them."""
        grant = self.nodes.claim(places, memory)
        self._shares[device].grants.append(grant)
        return grant

    def give(self, device: str, grant: Grant) -> None:
        """Gives the slots of one instance back."""
        self._shares[device].grants.remove(grant)
        self.nodes.give(grant)

    def withdraw(self, device: str) -> None:
        """`device` waits no more."""
        self._shares[device].wait = None

    def held(self, device: str) -> int:
        """Instances of `device`."""
        return len(self._shares[device].grants)

    def waiting(self, now: float) -> tuple[str, ...]:
        """The devices that wait, the one that comes first first."""
        self._expire(now)
        return tuple(sorted((d for d, s in self._shares.items() if s.wait), key=self._rank))

    def donors(self, device: str) -> tuple[str, ...]:
        """Whom to ask for an idle instance on behalf of `device`, which waits: the one that holds the most first.

        Floors are kept, unless nobody is above its floor and `device` has nothing at all (or wants more slots than
        all of its instances have: then its own are asked back too).
        """
        share = self._shares[device]
        if share.wait is None:
            return ()
        holders = sorted((d for d, s in self._shares.items() if s.grants), key=lambda d: -self._shares[d].slots)
        others = [d for d in holders if d != device]
        own = [device] if share.grants and all(g.ranks < share.wait.ranks for g in share.grants) else []
        above = [d for d in others if len(self._shares[d].grants) > self._shares[d].limits.floor]
        if above or (share.grants and not own):
            return (*above, *own)
        return (*own, *others)

    def greedy(self, device: str) -> tuple[str, ...]:
        """Those of `donors(device)` that are to give an instance up even though it is busy, after its task: all when
        `device` has nothing, else those that hold more than an equal share while it holds less."""
        mine = self._shares[device].slots
        found = tuple(d for d in self.donors(device) if d != device)
        if mine == 0:
            return found
        claimants = sum(1 for s in self._shares.values() if s.grants or s.wait)
        equal = self.nodes.total / claimants
        return tuple(d for d in found if mine < equal < self._shares[d].slots)

    def _keep_free(self, device: str, ranks: int, now: float) -> None:
        """Raises ResourceExhausted when what is free is meant for others who wait and come before `device`."""
        mine = self._shares[device]
        rank = self._rank(device, now)
        kept = sum(s.wait.ranks for d, s in self._shares.items() if s is not mine and s.wait and self._rank(d) < rank)
        free = self.nodes.free
        if kept and free - kept < ranks:
            raise ResourceExhausted(
                f"{ranks} slots are wanted; of the {free} that are free {kept} are kept for devices that wait",
                transient=True,
                retry_after=RETRY_AFTER,
            )

    def _rank(self, device: str, now: float = 0.0) -> tuple[int, float]:
        """Who comes first: whoever holds less, then whoever waits longer."""
        share = self._shares[device]
        return share.slots, share.wait.since if share.wait else now

    def _expire(self, now: float) -> None:
        for share in self._shares.values():
            if share.wait and now - share.wait.asked > PATIENCE:
                share.wait = None
