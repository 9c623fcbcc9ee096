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
    """The nodes, with CPUs and memory as the probes told in `text`.

    Raises DeviceError when no rank ran on one of them: prte reports success also when it sits on other nodes.
    """
    said = [json.loads(line) for line in text.splitlines() if line.startswith('{"probe"')]
    left, found = list(said), []
    for node in nodes:
        name = reach.name(node.name)
        match = next((one for one in left if not name or _called(one["names"], name)), None)
        if match is None:
            raise DeviceError(_elsewhere(nodes, node, said, text))
        left.remove(match)
        cpus, memory = node.cpus or match["cpus"], node.memory_bytes or match["memory_bytes"]
        found.append(replace(node, cpus=cpus, memory_bytes=memory))
    return tuple(found)


def missing(hosts: Sequence[Node], some: Sequence[Node]) -> str:
    """The names of those hosts that are not among `some`."""
    return ", ".join(node.name for node in hosts if node not in some)


def _called(names: Sequence[str], name: str) -> bool:
    return name in names or name.split(".")[0] in {one.split(".")[0] for one in names}


def _elsewhere(nodes: Sequence[Node], node: Node, said: Sequence[Mapping[str, Any]], text: str) -> str:
    ran = "; ".join(sorted(" = ".join(one["names"]) for one in said))
    where = f"they ran on {ran}" if ran else f"they ran nowhere, and said: {text}"
    return f"ranks were to run on {', '.join(one.name for one in nodes)}, and none ran on {node.name}: {where}"
