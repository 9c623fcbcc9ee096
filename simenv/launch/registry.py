"""What a job tells its cluster's epilog: which processes and paths are to be gone when the job is.

`slurm/prolog` makes `/run/qfw/jobs/<cluster>/<job>/<node>` for the job's user, `slurm/epilog` reads the records in it
when the job has left the node. Where there is no such directory (no Slurm, a cluster without them) nothing is recorded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path("/run/qfw/jobs")  # the same in slurm/prolog and slurm/epilog, which know no variable of ours


def directory(environ: Mapping[str, str] = os.environ, root: Path = ROOT) -> Path | None:
    """Where this job's records for this node go; None where nobody would read them."""
    job, node = environ.get("SLURM_JOB_ID", ""), environ.get("SLURMD_NODENAME", "")
    if not job or not node:
        return None
    # A step knows the leader's number alone, a batch script that of its component: the leader's is component 0's.
    job = environ.get("SLURM_JOB_ID_HET_GROUP_0") or environ.get("SLURM_HET_JOB_ID") or job
    path = root / environ.get("SLURM_CLUSTER_NAME", "cluster") / job / node
    return path if os.access(path, os.W_OK | os.X_OK) else None


def record(name: str, pid: int | None = None, paths: Iterable[str | os.PathLike[str]] = ()) -> Path | None:
    """Records a process of this node (with its start time, so that never another one is ended) and paths to remove.

    Returns the record, which the caller removes when both are gone by themselves; None where nobody would read it.
    """
    where = directory()
    if where is None:
        return None
    lines = [f"path {os.path.abspath(path)}" for path in paths]
    if pid is not None:
        stat = Path(f"/proc/{pid}/stat").read_text()
        lines.insert(0, f"process {pid} {stat[stat.rindex(')') + 2 :].split()[19]}")
    path = where / name
    path.write_text("".join(line + "\n" for line in lines))
    return path
