"""Which instances a daemon has, on disk: for the daemon that comes after it, and for those who clean up."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qfw.program.errors import InvalidArgument
from qfw.qpm.leases import Registration
from qfw.qpm.run import Process, write_json
from qfw.simenv.launch.launcher import InstanceSpec, Place


@dataclass(frozen=True)
class Record:
    """An instance whose first rank is on its daemon's node."""

    instance: str
    device: str
    plugin: str
    carrier: str
    places: tuple[Place, ...]
    node: str  # of the daemon
    process: Process | None = None  # of the first rank


class Leases(Protocol):
    def dismiss(self, instance: str, reason: str) -> None: ...


def write(directory: Path, record: Record, registration: Registration | None) -> None:
    """Notes an instance that registered."""
    if registration is None:
        return
    content = {
        "instance": record.instance,
        "device": record.device,
        "plugin": record.plugin,
        "carrier": record.carrier,
        "places": [place_text(p) for p in record.places],
        "node": record.node,
        "pid": registration.pid,
        "start_time": registration.start_time,
    }
    with contextlib.suppress(FileNotFoundError):  # the run's directory was removed
        write_json(directory / f"{record.instance}.json", content)


def read(directory: Path, device: str = "") -> list[Record]:
    """Those that were noted, of one device or of all."""
    found = []
    for file in sorted(directory.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # half written, or gone
            item = json.loads(file.read_text())
            places = tuple(parse_place(text) for text in item["places"])
            process = Process(int(item["pid"]), int(item["start_time"]))
            names = {key: str(item[key]) for key in ("instance", "device", "plugin", "carrier", "node")}
            found.append(Record(**names, places=places, process=process))
    return [r for r in found if not device or r.device == device]


def remove(directory: Path, record: Record) -> None:
    (directory / f"{record.instance}.json").unlink(missing_ok=True)


def place_text(place: Place) -> str:
    """ "node:ranks:0,1" """
    return f"{place.node}:{place.ranks}:{','.join(map(str, place.cpus))}"


def parse_place(text: str) -> Place:
    """Of `place_text`; raises InvalidArgument."""
    try:
        node, ranks, cpus = text.rsplit(":", 2)
        return Place(node, int(ranks), tuple(int(c) for c in cpus.split(",") if c))
    except ValueError:
        raise InvalidArgument(f"{text!r} is not a place: NODE:RANKS:CPU,CPU,...") from None


class Adopted:
    """An instance that another daemon started, on this node: known by its process, told to end by its lease."""

    def __init__(self, registration: Registration, record: Record, leases: Leases) -> None:
        self.spec = InstanceSpec(record.instance, (), record.places)
        self._process = Process(registration.pid, registration.start_time)
        self._leases = leases

    @property
    def carried_off(self) -> bool:
        return False

    def alive(self) -> bool:
        return self._process.alive()

    def wait(self, timeout: float) -> bool:
        return wait_until(lambda: not self.alive(), timeout)

    def describe_end(self) -> str:
        how = "is still running" if self.alive() else "has ended; its output went to the daemon that started it"
        return f"process {self._process.pid} {how}"

    def stop(self, grace: float = 2.0) -> None:
        self._leases.dismiss(self.spec.name, "it is not needed")
        self._process.end(grace)


def wait_until(condition: Callable[[], bool], timeout: float, step: float = 0.02) -> bool:
    """Looks again and again; False after `timeout` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(step)
    return True
