"""A cluster of scripts/dev/slurm-cluster, as tests use it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENDED = {
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "BOOT_FAIL",
    "DEADLINE",
    "PREEMPTED",
}


def cluster_command(*arguments: str) -> str:
    """Runs scripts/dev/slurm-cluster and returns what it says; fails with its words."""
    command = [str(ROOT / "scripts" / "dev" / "slurm-cluster"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def wait_for(what: str, look: Callable[[], object], timeout: float = 60.0) -> object:
    """What `look` returns as soon as that is true; fails with `what` when it does not become so."""
    deadline = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
        time.sleep(0.05)
    return found


@dataclass
class Job:
    """A submitted job."""

    cluster: Cluster
    job_id: str
    output: Path
    scratch: Path  # its TMPDIR, and where its runs are
    text: str = field(default="", init=False)

    def show(self, key: str) -> str:
        """One field of `scontrol show job`."""
        words = self.cluster.run("scontrol", "show", "job", "-o", self.job_id).split()
        return next(word.partition("=")[2] for word in words if word.startswith(f"{key}="))

    def state(self) -> str:
        return self.show("JobState")

    def says(self, text: str, timeout: float = 60.0) -> None:
        """Waits until the output holds `text`."""

        def look() -> bool:
            self.text = self.output.read_text() if self.output.exists() else ""
            return text in self.text or self.state() in ENDED

        wait_for(f"{text!r} in the output of job {self.job_id}:\n{self.text}", look, timeout)
        self.text = self.output.read_text() if self.output.exists() else ""
        assert text in self.text, f"job {self.job_id} is {self.state()}:\n{self.text}"

    def end(self, timeout: float = 90.0) -> str:
        """Waits for the end of the job, also of its epilogs, and returns its state."""
        wait_for(f"the end of job {self.job_id}", lambda: self.job_id not in self.cluster.queue(), timeout)
        self.text = self.output.read_text() if self.output.exists() else ""
        return self.state()


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    directory: Path

    @property
    def environ(self) -> dict[str, str]:
        """The user's environment: this cluster's, and qfw's commands on the PATH."""
        path = [str(ROOT / "scripts"), str(Path(sys.executable).parent), os.environ["PATH"]]
        conf = self.directory / "slurm.conf"
        return {**os.environ, "SLURM_CONF": str(conf), "PATH": os.pathsep.join(path), "QFW_PYTHON": sys.executable}

    @property
    def name(self) -> str:
        lines = (self.directory / "slurm.conf").read_text().splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith("ClusterName="))

    def run(self, *command: str, timeout: float = 60.0, cwd: Path | None = None, **changes: str) -> str:
        """What a command says; fails with its words."""
        environ = {**self.environ, **changes}
        done = subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def queue(self) -> set[str]:
        """The jobs that have not ended; the leader alone of a heterogeneous one."""
        return {line.partition("+")[0] for line in self.run("squeue", "-h", "-o", "%i").split()}

    def of_user(self, scratch: Path) -> dict[str, str]:
        """What a user's profile says: everything of a job that is on disk lies in `scratch`."""
        (scratch / "tmp").mkdir(exist_ok=True)
        return {
            "TMPDIR": str(scratch / "tmp"),
            "QFW_RUN_BASE_DIR": str(scratch / "runs"),
            "XDG_RUNTIME_DIR": str(scratch / "none"),
            # Without these every MPI process looks for networks for a second.
            "OMPI_MCA_pml": "ob1",
            "OMPI_MCA_btl": "self,sm,tcp",
            "OMPI_MCA_mtl": "^ofi",
        }

    def submit(self, script: Path, *options: str, cwd: Path, scratch: Path | None = None, **changes: str) -> Job:
        """sbatch in the folder `cwd`; what the job leaves goes to the folder `scratch`, by default the same."""
        scratch = scratch or cwd
        command = ("sbatch", "--parsable", f"--output={scratch}/%j.out", *options, str(script))
        job_id = self.run(*command, cwd=cwd, **{**self.of_user(scratch), **changes}).strip().partition(";")[0]
        return Job(self, job_id, scratch / f"{job_id}.out", scratch)

    def batch(self, body: str, *options: str, cwd: Path, **changes: str) -> Job:
        """sbatch of a script that is `body`."""
        script = cwd / "job.sh"
        script.write_text("#!/bin/bash\n" + body)
        return self.submit(script, *options, cwd=cwd, **changes)


def assert_nothing_left(job: Job) -> None:
    """No process, no directory, no socket of the job, on any node."""

    def left() -> list[str]:
        mine = [f"{pid} {' '.join(argv)}" for pid, argv in of_the_job(processes(), job.job_id).items()]
        run, local = f"{job.cluster.name}-{job.job_id}", Path("/tmp", f"qfw-{os.getuid()}")
        places = [*job.scratch.glob("tmp/*"), *job.scratch.glob("runs/*"), *local.glob(f"{run}*")]
        registry = Path("/run/qfw/jobs", job.cluster.name, job.job_id)
        sockets = [line for line in Path("/proc/net/unix").read_text().splitlines() if run in line]
        return mine + [str(p) for p in (*places, *registry.glob("*"))] + sockets

    found: list[str] = []

    def gone() -> bool:
        found[:] = left()
        return not found

    wait_for_list("what a job left to go", gone, found)


def wait_for_list(what: str, look: Callable[[], bool], found: list[str]) -> None:
    """As wait_for, and says what was still found."""
    try:
        wait_for(what, look, 15.0)
    except AssertionError as error:
        raise AssertionError(f"{error}: " + "; ".join(found)) from None


def of_the_job(processes: Mapping[int, Sequence[str]], job_id: str) -> dict[int, Sequence[str]]:
    """Those whose environment says that they belong to the job."""
    found = {}
    for pid, argv in processes.items():
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"SLURM_JOB_ID={job_id}".encode() in environ:
            found[pid] = argv
    return found


def processes() -> dict[int, list[str]]:
    """Every process that is not a zombie: number and command line."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            argv = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if argv != [""]:
            found[int(path.name)] = argv
    return found


def solution(text: str) -> list[tuple[float, float]]:
    """The table of VQLS: what was found, and the exact value."""
    rows = re.findall(r"^ +\d+ +(-?[\d.]+) +(-?[\d.]+)$", text, re.MULTILINE)
    return [(float(found), float(exact)) for found, exact in rows]


def assert_solved(text: str) -> None:
    """The output of VQLS, by a daemon."""
    found = solution(text)
    assert len(found) == 8, text
    assert max(abs(x - exact) for x, exact in found) < 0.02, text
    assert "embedded" not in text
