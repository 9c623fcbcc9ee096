"""Launchers inside a Slurm job: what all launchers promise, and what takes two nodes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cluster import ROOT, Cluster, assert_nothing_left

pytestmark = pytest.mark.timeout(300)
JOB = """
#SBATCH --partition=compute --nodes=1
#SBATCH hetjob
#SBATCH --partition=quantum --nodelist=q1,q2 --ntasks-per-node=2 --gres=qc:QC:1
step() { srun --het-group=1 --overlap --nodes=1 --ntasks=1 --nodelist=q1 --mpi=none "$@"; }
"""
SUITE = "tests/conformance/test_launchers.py"
OF_PRTE = "mpi_world or killed_instance or close_ends"  # the rest does not depend on where the DVM is


def test_what_launchers_promise_holds_in_a_job(cluster: Cluster, scratch: Path) -> None:
    pytest_in_job = (
        f"{sys.executable} -m pytest -q -p no:cacheprovider --basetemp={scratch}/base {SUITE} -k 'slurm or {OF_PRTE}'"
    )
    body = JOB + f"export QFW_TEST_LAUNCHERS='slurm prte' QFW_TEST_LAUNCHER_HOST=q1\nstep {pytest_in_job}\n"
    job = cluster.batch(f"{body}", "--chdir", str(ROOT), cwd=scratch)
    state = job.end(200)
    assert state == "COMPLETED", f"{state}: {job.text}"
    assert "18 passed" in job.text, job.text
    assert_nothing_left(job)


def test_both_reach_two_nodes_of_a_component(cluster: Cluster, scratch: Path) -> None:
    script = Path(__file__).with_name("launch_in_job.py")
    job = cluster.batch(JOB + f"step {sys.executable} {script}\n", cwd=scratch)
    state = job.end(200)
    assert state == "COMPLETED", f"{state}: {job.text}"
    for text in (
        "reach Steps(het_group=1)",
        "slurm: one world on q2, q2, q1",
        "prte: lasting (PMIx job",
        "ended with its DVM",
        "all done",
    ):
        assert text in job.text, job.text
    assert job.text.count("prte: one world on q2, q2, q1") == 2, job.text
    assert_nothing_left(job)
