"""One interface over the ways to start processes on nodes: a Launcher starts an Instance and is told when it ends.

`local` starts them on this machine, `prte` as PMIx jobs of a PRTE DVM, `slurm` as job steps. One conformance suite,
tests/conformance/test_launchers.py, holds for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol


@dataclass(frozen=True)
class Node:
    """A host that instances run on."""

    name: str
    slots: int  # ranks that it takes
    cpus: int = 0  # 0: not known
    memory_bytes: int = 0  # 0: not known


@dataclass(frozen=True)
class Place:
    """Ranks of one instance on one node."""

    node: str
    ranks: int = 1
    cpus: tuple[int, ...] = ()  # its ranks are pinned to, of those we may use there; empty: not pinned


@dataclass(frozen=True)
class InstanceSpec:
    """What to start: `argv` once per rank, the ranks numbered in the order of `places`."""

    name: str  # for logs and messages
    argv: tuple[str, ...]
    places: tuple[Place, ...]
    env: Mapping[str, str] = field(default_factory=dict)  # added to the launcher's own environment

    @property
    def ranks(self) -> int:
        return sum(place.ranks for place in self.places)


class Instance(Protocol):
    """A simulator instance that was started: one process, or the ranks of one MPI job. Thread-safe."""

    spec: InstanceSpec

    @property
    def carried_off(self) -> bool:
        """Whether it ended because what carried it (a DVM) did, through no fault of its own."""

    def alive(self) -> bool:
        """Whether it runs, as far as the launcher knows: a lost event is found by the instance's lease."""

    def wait(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for its end; True when it has ended."""

    def describe_end(self) -> str:
        """How it ended and its last words, for an error message."""

    def stop(self, grace: float = 2.0) -> None:
        """Ends all of its ranks: asks, and kills after `grace` seconds. Idempotent."""


class Launcher(Protocol):
    """Starts instances. Thread-safe."""

    name: ClassVar[str]
    max_ranks: int  # of one instance; 1 where there is no MPI

    @property
    def generation(self) -> int:
        """Counts how often what carries the instances (a DVM) was started: those of an older generation are gone."""

    def nodes(self) -> Sequence[Node]:
        """The nodes that can be used now; a lost one is left out."""

    def start(self, spec: InstanceSpec) -> Instance:
        """Starts an instance and returns at once, before it is ready to serve.

        Raises ResourceExhausted for more ranks than a node has slots, DeviceError when it cannot be started.
        """

    def close(self) -> None:
        """Ends every instance and what carries them; nothing is left behind. Idempotent."""
