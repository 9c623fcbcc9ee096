"""How plugins are found and their devices put into a runtime.

A plugin that cannot be imported, or lacks its packages, becomes a device that says so; it never harms the others.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from qfw.program.errors import InvalidArgument, ResourceExhausted
from qfw.qpm.instance_process import InstanceProcess
from qfw.qpm.instances import Fleet
from qfw.qpm.plugin import DeviceEvent, DeviceSpec, Plugin
from qfw.qpm.run import Process as Recorded
from qfw.qpm.run import write_json
from qfw.simenv.launch import local

GROUP = "qfw.qpm_plugins"
BUILTIN = {name: f"qfw.qpm.plugins.{name}:plugin" for name in ("statevec", "aer", "stim", "nwqsim")}

MAX_WORKERS = 8  # of a device that leaves the number to us
READY_TIMEOUT = 60.0  # seconds that a worker may take to import its provider's packages

log = logging.getLogger("qfw.qpm.host")
_numbers = itertools.count(1)  # of sockets


@dataclass(frozen=True)
class Found:
    """An announced plugin: loaded, or the reason why not."""

    name: str
    value: str  # "module:attribute"
    plugin: Plugin | None
    reason: str = ""  # why its devices cannot be used
    specs: tuple[DeviceSpec, ...] = ()


class Process(Protocol):
    """One instance at a time of a device, as the runtime's pool starts and stops it. Called on threads of the pool,
    without the global lock's being held over waits; `stop` may come while `start` waits, which then raises."""

    tls: Mapping[str, str]  # files of a "host:port" address: ca, certificate, key, server_name; empty for "unix:/path"

    def start(self, ranks: int) -> str:
        """Starts an instance of `ranks` ranks and returns its address once it serves. Ends what is left of an earlier
        one first. Raises ResourceExhausted, transient, while there are no slots for it: it is asked again later, and
        when `slots_freed` is told. What else it raises counts as a death."""

    def stop(self) -> None:
        """Ends the instance and gives its slots back; returns when that is done. Idempotent."""

    def last_words(self) -> str:
        """How the instance ended, for the error of the tasks that it took with it; `stop` follows."""


class DeviceTable(Protocol):
    """The part of `qfw._core.qpm.Runtime` that the host uses."""

    def add_statevec(self, name: str = ...) -> int: ...

    def add_workers(self, info: dict[str, Any], workers: Sequence[Process], policy: Mapping[str, Any] = ...) -> int:
        """A device served by a pool of instances. There are never more than there are `workers`, each of which runs one
        instance at a time; the pool says when, and of how many ranks.

        `policy`: floor (instances kept up, 0), idle_s (seconds without work after which one beyond the floor is
        stopped; 0: never), max_ranks (of an instance, 1), node_bytes and rank_bytes (memory that an instance of one
        rank, and each rank of a larger one, may take; 0: not known), keepalive_s (between pings, 20)."""

    def yield_idle(self, device: int, ranks: int = 1) -> int:
        """Somebody else wants slots: stops idle instances of the device, of `ranks` ranks together, and others when
        they have done what they run and have been up for a second. Returns the ranks that are given back at once."""

    def instance_lost(self, device: int, address: str) -> None:
        """The instance at that address is known to have died, though its connection may stand."""

    def slots_freed(self) -> None:
        """Slots were given back, or there are more: pools that were refused some ask again now."""

    def set_status(self, device: int, status: str, reason: str) -> None: ...

    def emit(
        self, kind: str, device: int, message: str, severity: str, calibration_set: str, values: dict[str, float]
    ) -> None: ...


def discover() -> list[Found]:
    """All announced plugins, the built-in ones first, each loaded on its own."""
    announced = {e.name: e for e in entry_points(group=GROUP)}
    for name, value in BUILTIN.items():
        announced.setdefault(name, EntryPoint(name, value, GROUP))
    order = [*BUILTIN, *sorted(set(announced) - set(BUILTIN))]
    return [load(announced[name]) for name in order]


def load(entry: EntryPoint) -> Found:
    """Loads one plugin; what it raises becomes the reason why it cannot be used."""
    try:
        plugin = entry.load()
        if not isinstance(plugin, Plugin):
            raise InvalidArgument(f"{entry.value} is a {type(plugin).__name__}, not a qfw.qpm.plugin.Plugin")
        return Found(entry.name, entry.value, plugin, plugin.missing(), tuple(plugin.devices()))
    except Exception as error:  # noqa: BLE001 - a provider's code must not stop the daemon
        log.warning("plugin %s (%s) cannot be loaded: %s: %s", entry.name, entry.value, type(error).__name__, error)
        return Found(entry.name, entry.value, None, f"plugin cannot be loaded: {type(error).__name__}: {error}")


def load_value(value: str) -> Plugin:
    """The plugin at "module:attribute"; raises what its import raises."""
    plugin = EntryPoint("plugin", value, GROUP).load()
    if not isinstance(plugin, Plugin):
        raise InvalidArgument(f"{value} is a {type(plugin).__name__}, not a qfw.qpm.plugin.Plugin")
    return plugin


def unknown(name: str) -> DeviceSpec:
    """Stands for the devices of a plugin that cannot be loaded: refuses nothing by itself, so that its status is what
    a task meets."""
    return DeviceSpec(name=name, max_qubits=1 << 16)


def teller(runtime: DeviceTable, devices: Mapping[str, int]) -> Callable[[DeviceEvent], None]:
    """What a plugin calls to tell its events: they go to the runtime's devices of those names."""

    def tell(event: DeviceEvent) -> None:
        if event.device not in devices:
            raise InvalidArgument(f"an event of the device {event.device!r}; the plugin has {', '.join(devices)}")
        if event.kind not in ("calibration", "noise"):
            raise InvalidArgument(f"an event of the kind {event.kind!r}; a plugin's are calibration and noise")
        runtime.emit(
            event.kind, devices[event.device], event.message, event.severity, event.calibration_set, dict(event.values)
        )

    return tell


def builtin_info(name: str, threads: int) -> dict[str, Any]:
    """What the built-in simulator says of itself."""
    from qfw._core.qpm import Runtime

    runtime = Runtime(threads=threads)
    runtime.add_statevec(name)
    info: dict[str, Any] = runtime.devices()[0]
    runtime.stop()
    return info


def _has_mpi() -> bool:
    """Whether one simulation can run on several ranks here."""
    return importlib.util.find_spec("mpi4py") is not None


class Worker:
    """The worker process of one device: started at its first task, and again after its death."""

    def __init__(self, plugin: str, device: str, sockets: Path, records: Path | None = None) -> None:
        self._plugin = plugin
        self._device = device
        self._sockets = sockets
        self._records = records
        self._child: local.Child | None = None
        self.tls: Mapping[str, str] = {}

    def start(self, ranks: int) -> str:
        """Ends what is left of an earlier process, starts one, returns its address. Called by the runtime."""
        if ranks != 1:
            raise ResourceExhausted(f"an instance of {ranks} ranks needs a launcher; a worker of this machine has 1")
        self.stop()
        socket = self._sockets / f"{self._device[:16]}-{os.getpid()}-{next(_numbers)}.sock"
        argv = [sys.executable, "-m", "qfw.qpm.worker", "--plugin", self._plugin, "--device", self._device]
        argv += ["--listen", f"unix:{socket}"]
        self._child = local.start(argv, ready_timeout=READY_TIMEOUT)
        log.info("worker of %s: process %d", self._device, self._child.pid)
        if self._records is not None:
            self._records.mkdir(mode=0o700, exist_ok=True)
            write_json(self._record(self._child.pid), asdict(Recorded.of(self._child.pid) or Recorded(0, 0)))
        return self._child.announcement

    def stop(self) -> None:
        """Ends the process, if there is one."""
        child, self._child = self._child, None
        if child is None:
            return
        if not child.alive():
            log.warning("worker of %s: %s", self._device, child.describe_end())
        child.stop()
        for file in (self._record(child.pid), Path(child.announcement.removeprefix("unix:"))):
            file.unlink(missing_ok=True)

    def _record(self, pid: int) -> Path:
        return (self._records or self._sockets) / f"{pid}.json"

    def last_words(self) -> str:
        """How the process ended, for an error message. It may be a moment from its end: its connection went first."""
        child = self._child
        if child is None:
            return "its process was stopped"
        child.wait(1.0)
        return child.describe_end()


class Host:
    """Puts the devices of plugins into a runtime, and ends their workers."""

    def __init__(
        self, runtime: DeviceTable, sockets: Path, records: Path | None = None, fleet: Fleet | None = None
    ) -> None:
        self._runtime = runtime
        self._fleet = fleet  # None: workers are children of this process, and the built-in simulator is in it
        self._sockets = sockets
        self._records = records  # where the workers' process numbers are kept for those who clean up
        self._workers: list[Worker] = []
        self._names: set[str] = set()

    def install(self, found: Sequence[Found]) -> None:
        """Adds every device; those that cannot be used are listed with the reason."""
        for item in found:
            devices: dict[str, int] = {}
            for spec in item.specs or (unknown(item.name),):
                self._add(item, spec, devices)
            if item.plugin is not None:
                item.plugin.tell = teller(self._runtime, devices)

    def stop(self) -> None:
        """Ends all worker processes and instances."""
        for worker in self._workers:
            worker.stop()
        if self._fleet is not None:
            self._fleet.stop()

    def _add_instances(self, fleet: Fleet, value: str, plugin: Plugin, spec: DeviceSpec) -> int:
        native = plugin.kind == "native"
        info = builtin_info(spec.name, fleet.threads) if native else spec.info(plugin.name)
        fleet.add(spec.name, value)
        seats = fleet.slots if native or spec.workers == 0 else min(spec.workers, fleet.slots)
        policy = fleet.policy(spec.name, ranks=native and _has_mpi()) | ({"simulator": spec.name} if native else {})
        processes = [InstanceProcess(fleet, spec.name) for _ in range(seats)]
        device = self._runtime.add_workers({**info, "max_ranks": policy["max_ranks"]}, processes, policy)
        fleet.named(spec.name, device)
        return device

    def _add(self, item: Found, spec: DeviceSpec, devices: dict[str, int]) -> None:
        if spec.name in self._names:
            log.warning("plugin %s: a device named %s exists already; skipped", item.name, spec.name)
            return
        self._names.add(spec.name)
        if self._fleet is not None and item.plugin is not None and not item.reason:
            devices[spec.name] = self._add_instances(self._fleet, item.value, item.plugin, spec)
            return
        if item.plugin is not None and item.plugin.kind == "native":
            devices[spec.name] = self._runtime.add_statevec(spec.name)
            return
        count = spec.workers or min(len(os.sched_getaffinity(0)), MAX_WORKERS)
        workers = [Worker(item.value, spec.name, self._sockets, self._records) for _ in range(count)]
        device = devices[spec.name] = self._runtime.add_workers(spec.info(item.name), workers)
        self._workers += workers
        if item.reason:
            self._runtime.set_status(device, "fault" if item.plugin is None else "offline", item.reason)
