"""The Slurm job that this process belongs to, by its environment: its name, and where a run of it lies.

qpi/native/endpoint.cc finds the same directory.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One start of a job: a requeued job keeps its number, and counts its restarts."""

    cluster: str
    job_id: str  # of a heterogeneous job: its leader's, in every component
    restarts: int

    @property
    def run_id(self) -> str:
        """The name of the job's run."""
        return f"{self.cluster}-{self.job_id}.{self.restarts}"

    def local_dir(self, node: str, uid: int | None = None) -> Path:
        """What the run has on one node: sockets, temporary files. The epilog knows this place by the job's number."""
        return local_base(uid) / f"{self.run_id}-{node}"


def local_base(uid: int | None = None) -> Path:
    """What holds the directories of jobs on a node."""
    return Path("/tmp") / f"qfw-{os.getuid() if uid is None else uid}"


def of(environ: Mapping[str, str] = os.environ) -> Job | None:
    """The job of this environment; None outside of Slurm."""
    job_id = environ.get("SLURM_JOB_ID", "")
    if not job_id:
        return None
    restarts = environ.get("SLURM_RESTART_COUNT", "")
    return Job(environ.get("SLURM_CLUSTER_NAME") or "slurm", job_id, int(restarts) if restarts.isdigit() else 0)


def base_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The directory, shared by the nodes, that holds the runs of the user's jobs: $QFW_RUN_BASE_DIR, ~/.qfw/runs."""
    if chosen := environ.get("QFW_RUN_BASE_DIR"):
        return Path(chosen)
    return Path(environ.get("HOME") or os.path.expanduser("~")) / ".qfw" / "runs"


def node_name(environ: Mapping[str, str] = os.environ) -> str:
    """The node that this process runs on: Slurm's name for it in a job, else the host's. Several slurmd may share a
    host, and its temporary directory."""
    return environ.get("SLURMD_NODENAME") or socket.gethostname()
