"""A cluster of scripts/dev/slurm-cluster, as tests use it."""

from __future__ import annotations

import os
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

    def submit(self, script: Path, *options: str, cwd: Path, **changes: str) -> Job:
        """sbatch; the output goes to `cwd`."""
        said = self.run("sbatch", "--parsable", f"--output={cwd}/%j.out", *options, str(script), cwd=cwd, **changes)
        job_id = said.strip().partition(";")[0]
        return Job(self, job_id, cwd / f"{job_id}.out")

    def batch(self, body: str, *options: str, cwd: Path, **changes: str) -> Job:
        """sbatch of a script that is `body`."""
        script = cwd / "job.sh"
        script.write_text("#!/bin/bash\n" + body)
        return self.submit(script, *options, cwd=cwd, **changes)


def of_the_job(processes: Mapping[int, Sequence[str]], job_id: str) -> dict[int, Sequence[str]]:
    """Those whose environment says that they belong to the job."""
    found = {}
    for pid, argv in processes.items():
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
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
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if argv != [""]:
            found[int(path.name)] = argv
    return found
