"""qfw_setup.sh, qfw_srun.sh and qfw_teardown.sh inside jobs of a real Slurm."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from cluster import Cluster, Job, assert_nothing_left, wait_for

from qfw.simenv.launch import openmpi

HET = """#SBATCH --nodes=2 --ntasks-per-node=2 --partition=compute
#SBATCH hetjob
#SBATCH --nodes=1 --ntasks=1 --partition=quantum --gres=qc:QC:1
"""
APP = """import os
from qfw import qpi
from qfw.program import Builder
flip = Builder(1, 1)
flip.gate("x", 0)
flip.measure(0, 0)
with qpi.connect() as ctx:
    counts = ctx.device("statevec").run(qpi.Task(flip.finish(), shots=10)).counts
    way = "unix" if ctx.endpoint.startswith("unix:") else "tls"
    rank = os.environ.get("PMIX_RANK", "-")
    print("rank", rank, os.environ["SLURMD_NODENAME"], way, dict(counts), os.environ.get("QFW_RUN_ID", "found"))
"""


def mpi() -> dict[str, str]:
    """Has mpi4py take the Open MPI on Python's path, in whatever environment it lies."""
    prefix = openmpi.wheel_prefix()
    if prefix is None:
        return {}
    return {"MPI4PY_LIBMPI": str(next(prefix.glob("lib/libmpi.so.*"))), "OPAL_PREFIX": str(prefix)}


class Place:
    """Where a test's jobs have what is theirs."""

    def __init__(self, cluster: Cluster, path: Path) -> None:
        self.cluster = cluster
        self.path = path
        self.app = path / "app.py"
        self.app.write_text(APP)

    def job(self, body: str, *options: str) -> Job:
        return self.cluster.batch(body, *options, cwd=self.path, APP=str(self.app), **mpi())

    def local(self, job: Job) -> list[Path]:
        """What the job's runs have on nodes."""
        return list(Path("/tmp", f"qfw-{os.getuid()}").glob(f"{self.cluster.name}-{job.job_id}.*"))


@pytest.fixture
def place(cluster: Cluster, scratch: Path) -> Place:
    return Place(cluster, scratch)


def ranks(text: str) -> list[tuple[str, str, str]]:
    """(rank, node, way) of what the applications printed, each with the right counts."""
    found = re.findall(r"^rank (\S+) (\S+) (\S+) \{'1': 10\} (\S+)$", text, re.MULTILINE)
    return sorted((rank, node, way) for rank, node, way, _ in found)


def test_a_heterogeneous_job(place: Place) -> None:
    script = f"""{HET}set -e
qfw_setup.sh
qfw_srun.sh -n 3 -N 2 "$APP"
qfw_srun.sh -n 1 -N 1 python3 "$APP"
echo in the batch script; python3 "$APP"
echo on the quantum node; srun --het-group=1 --overlap -n1 python3 "$APP"
qfw_teardown.sh
ls -A "$QFW_RUN_BASE_DIR"; echo end
"""
    job = place.job(script)
    assert job.end() == "COMPLETED", job.text
    run_id = f"{place.cluster.name}-{job.job_id}.0"
    assert f"qfw run {run_id} is ready" in job.text and f"job step {int(job.job_id) + 1}.0 on q1" in job.text
    assert "group 0   c1, c2, partition compute" in job.text and "GRES qc:QC:1" in job.text
    applications, rest = job.text.split("in the batch script")
    found = ranks(applications)
    assert [(rank, way) for rank, _, way in found] == [("0", "tls"), ("0", "tls"), ("1", "tls"), ("2", "tls")]
    assert {node for _, node, _ in found} == {"c1", "c2"}
    here, there = rest.split("on the quantum node")
    assert ranks(here) == [("-", "c1", "tls")] and [way for _, node, way in ranks(there) if node == "q1"] == ["unix"]
    assert f"qfw run {run_id} ended\nend\n" in job.text
    assert_nothing_left(job)


def test_an_application_that_fills_a_plain_job_still_starts(place: Place) -> None:
    script = """set -e
qfw_setup.sh --profile hybrid
qfw_srun.sh "$APP"
mkdir mpi; export TMPDIR=$PWD/mpi # MPI leaves things there
qfw_srun.sh -n 2 python3 -c 'from mpi4py import MPI; print("a world of", MPI.COMM_WORLD.size, flush=True)'
qfw doctor
srun --overlap -n 2 --mpi=none qfw doctor || echo broken
qfw_teardown.sh
"""
    job = place.job(script, "--nodes=1", "--ntasks=4", "--exclusive")
    assert job.end() == "COMPLETED", job.text
    assert ranks(job.text) == [(str(rank), "c1", "unix") for rank in range(4)] and "the only component" in job.text
    assert job.text.count("a world of 2\n") == 2, job.text
    seen = f"{place.cluster.name}-{job.job_id}.0: "
    assert f"ok      tls        {seen}good until" in job.text and f"ok      port       {seen}runtime at" in job.text
    assert "srun --mpi=pmix starts ranks" in job.text
    assert job.text.count("Slurm started 2 tasks, and MPI has a world of 1") == 2 and "broken\n" in job.text
    assert_nothing_left(job)


def test_an_explicit_group_wins(place: Place) -> None:
    script = f"""{HET}set -e
qfw_setup.sh --het-group 0
qfw_srun.sh "$APP"
qfw_teardown.sh
"""
    job = place.job(script)
    assert job.end() == "COMPLETED", job.text
    assert f"job step {job.job_id}.0 on c1" in job.text and "named by --het-group" in job.text
    assert ranks(job.text) == [("0", "q1", "tls")], "the application gets the other component"
    assert_nothing_left(job)


def test_a_script_that_ends_without_teardown_leaves_nothing(place: Place) -> None:
    job = place.job(f'{HET}qfw_setup.sh && qfw_srun.sh -n 1 -N 1 "$APP"\n')
    assert job.end() == "COMPLETED", job.text
    assert len(ranks(job.text)) == 1
    assert_nothing_left(job)


def test_a_daemon_that_dies_is_started_again(place: Place) -> None:
    script = f"""{HET}
die() {{
  pid=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$QFW_RUN_BASE_DIR"/*/qpmd.json)
  srun --het-group=1 --overlap -n1 kill -9 "$pid"
  while [ -e "/proc/$pid" ]; do sleep 0.05; done # the nodes of this cluster are one machine
}}
qfw_setup.sh --restart && qfw_srun.sh -n 1 -N 1 "$APP" && die
until qfw_setup.sh >/dev/null; do :; done
qfw_srun.sh -n 1 -N 1 "$APP"
qfw_teardown.sh
qfw_setup.sh && die
qfw_setup.sh
qfw_srun.sh -n 1 -N 1 "$APP" && die
qfw_teardown.sh
ls -d /tmp/qfw-*/$SLURM_CLUSTER_NAME-$SLURM_JOB_ID.*; echo end
"""
    job = place.job(script)
    assert job.end() == "COMPLETED", job.text
    assert len(ranks(job.text)) == 3 and job.text.count("is ready\n") == 3, job.text
    assert "no such file" in job.text.lower(), "teardown clears the daemon's node"
    assert_nothing_left(job)


def test_a_requeued_job_has_a_run_of_its_own(place: Place) -> None:
    script = f"""{HET}qfw_setup.sh && echo up ${{SLURM_RESTART_COUNT:-0}}
[ -n "$SLURM_RESTART_COUNT" ] || sleep 600
qfw_srun.sh -n 1 -N 1 "$APP"; qfw_teardown.sh
"""
    job = place.job(script, "--requeue", "--open-mode=append")
    job.says("up 0\n")
    place.cluster.run("scontrol", "requeue", job.job_id)
    for component in (job, replace(job, job_id=str(int(job.job_id) + 1))):
        wait_for("the component to wait for its second start", lambda c=component: c.state() == "PENDING")
        place.cluster.run("scontrol", "update", f"jobid={component.job_id}", "StartTime=now")  # else in two minutes
    assert place.local(job) == []
    assert job.end() == "COMPLETED", job.text
    assert f"{place.cluster.name}-{job.job_id}.1 is ready" in job.text and len(ranks(job.text)) == 1
    assert_nothing_left(job)


def test_nodes_that_share_no_file_system_get_copies(place: Place) -> None:
    """The batch script's node sees a file system of its own where the runs are, as if it shared none."""
    script = f"""{HET}mkdir "$QFW_RUN_BASE_DIR"
cat > inside.sh <<'END'
set -e
mount -t tmpfs none "$QFW_RUN_BASE_DIR"
qfw_setup.sh
ls -A "$QFW_RUN_BASE_DIR"/*
qfw_srun.sh -n 2 -N 2 "$APP"
echo in the batch script; python3 "$APP"
qfw_teardown.sh
ls -A "$QFW_RUN_BASE_DIR"; echo end
END
unshare --mount bash inside.sh || exit 1
ls -A "$QFW_RUN_BASE_DIR"; echo of all
"""
    job = place.job(script)
    assert job.end() == "COMPLETED", job.text
    assert "spread\n" in job.text, "it was not the shared way"
    applications, rest = job.text.split("in the batch script")
    assert [(node, way) for _, node, way in ranks(applications)] == [("c1", "tls"), ("c2", "tls")]
    assert ranks(rest) == [("-", "c1", "tls")] and rest.endswith("ended\nend\nof all\n")
    assert_nothing_left(job)
