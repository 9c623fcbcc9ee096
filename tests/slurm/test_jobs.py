"""qfw's scripts in real Slurm jobs: the paper's job as printed, the examples of slurm/, and jobs of other shapes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cluster import ROOT, Cluster, Job, assert_nothing_left, assert_solved

pytestmark = pytest.mark.timeout(300)
EXAMPLES = ROOT / "slurm" / "examples"
FIGURE_12 = ["qfw_setup.sh", "qfw_srun.sh python3 application.py", "qfw_teardown.sh"]


def finished(job: Job) -> str:
    """The output of a job that went well and left nothing."""
    state = job.end()
    assert state == "COMPLETED", f"job {job.job_id} is {state}:\n{job.text}"
    assert_nothing_left(job)
    return job.text


def test_the_paper_s_job_as_printed(cluster: Cluster, scratch: Path) -> None:
    """Figure 11: ten compute nodes and a quantum one; Figure 12: the body, unchanged."""
    script = (EXAMPLES / "paper.sbatch").read_text().splitlines()
    assert [line for line in script if line and not line.startswith("#")] == FIGURE_12
    job = cluster.submit(EXAMPLES / "paper.sbatch", cwd=EXAMPLES, scratch=scratch)
    text = finished(job)
    assert "10 ranks" in text  # without --ntasks: one copy per node
    assert_solved(text)


@pytest.mark.parametrize("name", ["vqls", "one-component"])
def test_an_example_solves_the_linear_system(cluster: Cluster, scratch: Path, name: str) -> None:
    text = finished(cluster.submit(EXAMPLES / f"{name}.sbatch", cwd=EXAMPLES, scratch=scratch))
    assert_solved(text)
    assert name != "one-component" or "2 ranks" in text


def test_wide_batches_of_two_nodes_on_two_quantum_nodes(cluster: Cluster, scratch: Path) -> None:
    text = finished(cluster.submit(EXAMPLES / "batch.sbatch", cwd=EXAMPLES, scratch=scratch))
    assert text.count("500 circuits, 50000 shots") == 2 and "embedded" not in text


def test_one_big_simulation_on_the_ranks_of_two_quantum_nodes(cluster: Cluster, scratch: Path) -> None:
    text = finished(cluster.submit(EXAMPLES / "simulation.sbatch", cwd=EXAMPLES, scratch=scratch))
    assert "20 qubits on 4 of up to 4 ranks" in text and "embedded" not in text
    found = re.search(r"20 expectation values, none off by more than (\S+),", text)
    assert found and float(found[1]) < 1e-12, text


def test_a_session_under_salloc(cluster: Cluster, scratch: Path) -> None:
    commands = (
        "qfw_setup.sh && qfw_srun.sh -n 1 python3 batch.py --circuits 20; qfw_teardown.sh; echo job $SLURM_JOB_ID"
    )
    text = cluster.run("./interactive.sh", "bash", "-c", commands, cwd=EXAMPLES, **cluster.of_user(scratch))
    assert "20 circuits, 2000 shots" in text and "embedded" not in text
    job_id = re.search(r"^job (\d+)$", text, re.MULTILINE)
    assert job_id
    finished(Job(cluster, job_id[1], scratch / "none", scratch))
