"""What every launcher promises, on the launchers that work here.

$QFW_TEST_LAUNCHERS names those to test on $QFW_TEST_LAUNCHER_HOST: the Slurm tests run this file inside a job,
with `slurm prte` on one of its nodes.
"""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from launching import PATIENCE, carrying, eventually, lasting, pids, python, running, spec

from qfw.program.errors import Closed, DeviceError, InvalidArgument, ResourceExhausted
from qfw.simenv.launch.choose import launcher_named
from qfw.simenv.launch.launcher import InstanceSpec, Launcher, Node, Place

NAMES = os.environ.get("QFW_TEST_LAUNCHERS", "local prte").split()
HOST = os.environ.get("QFW_TEST_LAUNCHER_HOST", "localhost")
SLURM = {name: value for name, value in os.environ.items() if name.startswith("SLURM")}  # conftest.py drops it
SLOTS = 4

Make = Callable[..., Launcher]


@pytest.fixture(params=NAMES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes launchers whose processes carry the path of this test in their environment; all are gone at the end."""
    mark = f"QFW_TEST_MARK={tmp_path}"
    with ExitStack() as opened, pytest.MonkeyPatch.context() as patch:
        patch.setenv("QFW_TEST_MARK", str(tmp_path))
        scratch = Path(tempfile.mkdtemp(prefix="qfwt-", dir="/tmp"))  # short: it is not taken otherwise
        patch.setenv("TMPDIR", str(scratch))
        patch.setattr("tempfile.tempdir", None)
        if HOST != "localhost":
            for name, value in SLURM.items():
                patch.setenv(name, value)

        def start(**options: bool) -> Launcher:
            launcher = launcher_named(request.param, [Node(HOST, SLOTS)], **options)
            opened.callback(launcher.close)
            return launcher

        yield start
        opened.close()
        eventually(lambda: not carrying(mark), "no process is left")
        left = [path.name for path in scratch.iterdir() if path.name.startswith(("prte", "qfw-", "pmix"))]
        shutil.rmtree(scratch)
        assert left == []


def test_an_instance_runs_and_ends(make: Make, tmp_path: Path) -> None:
    launcher = make()
    instance = launcher.start(spec(launcher, *lasting(tmp_path)))
    (pid,) = pids(tmp_path)
    assert instance.alive()
    assert not instance.wait(0)
    assert "still running" in instance.describe_end()
    instance.stop()
    assert instance.wait(0)
    assert not instance.alive()
    assert not running(pid)
    instance.stop()


def test_the_end_says_how_and_gives_the_last_words(make: Make) -> None:
    launcher = make()
    instance = launcher.start(spec(launcher, *python("print('no such luck', flush=True); raise SystemExit(3)")))
    assert instance.wait(PATIENCE)
    assert "exit status 3" in instance.describe_end()
    assert "no such luck" in instance.describe_end()
    assert instance.spec.name in instance.describe_end()


def test_a_killed_instance_is_known_to_be_dead(make: Make, tmp_path: Path) -> None:
    launcher = make()
    instance = launcher.start(spec(launcher, *lasting(tmp_path)))
    os.kill(pids(tmp_path)[0], signal.SIGKILL)
    assert instance.wait(PATIENCE)
    assert "SIGKILL" in instance.describe_end()


def test_one_instance_ends_and_the_others_stay(make: Make, tmp_path: Path) -> None:
    launcher = make()
    marks = [tmp_path / str(number) for number in range(3)]
    for mark in marks:
        mark.mkdir()
    first, second, third = [launcher.start(spec(launcher, *lasting(mark))) for mark in marks]
    numbers = [pids(mark)[0] for mark in marks]
    first.stop()
    os.kill(numbers[1], signal.SIGKILL)
    assert second.wait(PATIENCE)
    assert third.alive()
    assert running(numbers[2])


def test_an_instance_that_does_not_listen_is_ended_by_force(make: Make, tmp_path: Path) -> None:
    launcher = make()
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + lasting(tmp_path)[-1]
    instance = launcher.start(spec(launcher, *python(code)))
    (pid,) = pids(tmp_path)
    instance.stop(grace=0.2)
    assert not instance.alive()
    assert not running(pid)


def test_a_program_that_is_not_there_is_an_error(make: Make) -> None:
    launcher = make()
    try:
        instance = launcher.start(spec(launcher, "/no/such/program"))
    except DeviceError as error:
        message = str(error)
    else:
        assert instance.wait(PATIENCE)
        message = instance.describe_end()
    assert "/no/such/program" in message
    assert "No such file" in message


def test_the_environment_and_the_pinning_reach_the_instance(make: Make) -> None:
    launcher = make()
    cpu = min(os.sched_getaffinity(0))
    code = "import os; print(os.environ['SAMPLE'], sorted(os.sched_getaffinity(0)), flush=True)"
    instance = launcher.start(spec(launcher, *python(code), cpus=(0,), SAMPLE="a b=c"))
    assert instance.wait(PATIENCE)
    assert f"a b=c [{cpu}]" in instance.describe_end()


def test_never_more_ranks_than_slots(make: Make, tmp_path: Path) -> None:
    launcher = make()
    first, *others = [launcher.start(spec(launcher, *lasting(tmp_path))) for _ in range(SLOTS)]
    with pytest.raises(ResourceExhausted, match=f"of whose {SLOTS} slots 0 are free") as full:
        launcher.start(spec(launcher, *lasting(tmp_path)))
    assert full.value.transient
    with pytest.raises(ResourceExhausted) as never:
        launcher.start(spec(launcher, *lasting(tmp_path), ranks=SLOTS + 1))
    assert not never.value.transient
    first.stop()
    assert launcher.start(spec(launcher, *lasting(tmp_path))).alive()
    assert all(other.alive() for other in others)


def test_more_ranks_than_slots_when_asked(make: Make, tmp_path: Path) -> None:
    launcher = make(oversubscribe=True)
    instances = [launcher.start(spec(launcher, *lasting(tmp_path))) for _ in range(SLOTS + 1)]
    assert all(instance.alive() for instance in instances)


def test_what_cannot_be_started_is_refused(make: Make) -> None:
    launcher = make()
    with pytest.raises(InvalidArgument, match="at least one rank"):
        launcher.start(InstanceSpec("none", ("true",), ()))
    with pytest.raises(ResourceExhausted, match="node elsewhere cannot be used"):
        launcher.start(InstanceSpec("far", ("true",), (Place("elsewhere"),)))


def test_nodes_say_what_they_have(make: Make) -> None:
    launcher = make()
    (node,) = launcher.nodes()
    assert (node.name, node.slots) == (HOST, SLOTS)
    assert node.cpus == len(os.sched_getaffinity(0))
    assert node.memory_bytes > 1 << 28
    assert launcher.generation == 1


def test_ranks_of_one_instance_are_one_mpi_world(make: Make) -> None:
    launcher = make()
    assert launcher.max_ranks == SLOTS
    code = "from mpi4py.MPI import COMM_WORLD as c; print(c.rank, 'of', c.size, c.allreduce(c.rank), flush=True)"
    instance = launcher.start(spec(launcher, sys.executable, "-c", code, ranks=2))
    assert instance.wait(PATIENCE)
    assert "0 of 2 1" in instance.describe_end()
    assert "1 of 2 1" in instance.describe_end()


def test_ranks_are_numbered_by_place_and_share_its_cpus(make: Make) -> None:
    launcher = make()
    cpus = sorted(os.sched_getaffinity(0))[:2]
    code = "import os; from mpi4py import MPI; print(MPI.COMM_WORLD.rank, 'on', os.sched_getaffinity(0), flush=True)"
    instance = launcher.start(spec(launcher, sys.executable, "-c", code, ranks=2, cpus=tuple(cpus)))
    assert instance.wait(PATIENCE)
    own = [{cpu} for cpu in cpus] if len(cpus) == 2 else [set(cpus), set(cpus)]
    for rank in range(2):
        assert f"{rank} on {own[rank]}" in instance.describe_end()


def test_one_dead_rank_ends_the_instance(make: Make, tmp_path: Path) -> None:
    launcher = make()
    instance = launcher.start(spec(launcher, *lasting(tmp_path), ranks=2))
    first, second = pids(tmp_path, 2)
    os.kill(second, signal.SIGKILL)
    assert instance.wait(PATIENCE)
    eventually(lambda: not running(first), "the other rank ends")


def test_close_ends_all_and_refuses_more(make: Make, tmp_path: Path) -> None:
    launcher = make()
    instance = launcher.start(spec(launcher, *lasting(tmp_path)))
    (pid,) = pids(tmp_path)
    launcher.close()
    assert instance.wait(PATIENCE)
    assert not running(pid)
    with pytest.raises(Closed):
        launcher.start(spec(launcher, *lasting(tmp_path)))
    launcher.close()
