"""The slots of a launcher's nodes: never more ranks than slots, unless asked. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from qfw.program.errors import InvalidArgument, ResourceExhausted
from qfw.simenv.launch.launcher import InstanceSpec, Node


class Slots:
    """Counts the ranks on every node. Not thread-safe."""

    def __init__(self, nodes: Sequence[Node], *, oversubscribe: bool = False) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._used: Counter[str] = Counter()
        self._oversubscribe = oversubscribe

    def take(self, spec: InstanceSpec) -> None:
        """Counts an instance in.

        Raises InvalidArgument for an instance of nothing, ResourceExhausted for an unknown node or more ranks than it
        has slots: transient when the slots are only taken.
        """
        if not spec.argv or spec.ranks < 1 or any(place.ranks < 1 for place in spec.places):
            raise InvalidArgument(f"instance {spec.name}: a command and at least one rank in every place are needed")
        wanted: Counter[str] = Counter()
        for place in spec.places:
            wanted[place.node] += place.ranks
        for name, ranks in wanted.items():
            self._check(spec.name, name, ranks)
        self._used += wanted

    def give(self, spec: InstanceSpec) -> None:
        """Counts an instance out."""
        for place in spec.places:
            self._used[place.node] -= place.ranks

    def _check(self, instance: str, name: str, ranks: int) -> None:
        node = self._nodes.get(name)
        if node is None:
            known = ", ".join(self._nodes) or "none"
            raise ResourceExhausted(f"instance {instance}: node {name} cannot be used; nodes are {known}")
        free = node.slots - self._used[name]
        if ranks > free and not self._oversubscribe:
            slots = f"of whose {node.slots} slots {max(0, free)} are free"
            message = f"instance {instance}: {ranks} ranks on node {name}, {slots}"
            raise ResourceExhausted(message, transient=ranks <= node.slots)
