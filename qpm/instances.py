"""The simulator instances of a daemon with a launcher: started on slots, known by their leases.

`Fleet` is one per daemon; the seats of its devices' pools (instance_process.py) ask it for instances.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from qfw.program.errors import DeviceError, DeviceLost, QfwError, ResourceExhausted
from qfw.qpm import instance_records as records
from qfw.qpm.instance_records import Adopted, Record
from qfw.qpm.launch_options import LaunchOptions
from qfw.qpm.leases import Registration
from qfw.qpm.listen import Files
from qfw.qpm.run import private_dir
from qfw.simenv.launch.launcher import Instance, InstanceSpec, Launcher
from qfw.simenv.nodes import Grant, Nodes, cpus_of
from qfw.simenv.pool import Pool

READY_SECONDS = 60.0  # that an instance may take to import its provider's packages and register
ADOPT_SECONDS = 5.0  # that those of an earlier daemon have to register, once this one can be found
SPARE_SECONDS = 10.0  # that an adopted instance which no task needs is kept
TICK_SECONDS = 0.25
USABLE = 0.9  # of a node's memory

log = logging.getLogger("qfw.qpm.instances")


class Leases(Protocol):
    """The part of `qfw.qpm.services.workers.Registry` that is used here."""

    def expect(self, instance: str) -> None: ...
    def touch(self, instance: str) -> None: ...
    def dismiss(self, instance: str, reason: str) -> None: ...
    def get(self, instance: str) -> Registration | None: ...
    def lapsed(self) -> list[Registration]: ...
    def wait(self, instance: str, timeout: float, ended: Callable[[], bool]) -> Registration | None: ...


class Slots(Protocol):
    """The part of `qfw._core.qpm.Runtime` that is told of slots."""

    def yield_idle(self, device: int, ranks: int = ...) -> int: ...

    def slots_freed(self) -> None: ...

    def instance_lost(self, device: int, address: str) -> None: ...


@dataclass
class Running:
    """An instance, its slots and its record."""

    record: Record
    grant: Grant
    instance: Instance
    registration: Registration | None = None
    lost: str = ""  # why it counts as dead, whatever its process does


@dataclass
class _Found:
    """An instance of an earlier daemon, whose slots are kept for it."""

    record: Record
    grant: Grant
    deadline: float = 0.0  # for its registration, then for its use; 0: nobody could find this daemon yet
    registration: Registration | None = None


@dataclass(frozen=True)
class Home:
    """What a fleet must know of its daemon."""

    run_id: str
    endpoint: Path
    records: Path
    sockets: Path
    node: str  # this one's name
    tls: Files | None = None  # the client's, for instances on other nodes
    grace: float = 30.0  # that instances look for another daemon


@dataclass
class _Device:
    id: int = -1
    plugin: str = ""
    asked: int = 0  # how often somebody was asked on its behalf


class Fleet:
    """All instances of one daemon. Thread-safe."""

    def __init__(self, launcher: Launcher, home: Home, options: LaunchOptions) -> None:
        self.launcher = launcher
        self.options = options
        self.home = home
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._nodes = Nodes(launcher.nodes(), oversubscribe=options.oversubscribe)
        self._pool = Pool(self._nodes)
        self._devices: dict[str, _Device] = {}
        self._running: dict[str, Running] = {}
        self._found: dict[str, _Found] = {}
        self._numbers = itertools.count(1)
        self._stopping = threading.Event()
        self._runtime: Slots | None = None
        self._leases: Leases
        self._watcher = threading.Thread(target=self._watch, name="qfw-instances", daemon=True)

    # ---- set up

    def begin(self, runtime: Slots, leases: Leases) -> None:
        """From now on instances can be started."""
        self._runtime, self._leases = runtime, leases
        for directory in (self.home.records, self.home.sockets):
            private_dir(directory)
        self._watcher.start()

    @property
    def slots(self) -> int:
        return self._nodes.total

    @property
    def threads(self) -> int:
        """Of a rank: the CPUs of a slot."""
        return max((len(cpus_of(node, 0)) for node in self._nodes.nodes), default=0) or 1

    def policy(self, device: str, *, ranks: bool) -> dict[str, Any]:
        """How the runtime's pool of a device is to be run; `ranks`: several may simulate one task together."""
        nodes = [n for n in self._nodes.nodes if n.memory_bytes]
        most = min(self.launcher.max_ranks, self.slots) if ranks else 1
        return {
            "floor": min(self.options.limits(device).floor, self.slots),
            "idle_s": self.options.idle,
            "max_ranks": 1 << (most.bit_length() - 1),  # a state vector is halved again and again
            "node_bytes": int(USABLE * max((n.memory_bytes for n in nodes), default=0)),
            "rank_bytes": int(USABLE * min((n.memory_bytes // n.slots for n in nodes), default=0)),
        }

    def add(self, device: str, plugin: str) -> None:
        """A device whose instances will be asked for; those of an earlier daemon are looked for."""
        with self._lock:
            self._devices[device] = _Device(plugin=plugin)
            self._pool.add(device, self.options.limits(device))
            for record in records.read(self.home.records, device):
                self._expect(record)

    def named(self, device: str, number: int) -> None:
        """The runtime's number for a device."""
        self._devices[device].id = number

    def opened(self) -> None:
        """This daemon can be found now: instances of an earlier one have some seconds to register."""
        with self._lock:
            for found in self._found.values():
                found.deadline = time.monotonic() + ADOPT_SECONDS
            self._changed.notify_all()

    def _expect(self, record: Record) -> None:
        process = record.process
        if process is None or not process.alive():
            self._forget(record)
            return
        if record.carrier == self.carrier and record.plugin == self._devices[record.device].plugin:
            try:
                grant = self._pool.claim(record.device, record.places)
            except ResourceExhausted as error:
                log.warning("instance %s of an earlier daemon is ended: %s", record.instance, error)
            else:
                self._found[record.instance] = _Found(record, grant)
                return
        process.end(1.0)
        self._forget(record)

    @property
    def carrier(self) -> str:
        """What carries the instances that are started now. Those of this machine outlive the daemon, others do not."""
        name = self.launcher.name
        return name if name == "local" else f"{name}-{os.getpid()}-{self.launcher.generation}"

    # ---- what instances say

    def adopt(self, registration: Registration) -> str:
        """Whether an instance that this daemon has not started is taken: "" or why not."""
        with self._lock:
            found = self._found.get(registration.instance)
            if found is None:
                return "its daemon has ended, and this one does not know it"
            found.registration = registration
            found.deadline = time.monotonic() + SPARE_SECONDS
            self._changed.notify_all()
        log.info("instance %s of %s is adopted", registration.instance, registration.device)
        return ""

    # ---- for one seat

    def obtain(self, device: str, ranks: int, cancelled: Callable[[], bool]) -> Running:
        """An instance that serves. Raises ResourceExhausted without slots, DeviceError or DeviceLost when it does not
        come up."""
        adopted = self._adopted(device, ranks, cancelled)
        if adopted is not None:
            return adopted
        grant = self._take(device, ranks)
        try:
            return self._start(device, grant, cancelled)
        except BaseException:
            self._give(device, grant, tell=False)  # it would be asked again at once, and in vain
            raise

    def _adopted(self, device: str, ranks: int, cancelled: Callable[[], bool]) -> Running | None:
        with self._lock:
            while not cancelled() and not self._stopping.is_set():
                mine = [f for f in self._found.values() if (f.record.device, f.grant.ranks) == (device, ranks)]
                here = next((f for f in mine if f.registration), None)
                if here is not None and here.registration is not None:
                    del self._found[here.record.instance]
                    process = Adopted(here.registration, here.record, self._leases)
                    running = Running(here.record, here.grant, process, here.registration)
                    self._running[here.record.instance] = running
                    return running
                if not mine:
                    return None
                self._changed.wait(0.2)
        return None

    def _take(self, device: str, ranks: int) -> Grant:
        with self._lock:
            try:
                return self._pool.take(device, ranks, time.monotonic())
            except ResourceExhausted as error:
                if not error.transient:
                    raise
                spare = [f for f in self._found.values() if f.registration and f.record.device != device]
                ask = self._whom(device)
                failure = error
        for found in spare:
            self._end_found(found, "its slots are wanted")
        if ask is not None and self._runtime is not None:
            self._runtime.yield_idle(ask, ranks)
        raise failure

    def _whom(self, device: str) -> int | None:
        """The runtime's number of the device to be asked for an instance: in turn, when it is asked again."""
        donors = self._pool.greedy(device)
        if not donors:
            return None
        own = self._devices[device]
        own.asked += 1
        return self._devices[donors[(own.asked - 1) % len(donors)]].id

    def _start(self, device: str, grant: Grant, cancelled: Callable[[], bool]) -> Running:
        name = f"{device[:12]}-{os.getpid()}-{next(self._numbers)}"
        here = self.launcher.name == "local" or grant.places[0].node in (self.home.node, "localhost")
        record = Record(name, device, self._devices[device].plugin, self.carrier, grant.places, self.home.node)
        self._leases.expect(name)
        try:
            instance = self.launcher.start(InstanceSpec(name, self._argv(record, here), grant.places))
        except BaseException:
            self._leases.dismiss(name, "it could not be started")
            raise
        running = Running(record, grant, instance)
        with self._lock:
            self._running[name] = running
        try:
            self._await(running, cancelled)
        except BaseException:
            self.end(running, "it was not ready", give=False)
            raise
        if here:
            records.write(self.home.records, record, running.registration)
        log.info("instance %s: %d ranks on %s", name, grant.ranks, ", ".join(p.node for p in grant.places))
        return running

    def _await(self, running: Running, cancelled: Callable[[], bool]) -> None:
        def ended() -> bool:
            return cancelled() or self._stopping.is_set() or not running.instance.alive()

        name = running.record.instance
        running.registration = self._leases.wait(name, READY_SECONDS, ended)
        if running.registration is not None:
            return
        if cancelled() or self._stopping.is_set():
            raise ResourceExhausted(f"instance {name} is not wanted any more", transient=True)
        if running.instance.alive():
            raise DeviceError(f"instance {name} was not ready after {READY_SECONDS:g} s")
        message = f"instance {name} ended before it was ready: {running.instance.describe_end()}"
        if running.instance.carried_off:
            raise ResourceExhausted(message, transient=True)
        raise DeviceLost(message)

    def _argv(self, record: Record, here: bool) -> tuple[str, ...]:
        listen = f"unix:{self.home.sockets / (record.instance + '.sock')}" if here else "tcp"
        argv = [sys.executable, "-m", "qfw.qpm.worker", "--plugin", record.plugin, "--device", record.device]
        argv += ["--listen", listen, "--instance", record.instance, "--endpoint", str(self.home.endpoint)]
        argv += ["--run-id", self.home.run_id, "--carrier", record.carrier, "--grace", f"{self.home.grace:g}"]
        for place in record.places:
            argv += ["--place", records.place_text(place)]
        return tuple(argv)

    def end(self, running: Running, reason: str, *, give: bool = True) -> None:
        """Ends an instance, whatever is left of it, and gives its slots back."""
        name = running.record.instance
        with self._lock:
            mine = self._running.pop(name, None) is not None
        self._leases.dismiss(name, reason)
        try:
            running.instance.stop()
        except QfwError as error:
            log.warning("instance %s: %s", name, error)
        self._forget(running.record)
        if give and mine:
            self._give(running.record.device, running.grant)

    def _give(self, device: str, grant: Grant, *, tell: bool = True) -> None:
        with self._lock:
            self._pool.give(device, grant)
            self._changed.notify_all()
        if tell:
            self._tell_freed()

    def _tell_freed(self) -> None:
        if self._runtime is not None and not self._stopping.is_set():
            self._runtime.slots_freed()

    def _forget(self, record: Record) -> None:
        records.remove(self.home.records, record)
        (self.home.sockets / (record.instance + ".sock")).unlink(missing_ok=True)

    # ---- in the background

    def _watch(self) -> None:
        while not self._stopping.wait(TICK_SECONDS):
            now = time.monotonic()
            with self._lock:
                late = [f for f in self._found.values() if 0 < f.deadline < now]
                dead = [r for r in self._running.values() if r.registration and not r.lost and not r.instance.alive()]
            try:
                self._look_at_nodes()
                for running in dead:
                    self._lose(running, "")
                for found in late:
                    self._end_found(found, "no task needs it" if found.registration else "it did not register")
                for registration in self._leases.lapsed():
                    self._look_after(registration)
            except (QfwError, OSError):
                log.exception("looking after instances")

    def _look_at_nodes(self) -> None:
        """Nodes are lost and come back."""
        nodes = tuple(self.launcher.nodes())
        with self._lock:
            if nodes == self._nodes.nodes:
                return
            log.warning("nodes are now %s", ", ".join(f"{n.name}:{n.slots}" for n in nodes) or "none")
            self._nodes.update(nodes)
        self._tell_freed()

    def _lose(self, running: Running, reason: str) -> None:
        """Has the runtime take an instance for dead, though its connection may stand."""
        running.lost = reason or "dead"
        runtime, registration = self._runtime, running.registration
        if runtime is not None and registration is not None:
            runtime.instance_lost(self._devices[registration.device].id, registration.address)

    def _end_found(self, found: _Found, reason: str) -> None:
        with self._lock:
            if self._found.pop(found.record.instance, None) is None:
                return
        log.info("instance %s of an earlier daemon is ended: %s", found.record.instance, reason)
        self._leases.dismiss(found.record.instance, reason)
        if found.record.process is not None:
            found.record.process.end(2.0)
        self._forget(found.record)
        self._give(found.record.device, found.grant)

    def _look_after(self, registration: Registration) -> None:
        """An instance has not renewed its lease: dead, cut off, or busy with code that lets no other thread run."""
        from qfw.qpm.services.workers import answers

        with self._lock:
            running = self._running.get(registration.instance)
        if running is not None and running.instance.alive() and answers(registration.address, self.home.tls):
            self._leases.touch(registration.instance)
            return
        log.warning("instance %s on %s: its lease lapsed", registration.instance, registration.node)
        self._leases.dismiss(registration.instance, "its lease lapsed")
        if running is not None:
            self._lose(running, f"instance {registration.instance} on {registration.node}: its lease lapsed")

    def stop(self) -> None:
        """Ends all instances and the launcher. Idempotent."""
        self._stopping.set()
        with self._lock:
            self._changed.notify_all()
            left, found = list(self._running.values()), list(self._found.values())
            runtime, self._runtime = self._runtime, None
        if runtime is None:
            return
        for running in left:
            self._leases.dismiss(running.record.instance, "its daemon ends")
        threads = [threading.Thread(target=self.end, args=(r, "its daemon ends")) for r in left]
        threads += [threading.Thread(target=self._end_found, args=(f, "its daemon ends")) for f in found]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.launcher.close()
        self._watcher.join()

    def describe(self) -> dict[str, Any]:
        """The fields of the message Slots."""
        about = getattr(self.launcher, "about", lambda: f"processes of {self.home.node}")
        with self._lock:
            return {
                "launcher": self.launcher.name,
                "about": about(),
                "generation": self.launcher.generation,
                "nodes": {n.name: n.slots for n in self._nodes.nodes},
                "total": self._nodes.total,
                "free": self._nodes.free,
                "instances": len(self._running),
            }
