"""Components, nodes and GRES of a Slurm job, from what Slurm 22.05 said in real ones (slurm_22_05/)."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded_slurm import Recorded, environ, read

from qfw.program.errors import InvalidArgument, Unavailable
from qfw.qpm import allocation, job

NO_GRES = ("JOB_GRES=qc:QC:1", "JOB_GRES=(null)")


def without_gres(**changes: str) -> allocation.Allocation:
    scontrol = Recorded("het", NO_GRES)
    scontrol.text = scontrol.text.replace("TresPerNode=gres:qc:QC:1", "")
    found = allocation.read(scontrol, environ("het", **changes))
    assert found is not None
    return found


@pytest.mark.parametrize("where", ["het", "het.step"])
def test_components_of_a_heterogeneous_job(where: str) -> None:
    found = read(where)
    assert found.heterogeneous and found.job == job.Job("qfwci", "1", 0) and found.job.run_id == "qfwci-1.0"
    assert [(c.group, c.job_id, c.partition, c.nodes, c.cpus, c.gres) for c in found.components] == [
        (0, "1", "compute", ("c1", "c2"), (2, 2), ""),
        (1, "2", "quantum", ("q1",), (1,), "qc:QC:1"),
    ]
    assert found.quantum.group == 1 and found.application.group == 0 and "GRES qc:QC:1" in found.why
    assert found.quantum.hosts() == "q1:1" and found.application.hosts() == "c1:2,c2:2"
    assert found.srun(found.quantum) == ["--het-group=1", "--overlap"]
    assert found.ends is not None and found.end_time()["SLURM_JOB_END_TIME"].isdigit()


def test_a_plain_job_is_all_of_it_both() -> None:
    found = read("plain")
    assert not found.heterogeneous and found.quantum is found.application and len(found.components) == 1
    assert found.quantum.nodes == ("c1", "c2") and found.quantum.cpus == (3, 1)
    assert found.srun(found.quantum) == ["--overlap"]


def test_no_job() -> None:
    assert allocation.read(Recorded("plain"), {}) is None


def test_the_quantum_component_by_partition_then_by_convention() -> None:
    by_partition = without_gres()
    assert by_partition.quantum.group == 1 and "partition quantum" in by_partition.why
    named = without_gres(QFW_QUANTUM_PARTITION="gpu,comp*")
    assert named.quantum.group == 0 and named.application.group == 1
    neither = without_gres(QFW_QUANTUM_PARTITION="none")
    assert neither.quantum.group == 1 and "convention" in neither.why and "none" in neither.why


def test_the_type_of_the_gres_is_configurable() -> None:
    assert "partition" in read("het", QFW_QUANTUM_GRES="qpu").why
    assert "GRES" in read("het", QFW_QUANTUM_GRES="qpu,qc").why
    scontrol = Recorded("het", ("qc:QC", "qpu"))
    found = allocation.read(scontrol, environ("het", QFW_QUANTUM_PARTITION="none"))
    assert found is not None and found.quantum.gres == "qpu:1" and "GRES" in found.why, "qpu is known as it is"


def test_an_explicit_group_wins() -> None:
    assert read("het", group=0).quantum.group == 0 and read("het", group=0).application.group == 1
    assert read("het", QFW_QUANTUM_GROUP="0").quantum.group == 0
    assert read("het", group=1, QFW_QUANTUM_GROUP="0").why == "named by --het-group"
    with pytest.raises(InvalidArgument, match=r"--het-group 2: the job has the components 0: c1, c2.*1: q1"):
        read("het", group=2)
    with pytest.raises(InvalidArgument, match="QFW_QUANTUM_GROUP='first'"):
        read("het", QFW_QUANTUM_GROUP="first")
    with pytest.raises(InvalidArgument, match="--het-group 1"):
        read("plain", group=1)


def test_a_requeued_job_has_a_run_of_its_own() -> None:
    assert read("het", SLURM_RESTART_COUNT="2").job.run_id == "qfwci-1.2"


def test_an_environment_that_is_not_whole_is_said() -> None:
    broken = environ("het")
    del broken["SLURM_JOB_NODELIST_HET_GROUP_1"]
    with pytest.raises(Unavailable, match="SLURM_JOB_NODELIST_HET_GROUP_1"):
        allocation.read(Recorded("het"), broken)


@pytest.mark.parametrize(
    ("text", "expected"), [("2(x2),4", (2, 2, 4)), ("1", (1,)), ("", ()), ("16(x3)", (16, 16, 16))]
)
def test_numbers_per_node(text: str, expected: tuple[int, ...]) -> None:
    assert allocation.counts(text) == expected


def test_numbers_per_node_that_are_none() -> None:
    with pytest.raises(Unavailable, match="many"):
        allocation.counts("many(x2)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("qc:QC:1", ["qc"]), ("gpu:2,qpu", ["gpu", "qpu"]), ("qc=1", ["qc"]), ("", [])],
)
def test_types_of_gres(text: str, expected: list[str]) -> None:
    assert allocation.gres_types(text) == expected


def test_newer_slurm_writes_gres_with_a_slash() -> None:
    assert allocation.gres_by_job("JobId=7 X=1\n   TresPerNode=gres/qc:1\n") == {"7": "qc:1"}


def test_names_of_many_nodes_are_shortened() -> None:
    assert allocation.hostlist(["a", "b"]) == "a, b"
    assert allocation.hostlist([f"c{n}" for n in range(10)]) == "c0 ... c9 (10 nodes)"


def test_a_command_that_is_missing_or_fails_says_so() -> None:
    commands = allocation.Commands()
    with pytest.raises(Unavailable, match=r"no-such-slurm is not on the PATH, and SLURM_JOB_ID is set"):
        commands.run("no-such-slurm")
    with pytest.raises(Unavailable, match=r"exit status 3: what went wrong"):
        commands.run("sh", "-c", "echo what went wrong >&2; exit 3")


def test_where_a_job_has_its_run() -> None:
    assert job.base_dir({"HOME": "/home/ada"}) == Path("/home/ada/.qfw/runs")
    assert job.base_dir({"HOME": "/home/ada", "QFW_RUN_BASE_DIR": "/scratch/ada"}) == Path("/scratch/ada")
    mine = job.of({"SLURM_JOB_ID": "7", "SLURM_CLUSTER_NAME": "frontier"})
    assert mine is not None and mine.local_dir("q1", 1000) == Path("/tmp/qfw-1000/frontier-7.0-q1")
    assert job.of({}) is None
    assert job.node_name({"SLURMD_NODENAME": "q1"}) == "q1" and job.node_name({}) != ""
