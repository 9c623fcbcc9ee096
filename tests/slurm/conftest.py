"""A real Slurm on this machine, started once for the tests of this folder (scripts/dev/slurm-cluster)."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, Job, cluster_command


def why_not() -> str | None:
    """Why there can be no cluster on this machine; None where there can."""
    if os.getuid() != 0:
        return "a Slurm cluster needs root: slurmd starts the jobs of all users"
    if " " in sys.prefix:
        return f"PRTE starts nothing on other nodes from a path with a space ({sys.prefix})"
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    missing = [name for name in ("slurmctld", "slurmd", "munged", "srun") if not shutil.which(name, path=path)]
    return f"{', '.join(missing)} not installed: scripts/dev/setup --tests, as root" if missing else None


@pytest.fixture(scope="session")
def possible() -> None:
    """Skips where there can be no cluster."""
    if (why := why_not()) is not None:
        pytest.skip(why)


@pytest.fixture(scope="session")
def cluster(possible: None, private_directories: Path) -> Iterator[Cluster]:
    """Ten compute nodes and two quantum ones, on which the paper's job (its Figure 11) and every other one fits, and
    one of each, the last, for the job that waits for its time limit meanwhile."""
    directory = Path(tempfile.mkdtemp(prefix="qfws-", dir="/tmp"))
    options = ("--dir", str(directory))
    cluster_command("up", "--compute", "11", "--quantum", "3", *options)
    try:
        yield Cluster(directory)
    finally:
        cluster_command("down", *options)
    assert not directory.exists()


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory for what a job writes, with a short path: sockets may go into it."""
    with tempfile.TemporaryDirectory(prefix="qfwj-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def overdue(cluster: Cluster) -> Iterator[Job]:
    """A job with a time limit of a minute, the least that Slurm has. Slurm looks every half minute."""
    with tempfile.TemporaryDirectory(prefix="qfwj-", dir="/tmp") as name:
        body = """#SBATCH --partition=compute --nodelist=c11 --ntasks=1 --time=1
#SBATCH hetjob
#SBATCH --partition=quantum --nodelist=q3 --ntasks=1 --gres=qc:QC:1 --time=1
qfw_setup.sh --launcher prte && qfw_srun.sh python3 -c "
from qfw import qpi
import time
with qpi.connect() as context:
    print('up', context.endpoint, flush=True)
    time.sleep(600)"
"""
        yield cluster.batch(body, cwd=Path(name))


@pytest.fixture(scope="session", autouse=True)
def _early(request: pytest.FixtureRequest) -> None:
    """Submits the job that waits for its time limit before all other tests: they run in that minute."""
    if any("overdue" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("overdue")
