"""scripts/dev/slurm-cluster, and the prolog and epilog of slurm/."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cluster import Cluster, cluster_command, processes

ESCAPE = """
# Leaves Slurm's sight: another session, and where there are cgroups, the root of them.
python3 - <<'PY'
import os, subprocess
from pathlib import Path
from qfw.simenv.launch import registry
left = subprocess.Popen(["sleep", "600"], start_new_session=True)
for procs in Path("/sys/fs/cgroup").glob("*/cgroup.procs"):
    procs.write_text(str(left.pid))
Path(os.environ["TMPDIR"], "left").mkdir()
other = subprocess.Popen(["sleep", "601"], start_new_session=True)
assert registry.record("left", left.pid, [os.environ["TMPDIR"] + "/left"])
wrong = registry.record("other", os.getpid())
wrong.write_text(f"process {other.pid} 1\\n") # another process has this number now
for procs in Path("/sys/fs/cgroup").glob("*/cgroup.procs"):
    procs.write_text(str(other.pid))
print("left", left.pid, "other", other.pid, flush=True)
PY
"""


def daemons(directory: Path) -> list[int]:
    return [pid for pid, argv in processes().items() if any(str(directory) in word for word in argv)]


def test_up_and_down_leave_nothing_and_may_be_repeated(possible: None, scratch: Path) -> None:
    where = ("--dir", str(scratch / "cl"))
    assert "2 of 2 nodes ready" in cluster_command("up", "--compute", "1", "--gres-name", "qpu", *where)
    try:
        mine = daemons(scratch)
        assert len(mine) == 4  # munged, slurmctld, two slurmd
        assert "2 of 2 nodes ready" in cluster_command("up", "--compute", "1", "--gres-name", "qpu", *where)
        assert daemons(scratch) == mine
        assert cluster_command("conf", *where).strip() == f"{scratch}/cl/slurm.conf"
        small = Cluster(scratch / "cl")
        name = small.name
        assert "gres:qpu:QC:1" in small.run("srun", "-p", "quantum", "--gres=qpu:QC:1", "bash", "-c",
                                            "squeue -h -O tres-per-node:40 -j $SLURM_JOB_ID")  # fmt: skip
        with pytest.raises(AssertionError, match="first scripts/dev/slurm-cluster down"):
            cluster_command("up", "--compute", "3", *where)
    finally:
        cluster_command("down", *where)
    assert not daemons(scratch) and not (scratch / "cl").exists()
    assert not Path("/run/qfw/jobs", name).exists()
    assert "nothing in" in cluster_command("down", *where)
    with pytest.raises(AssertionError, match="no cluster in"):
        cluster_command("conf", *where)


def test_down_removes_no_directory_of_others(possible: None, scratch: Path) -> None:
    (scratch / "notes.txt").write_text("mine")
    for action in ("up", "down"):
        with pytest.raises(AssertionError, match="holds other things|not a directory of this command"):
            cluster_command(action, "--dir", str(scratch))
    assert (scratch / "notes.txt").read_text() == "mine"


def test_the_epilog_ends_what_the_job_recorded_and_slurm_did_not(cluster: Cluster, scratch: Path) -> None:
    job = cluster.batch(ESCAPE, cwd=scratch)
    assert job.end() == "COMPLETED", job.text
    words = job.text.split()
    left, other = int(words[1]), int(words[3])
    try:
        assert left not in processes() and not (scratch / "tmp" / "left").exists()
        assert other in processes()  # its start time was another one
        assert not Path("/run/qfw/jobs", cluster.name, job.job_id).exists()
    finally:
        os.kill(other, 9)
