"""What launchers decide before they start anything: slots, places, ways to nodes, which launcher."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qfw.program.errors import DeviceError, InvalidArgument, NotFound, ResourceExhausted, Unavailable, Unsupported
from qfw.simenv.launch import choose, openmpi, pmix, probe, tether
from qfw.simenv.launch.launcher import InstanceSpec, Node, Place
from qfw.simenv.launch.prte import describe_status
from qfw.simenv.launch.reach import Agent, Here, Steps, reach_of
from qfw.simenv.launch.slots import Slots
from qfw.simenv.launch.slurm import SlurmLauncher
from qfw.simenv.launch.survey import compare


def spec(*places: Place) -> InstanceSpec:
    return InstanceSpec("sample", ("true",), places)


def test_slots_are_counted_by_node_and_given_back() -> None:
    slots = Slots([Node("a", 2), Node("b", 1)])
    slots.take(spec(Place("a", 1), Place("b", 1)))
    with pytest.raises(ResourceExhausted, match="2 ranks on node a, of whose 2 slots 1 are free") as full:
        slots.take(spec(Place("a", 1), Place("a", 1)))
    assert full.value.transient
    slots.give(spec(Place("a", 1), Place("b", 1)))
    slots.take(spec(Place("a", 2), Place("b", 1)))


def test_an_instance_that_was_refused_takes_nothing() -> None:
    slots = Slots([Node("a", 2), Node("b", 1)])
    with pytest.raises(ResourceExhausted, match="2 ranks on node b, of whose 1 slots 1 are free") as never:
        slots.take(spec(Place("a", 2), Place("b", 2)))
    assert not never.value.transient
    slots.take(spec(Place("a", 2), Place("b", 1)))


@pytest.mark.parametrize(
    ("places", "rank", "cpus"),
    [
        ("0:2:4,5,6,7", 0, [4, 5]),
        ("0:2:4,5,6,7", 1, [6, 7]),
        ("0:3:4,5", 1, [4, 5]),
        ("0:2:4,5,6", 1, [5]),
        ("2:1:8;3:2:9,10", 4, [10]),
        ("2:1:;3:2:9,10", 2, []),
        ("0:1:3", 1, []),
    ],
)
def test_the_cpus_of_a_place_are_shared_out(places: str, rank: int, cpus: list[int]) -> None:
    assert tether.share(places, rank) == cpus


def test_places_are_told_to_ranks_in_their_order() -> None:
    assert tether.before(9, "prte", [(2, (0, 1)), (1, (2,))], base=3)[-3:] == ["9", "prte", "3:2:0,1;5:1:2"]
    assert tether.before(9, 7, [(2, ())])[-3:] == ["9", "7", "-"]


def probed(rank: int, *names: str) -> str:
    return json.dumps({"probe": 1, "rank": rank, "names": list(names), "cpus": 3, "memory_bytes": 1 << 30})


def test_nodes_are_found_by_the_names_that_they_tell() -> None:
    text = "\n".join(["srun: a warning", probed(1, "q2", "host"), probed(0, "q1", "host")])
    nodes = [Node("q1.site", 2), Node("q2", 2, cpus=8, memory_bytes=5)]
    assert compare(nodes, text, Steps()) == (Node("q1.site", 2, 3, 1 << 30), Node("q2", 2, 8, 5))


def test_ranks_on_other_nodes_are_an_error_that_names_both() -> None:
    nodes = [Node("q1", 1), Node("q2", 1)]
    with pytest.raises(DeviceError, match=r"rank 0 was to run on q1 and ran on c1 = vm; ranks said: "):
        compare(nodes, probed(0, "c1", "vm") + "\n" + probed(1, "c2", "vm"), Steps())
    with pytest.raises(DeviceError, match="rank 0 was to run on q1 and ran on q2"):
        compare(nodes, probed(0, "q2") + "\n" + probed(1, "q1"), Steps())
    with pytest.raises(DeviceError, match="ran nowhere; ranks said: no such node"):
        compare(nodes[:1], "no such node", Steps())
    with pytest.raises(DeviceError, match=r"rank 1 was to run on 10.0.0.2 and ran nowhere"):
        compare([Node("10.0.0.1", 1), Node("10.0.0.2", 1)], probed(0, "vm"), Agent("ssh"))


def test_the_way_to_nodes_follows_from_where_we_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\necho "$3" | tr , "\\n"\n')
    scontrol.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert reach_of([Node("localhost", 1)]) == Here()
    assert reach_of([Node("a", 1), Node("b", 1)], "./agent") == Agent("./agent")
    with pytest.raises(InvalidArgument, match="hosts a, b: no launch agent is named and this is no Slurm job"):
        reach_of([Node("b", 1), Node("a", 1)])
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert reach_of([Node("localhost", 1)]) == Here()
    assert reach_of([Node("q1", 1)]) == Steps()
    monkeypatch.setenv("SLURM_HET_SIZE", "2")
    monkeypatch.setenv("SLURM_JOB_NODELIST_HET_GROUP_0", "c1,c2")
    monkeypatch.setenv("SLURM_JOB_NODELIST_HET_GROUP_1", "q1,q2")
    assert reach_of([Node("q2", 1)]) == Steps(1)
    with pytest.raises(InvalidArgument, match="hosts c1, q1 are not of one component"):
        reach_of([Node("c1", 1), Node("q1", 1)])


def test_every_step_of_ours_overlaps() -> None:
    assert Steps(1).options() == ["--het-group=1", "--overlap"]
    assert "--overlap" in Steps().command("q1", ["true"])
    assert Steps(1).arguments([Node("q1", 2)])[-1] == "--het-group=1 --overlap --nodes=1 --nodelist=q1"


def test_the_choice_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QFW_PRTE", str(tmp_path / "prte"))
    reasons = choose.choices([Node("localhost", 1)])
    assert "cannot be executed" in reasons["prte"]
    assert reasons["slurm"] == "not inside a Slurm job"
    assert reasons["local"] == ""
    assert choose.best([Node("localhost", 1)]) == "local"
    with pytest.raises(NotFound, match=r"no launcher for 2 hosts: prte: .*; slurm: not inside .*; local: it starts on"):
        choose.best([Node("a", 1), Node("b", 1)])
    with pytest.raises(InvalidArgument, match="launcher 'bsub'; there are prte, slurm, local and auto"):
        choose.launcher_named("bsub", [Node("localhost", 1)])
    with pytest.raises(InvalidArgument, match="for one host, not 2"):
        choose.launcher_named("local", [Node("a", 1), Node("b", 1)])


def test_steps_need_a_job() -> None:
    with pytest.raises(Unavailable, match="SLURM_JOB_ID is not set"):
        SlurmLauncher([Node("q1", 1)])


def test_where_libpmix_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    beside = tmp_path / "site/lib" / openmpi.PMIX_LIBRARY
    beside.parent.mkdir(parents=True)
    beside.touch()
    assert pmix.find_library(tmp_path / "site/bin/prte") == str(beside)
    chosen = tmp_path / "chosen.so"
    chosen.touch()
    monkeypatch.setenv("QFW_PMIX_LIB", str(chosen))
    assert pmix.find_library(tmp_path / "site/bin/prte") == str(chosen)
    monkeypatch.delenv("QFW_PMIX_LIB")
    monkeypatch.setattr(openmpi, "wheel_prefix", lambda: None)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "none"))
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    with pytest.raises(NotFound, match=r"no libpmix.so.2: not in .*none/lib/openmpi.* \$QFW_PMIX_LIB may name it"):
        pmix.find_library()


def test_variables_of_another_job_do_not_reach_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "SLURM_JOB_ID", "OMPI_MCA_btl", "SAMPLE"):
        monkeypatch.setenv(name, "1")
    env = openmpi.environment(tmp_path / "bin/prte", "SLURM")
    assert {"PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "SLURM_JOB_ID"}.isdisjoint(env)
    assert env["OMPI_MCA_btl"] == env["SAMPLE"] == "1"


def test_sizes_that_are_not_those_of_pmix_are_refused() -> None:
    class Odd:
        def sizeof(self, name: str) -> int:
            return 40

    with pytest.raises(Unsupported, match="has 40 bytes on this platform, PMIx on 64-bit Linux"):
        pmix.check_sizes(Odd())


@pytest.mark.parametrize(
    ("status", "text"),
    [(0, "ended with exit status 0"), (3, "ended with exit status 3"), (137, "was ended by SIGKILL"), (-1, "not tell")],
)
def test_the_status_of_a_job_in_words(status: int, text: str) -> None:
    assert text in describe_status(status)


def test_a_node_is_cleared_of_what_a_lost_dvm_left(tmp_path: Path) -> None:
    mine, other = tmp_path / "qfw-prte-mine", tmp_path / "qfw-prte-other"

    def prted(directory: Path) -> subprocess.Popen[bytes]:
        (directory / "prted.1").mkdir(parents=True)
        code = "import signal; print(flush=True); signal.pause()"
        argv = ["prted", "-c", code, "--prtemca", "prte_tmpdir_base", f'"{directory}"']
        process = subprocess.Popen(argv, executable=sys.executable, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline()
        return process

    with prted(mine) as lost, prted(other) as kept:
        said = subprocess.run([sys.executable, "-I", "-S", probe.__file__, mine], capture_output=True, check=True)
        assert lost.wait(60) == -signal.SIGKILL
        assert json.loads(said.stdout)["probe"] == 1
        assert not mine.exists()
        assert kept.poll() is None and other.exists()
        kept.kill()
