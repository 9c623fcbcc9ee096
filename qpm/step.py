"""The daemon of a Slurm job: a job step on the first node of the quantum component (head.py is its beginning).

A step, not a child of the batch shell: Slurm signals and reaps it, on whatever node it is, when the job ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from qfw.program.errors import QfwError, Unavailable
from qfw.qpm import job as jobs
from qfw.qpm import run as runs
from qfw.qpm.allocation import Allocation, Commands
from qfw.qpm.head import NOT_SHARED
from qfw.qpm.launch_options import LaunchOptions
from qfw.simenv.nodes import parse_hosts

MARGIN = 2.0  # of Slurm's KillWait, for what the daemon does after unfinished tasks had their time
STOPPED_SECONDS = 10.0  # for a step to go after SIGKILL


@dataclass(frozen=True)
class Step:
    """Which step the daemon is."""

    job_id: str  # of the component
    step_id: str
    node: str
    local: str = ""  # its directory on that node

    @property
    def name(self) -> str:
        return f"{self.job_id}.{self.step_id}"

    def mine(self) -> bool:
        """Whether this process is part of it: a supervisor, whose daemon died."""
        return (os.environ.get("SLURM_STEP_ID"), jobs.node_name()) == (self.step_id, self.node)

    def runs(self) -> bool:
        """Whether Slurm still has it."""
        return bool(Commands().run("squeue", "--noheader", f"--steps={self.name}").strip())


def of(run: runs.Run) -> Step | None:
    """The step that recorded itself in the run's directory; None where there is none."""
    try:
        return Step(**json.loads((run.path / runs.STEP).read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def lives(run: runs.Run) -> bool:
    """Whether the run has a daemon, as far as its files tell, and where it is a step as Slurm tells."""
    return run.live() and ((step := of(run)) is None or step.mine() or step.runs())


def command(run: runs.Run, allocation: Allocation, options: Sequence[str], toward: str) -> list[str]:
    """The srun that starts the daemon's step; `options`: for head.py and the daemon."""
    head = allocation.quantum.nodes[0]
    srun = ["srun", *allocation.srun(allocation.quantum), "--nodes=1", "--ntasks=1", f"--nodelist={head}"]
    # One task with all CPUs of the node, no MPI of Slurm's, and nothing to read.
    srun += ["--cpu-bind=none", "--mpi=none", "--input=none", "--job-name=qpmd"]
    python = [sys.executable, "-P", "-m", "qfw.qpm.head", "--run-id", run.run_id, "--run-dir", str(run.path)]
    return [*srun, *python, "--step-job", allocation.quantum.job_id, "--toward", toward, *options]


def drain_seconds(asked: float | None) -> float:
    """How long unfinished tasks get: what was asked for, else as long as Slurm's KillWait allows."""
    if asked is not None:
        return asked
    return max(0.0, min(runs.DRAIN_SECONDS, Commands().kill_wait() - MARGIN))


def default_launcher(allocation: Allocation) -> str:
    """How instances are started when nothing was asked for: the best way that there is on these nodes."""
    from qfw.simenv.launch.choose import choices

    return "none" if all(choices(parse_hosts(allocation.quantum.hosts())).values()) else "auto"


def launch_options(asked: LaunchOptions, allocation: Allocation) -> LaunchOptions:
    """Instances go to the slots of the quantum component, by steps of the job, unless other hosts were named."""
    if not asked.launcher or asked.hosts or asked.slots:
        return asked
    group = str(allocation.quantum.group) if allocation.heterogeneous else "job"
    return replace(asked, hosts=allocation.quantum.hosts(), steps=group)


def start(
    run: runs.Run, allocation: Allocation, options: Sequence[str], log: str | None = None
) -> subprocess.Popen[bytes]:
    """Starts the daemon's step and returns its srun at once; `options`: for head.py and the daemon, `log`: for head.py,
    the run's log unless given."""
    run.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    (run.path / runs.STEP).unlink(missing_ok=True)  # of a daemon before this one
    runs.write_json(run.path / runs.ALLOCATION, asdict(allocation))
    toward = Commands().node_address(allocation.application.nodes[0])
    arguments = command(run, allocation, ["--log", log or str(run.log_file), *options], toward)
    with open(run.log_file, "ab") as file:
        return subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd="/", start_new_session=True
        )


def alone(run: runs.Run, child: subprocess.Popen[bytes], timeout: float) -> bool:
    """Waits until the step has found the run's directory, or ended; returns whether it ended for want of it."""
    for _ in _moments(timeout):
        os.listdir(run.path)  # has NFS look again at what is there
        if of(run) is not None:
            break
        if child.poll() is not None:
            return child.returncode == NOT_SHARED
    return False


def end(run: runs.Run, grace: float) -> None:
    """Has the daemon drain and end, and ends its step after `grace` seconds. Raises QfwError when it does not go."""
    step = of(run)
    if step is None or step.mine() or not step.runs():
        return
    for signal, seconds in (("TERM", grace), ("KILL", STOPPED_SECONDS)):
        with contextlib.suppress(Unavailable):  # it ended by itself
            Commands().run("scancel", f"--signal={signal}", step.name)
        if any(not step.runs() for _ in _moments(seconds)):
            return
    raise QfwError(f"run {run.run_id}: the job step {step.name} on {step.node} does not end")


def clean_node(run: runs.Run) -> None:
    """Removes what a daemon that was killed left on its node; one that ended by itself left nothing."""
    step, found = of(run), allocation_of(run)
    if step is None or step.mine() or not step.local or not found or not run.path.is_dir():
        return
    group = [f"--het-group={found['quantum']['group']}"] if found["heterogeneous"] else []
    where = ["--overlap", "--nodes=1", "--ntasks=1", f"--nodelist={step.node}", "--mpi=none", "--input=none"]
    python = [sys.executable, "-P", "-m", "qfw.qpm.broadcast", step.local, "remove"]
    with contextlib.suppress(Unavailable):  # the job is over, and its epilog has been there
        Commands().run("srun", *group, *where, "--chdir=/", *python)


def _moments(seconds: float) -> Iterator[None]:
    """Now and then for some seconds; at first often."""
    deadline, wait = time.monotonic() + seconds, 0.05
    while True:
        yield
        if (left := deadline - time.monotonic()) <= 0:
            return
        time.sleep(min(wait, left))
        wait = min(0.5, wait * 1.5)


def component_nodes(run: runs.Run) -> dict[str, str]:
    """QFw's names for the nodes of the components, for programs; empty outside of Slurm."""
    found = allocation_of(run)
    if not found:
        return {}
    nodes = {f"QFW_GROUP_{c['group']}_NODELIST": ",".join(c["nodes"]) for c in found["components"]}
    return {**nodes, "QFW_QPM_ASSIGNED_HOSTS": ",".join(found["quantum"]["nodes"])}


def application_group(run: runs.Run) -> int:
    """The component that programs run in, as setup found it; 0 where nothing is known."""
    found = allocation_of(run)
    return int(found["application"]["group"]) if found else 0


def allocation_of(run: runs.Run) -> dict[str, Any]:
    """The fields of the Allocation that the run was started in; empty outside of Slurm."""
    try:
        found: dict[str, Any] = json.loads((run.path / runs.ALLOCATION).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found


def left_behind() -> list[runs.Run]:
    """Runs of jobs of this cluster that Slurm does not know any more: a node died with the daemon."""
    here = jobs.of()
    named = [(r, *r.run_id.rpartition("-")[::2]) for r in runs.runs_of_jobs()]
    return [r for r, cluster, rest in named if here and cluster == here.cluster and not _known(rest.partition(".")[0])]


def _known(job_id: str) -> bool:
    if not job_id.isdigit():
        return True
    try:
        return bool(Commands().run("squeue", "--noheader", "--format=%i", f"--jobs={job_id}").strip())
    except Unavailable as error:
        return "Invalid job id" not in str(error)
