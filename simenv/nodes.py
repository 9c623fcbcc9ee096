"""Slots, cores and memory of the nodes that instances run on: what is taken, what is free, where R ranks go.

Pure: it starts nothing and locks nothing. A slot takes one rank; it has its own share of its node's cores (the CPUs
that its rank is pinned to, counted from 0 among those that the node gives us) and of the node's memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qfw.program.errors import InvalidArgument, ResourceExhausted
from qfw.simenv.launch.launcher import Node, Place

RETRY_AFTER = 0.2  # seconds
UNBOUNDED = 1 << 30  # ranks


@dataclass
class _Room:
    """A node, and how many ranks each of its slots has."""

    node: Node
    ranks: list[int]
    memory: int = 0  # bytes, asked for by the ranks that are there
    lost: bool = False

    @property
    def free(self) -> int:
        return self.ranks.count(0)

    def fits(self, memory: int) -> int:
        """How many more ranks of `memory` bytes each its memory takes."""
        if not memory or not self.node.memory_bytes:
            return UNBOUNDED
        return max(0, (self.node.memory_bytes - self.memory) // memory)


@dataclass(frozen=True)
class Grant:
    """Slots that somebody has, until they are given back."""

    places: tuple[Place, ...]
    memory: int  # bytes of each rank
    slots: tuple[tuple[_Room, int], ...] = field(repr=False)

    @property
    def ranks(self) -> int:
        return len(self.slots)


def cpus_of(node: Node, slot: int) -> tuple[int, ...]:
    """The CPUs of one slot: a share of their own, or one shared where there are more slots than CPUs."""
    if node.cpus <= 0:
        return ()
    first = slot * node.cpus // node.slots
    return tuple(range(first, max(first + 1, (slot + 1) * node.cpus // node.slots)))


def parse_hosts(text: str) -> tuple[Node, ...]:
    """Of "n1:4,n2:4": names and slots; one slot where no number is given. Raises InvalidArgument."""
    nodes = []
    for item in text.split(","):
        name, colon, number = item.strip().partition(":")
        if not name or (colon and (not number.isdecimal() or int(number) == 0)):
            raise InvalidArgument(f"{item!r} in the hosts {text!r} is not NAME or NAME:SLOTS")
        nodes.append(Node(name, int(number or 1)))
    if len({n.name for n in nodes}) < len(nodes):
        raise InvalidArgument(f"the hosts {text!r} name one twice")
    return tuple(nodes)


class Nodes:
    """The slots of all nodes. Not thread-safe."""

    def __init__(self, nodes: Sequence[Node], *, oversubscribe: bool = False) -> None:
        self._rooms: dict[str, _Room] = {}
        self._oversubscribe = oversubscribe  # more ranks than slots are wanted
        self.update(nodes)

    @property
    def total(self) -> int:
        return sum(r.node.slots for r in self._rooms.values())

    @property
    def free(self) -> int:
        return sum(r.free for r in self._rooms.values())

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(room.node for room in self._rooms.values())

    def update(self, nodes: Sequence[Node]) -> None:
        """The nodes that can be used from now on. One that left takes its grants with it: what is given back there has
        no effect, and when it returns all of its slots are free."""
        wanted = {n.name: n for n in nodes}
        for name in [n for n, room in self._rooms.items() if wanted.get(n) != room.node]:
            self._rooms.pop(name).lost = True
        for name, node in wanted.items():
            if node.slots < 1:
                raise InvalidArgument(f"node {name} has {node.slots} slots; it needs at least 1")
            self._rooms.setdefault(name, _Room(node, [0] * node.slots))

    def largest(self, memory: int = 0) -> int:
        """The most ranks of `memory` bytes each that an instance can have when nothing else runs."""
        return sum(
            min(r.node.slots, r.node.memory_bytes // memory if memory and r.node.memory_bytes else r.node.slots)
            for r in self._rooms.values()
        )

    def take(self, ranks: int, memory: int = 0) -> Grant:
        """Slots for `ranks` ranks of `memory` bytes each (0: not asked for).

        One rank goes to the node with the most free slots. Several go to one node where they fit, the fullest such
        one; else to as few nodes as possible. Raises ResourceExhausted, transient when others have the slots.
        """
        if ranks < 1:
            raise InvalidArgument(f"{ranks} ranks; at least 1")
        rooms = list(self._rooms.values())
        able = {r.node.name: min(r.free, r.fits(memory)) for r in rooms}
        if sum(able.values()) < ranks:
            if self._oversubscribe and rooms and sum(r.fits(memory) for r in rooms) >= ranks:
                return self._pile(ranks, memory)
            raise self._exhausted(ranks, memory)
        return self._grant(_spread(ranks, rooms, able), memory)

    def claim(self, places: Sequence[Place], memory: int = 0) -> Grant:
        """Exactly these places: those of an instance that runs already. Raises ResourceExhausted when not free."""
        taken: list[tuple[_Room, int]] = []
        for place in places:
            room = self._rooms.get(place.node)
            slots = [] if room is None else self._slots_of(room, place)
            if room is None or len(slots) < place.ranks:
                free = "is not there" if room is None else f"has {room.free} of {room.node.slots} slots free"
                raise ResourceExhausted(f"{place.ranks} ranks on node {place.node}, which {free}")
            taken += [(room, slot) for slot in slots]
        return self._occupy(taken, memory)

    def give(self, grant: Grant) -> None:
        """Gives slots back. Once for each grant."""
        for room, slot in grant.slots:
            if not room.lost:
                if room.ranks[slot] <= 0:
                    raise InvalidArgument(f"slot {slot} of node {room.node.name} is given back twice")
                room.ranks[slot] -= 1
                room.memory -= grant.memory

    def describe(self) -> str:
        """For messages: what is free where."""
        return ", ".join(f"{r.node.name} {r.free} of {r.node.slots}" for r in self._rooms.values()) or "no nodes"

    def _slots_of(self, room: _Room, place: Place) -> list[int]:
        """The free slots with the CPUs of `place`; any where it is not pinned."""
        free = [s for s, n in enumerate(room.ranks) if n == 0]
        own = [s for s in free if not place.cpus or set(cpus_of(room.node, s)) <= set(place.cpus)]
        return own[: place.ranks]

    def _pile(self, ranks: int, memory: int) -> Grant:
        """More ranks than slots: each to the slot that has the fewest."""
        load = {name: list(room.ranks) for name, room in self._rooms.items()}
        left = {name: room.fits(memory) for name, room in self._rooms.items()}
        chosen: list[tuple[_Room, int]] = []
        for _ in range(ranks):
            options = [(n, slot, name) for name in load if left[name] for slot, n in enumerate(load[name])]
            _, slot, name = min(options, key=lambda o: o[0])
            load[name][slot] += 1
            left[name] -= 1
            chosen.append((self._rooms[name], slot))
        return self._occupy(sorted(chosen, key=lambda c: c[0].node.name), memory)

    def _grant(self, shares: dict[str, int], memory: int) -> Grant:
        chosen = []
        for name, count in shares.items():
            room = self._rooms[name]
            chosen += [(room, s) for s in [s for s, n in enumerate(room.ranks) if n == 0][:count]]
        return self._occupy(chosen, memory)

    def _occupy(self, chosen: list[tuple[_Room, int]], memory: int) -> Grant:
        for room, slot in chosen:
            room.ranks[slot] += 1
            room.memory += memory
        slots: dict[str, list[int]] = {}
        for room, slot in chosen:
            slots.setdefault(room.node.name, []).append(slot)
        places = tuple(
            Place(name, len(own), tuple(sorted({c for s in own for c in cpus_of(self._rooms[name].node, s)})))
            for name, own in slots.items()
        )
        return Grant(places, memory, tuple(chosen))

    def _exhausted(self, ranks: int, memory: int) -> ResourceExhausted:
        each = f" of {memory} bytes each" if memory else ""
        largest = self.largest(memory)
        if ranks > largest:
            room = f", with room for {largest} of them" if memory else ""
            return ResourceExhausted(
                f"{ranks} ranks{each} are wanted; there are {self.total} slots{room} on {len(self._rooms)} nodes "
                f"({self.describe()} free)"
            )
        return ResourceExhausted(
            f"{ranks} slots{each} are wanted, {self.free} of {self.total} are free ({self.describe()})",
            transient=True,
            retry_after=RETRY_AFTER,
        )


def _spread(ranks: int, rooms: Sequence[_Room], able: dict[str, int]) -> dict[str, int]:
    """How many ranks each node gets; the sum of `able` suffices."""
    most = sorted(able, key=lambda name: -able[name])
    if ranks == 1:
        return {most[0]: 1}
    alone = [name for name in able if able[name] >= ranks]
    if alone:
        return {min(alone, key=lambda name: able[name]): ranks}
    shares: dict[str, int] = {}
    for name in most:
        count = min(able[name], ranks - sum(shares.values()))
        if count:
            shares[name] = count
    order = [r.node.name for r in rooms]
    return {name: shares[name] for name in sorted(shares, key=order.index)}
