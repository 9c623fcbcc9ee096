"""Where ranks really are: what probe.py said on every node, compared with the plan. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from qfw.program.errors import DeviceError
from qfw.simenv.launch.launcher import Node
from qfw.simenv.launch.reach import Reach


def compare(nodes: Sequence[Node], text: str, reach: Reach) -> tuple[Node, ...]:
    """The nodes, with CPUs and memory as the probes told in `text`, of which the one of rank i was to run on nodes[i].

    Raises DeviceError when one ran elsewhere: prte reports success also then.
    """
    said = {one["rank"]: one for line in text.splitlines() if line.startswith('{"probe"') for one in [json.loads(line)]}
    found = []
    for rank, node in enumerate(nodes):
        one = said.get(rank)
        if one is None or not _is(one, reach.name(node.name)):
            where = f"on {' = '.join(one['names'])}" if one is not None else "nowhere"
            raise DeviceError(f"rank {rank} was to run on {node.name} and ran {where}; ranks said: {text}")
        cpus, memory = node.cpus or one["cpus"], node.memory_bytes or one["memory_bytes"]
        found.append(replace(node, cpus=cpus, memory_bytes=memory))
    return tuple(found)


def missing(hosts: Sequence[Node], some: Sequence[Node]) -> str:
    """The names of those hosts that are not among `some`."""
    return ", ".join(node.name for node in hosts if node not in some)


def _is(one: Mapping[str, Any], name: str) -> bool:
    """Whether a node calls itself `name`, or that is not known before."""
    return not name or name in one["names"] or name.split(".")[0] in {own.split(".")[0] for own in one["names"]}
