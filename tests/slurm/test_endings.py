"""How a job may end: scancel under load, a node that goes down, the time limit. Nothing of it stays behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cluster import Cluster, Job, assert_nothing_left

pytestmark = pytest.mark.timeout(300)

HET = """#SBATCH --partition=compute --nodes=1 --ntasks=1
#SBATCH hetjob
#SBATCH --partition=quantum --nodes=1 --ntasks=2 --gres=qc:QC:1
"""
# Tasks that keep the simulator busy for seconds; where it stays, SIGTERM does not end it: it waits for all of them.
BUSY = """import signal
from qfw import qpi

def log(*words):
    with open("busy.log", "a") as file:
        print(*words, file=file)

builder = qpi.Builder(16, 16)
for layer in range(20):
    for q in range(16):
        builder.gate("ry", [q], [0.1 * (q + layer)])
        builder.gate("cx", [q, (q + 1) % 16])
for q in range(16):
    builder.measure(q, q)
program = builder.finish()
count = 200
with qpi.connect() as context:
    done = context.completion_queue()
    read = 0
    if STAYS:
        signal.signal(signal.SIGTERM, lambda *_: log("told to end with", count - read, "to come"))
    with context.mesh("statevec").stream(completions=done) as stream:
        for seed in range(count):
            stream.submit(qpi.Task(program, shots=10, seed=seed))
        while read < count:
            read += len(done.read(1, timeout=60))
            if read == 1:
                print("busy", flush=True)
    log("read", read)
"""


def busy_job(cluster: Cluster, scratch: Path, launcher: str, *options: str, stays: bool) -> Job:
    """A job in the middle of its work."""
    (scratch / "busy.py").write_text(f"STAYS = {stays}\n{BUSY}")
    job = cluster.batch(
        f"{HET}qfw_setup.sh --launcher {launcher} --drain 25 && qfw_srun.sh python3 busy.py\n", *options, cwd=scratch
    )
    job.says("busy\n")
    return job


@pytest.mark.parametrize("launcher", ["prte", "slurm"])
def test_scancel_under_load_lets_the_accepted_tasks_finish(cluster: Cluster, scratch: Path, launcher: str) -> None:
    if "ProctrackType=proctrack/cgroup" not in (cluster.directory / "slurm.conf").read_text():
        pytest.skip("no cgroups here: proctrack/linuxproc signals every descendant of a step, so nothing can drain")
    job = busy_job(cluster, scratch, launcher, stays=True)
    cluster.run("scancel", job.job_id)
    assert job.end() == "CANCELLED", job.text
    log = (scratch / "busy.log").read_text()  # Slurm takes the application's srun at once, and with it what it printed
    left = re.fullmatch(r"told to end with (\d+) to come\nread 200\n", log)
    assert left and int(left[1]) > 0, log + job.text
    assert_nothing_left(job)


def test_a_node_that_goes_down_ends_the_job_and_leaves_nothing(cluster: Cluster, scratch: Path) -> None:
    job = busy_job(cluster, scratch, "prte", "--no-requeue", stays=False)
    node = quantum_node(cluster, job)
    cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        assert job.end() == "NODE_FAIL", job.text
        assert_nothing_left(job)
    finally:
        if "down" in cluster.run("sinfo", "-h", "-n", node, "-o", "%T"):  # it may have registered again by itself
            cluster.run("scontrol", "update", f"nodename={node}", "state=resume")


def quantum_node(cluster: Cluster, job: Job) -> str:
    """The node of the job's second component."""
    said = cluster.run("squeue", "-h", "-o", "%P %N", "-j", job.job_id)
    return next(line.split()[1] for line in said.splitlines() if line.startswith("quantum"))
