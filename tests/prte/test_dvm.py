"""A DVM of our own: what dies, what is told, what is started again, and what is left behind: nothing.

Several hosts are played on this one by an agent that gives every prted a UTS namespace, thus a host name, of its own.
"""

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from launching import PATIENCE, carrying, eventually, lasting, pids, running, spec

from qfw.program.errors import DeviceError, InvalidArgument, NotFound, ResourceExhausted
from qfw.simenv.launch import pmix, prte
from qfw.simenv.launch.launcher import InstanceSpec, Node, Place
from qfw.simenv.launch.prte import PrteLauncher
from qfw.simenv.launch.reach import Agent

Make = Callable[..., PrteLauncher]


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """The temporary directory of all that a test starts. At the end nothing is in it, and nothing started runs."""
    scratch = Path(tempfile.mkdtemp(prefix="qfwt-", dir="/tmp"))  # short: the DVM's directory is in /tmp otherwise
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QFW_TEST_MARK", str(tmp_path))
        patch.setenv("TMPDIR", str(scratch))
        patch.setattr("tempfile.tempdir", None)
        yield scratch
    eventually(lambda: not carrying(f"QFW_TEST_MARK={tmp_path}"), "no process is left")
    assert [path.name for path in scratch.rglob("*") if path.name.startswith(("prte", "qfw-", "pmix"))] == []
    shutil.rmtree(scratch)


@pytest.fixture
def make(scratch: Path) -> Iterator[Make]:
    with ExitStack() as opened:

        def start(*hosts: Node, **options: object) -> PrteLauncher:
            launcher = PrteLauncher(hosts or [Node("localhost", 2)], **options)  # type: ignore[arg-type]
            opened.callback(launcher.close)
            return launcher

        yield start


@pytest.fixture
def agent(scratch: Path) -> Agent:
    """Reaches the hosts n1, n2, ...: as far as there is no file of that name in the folder `lost`."""
    (scratch / "lost").mkdir()
    script = scratch / "agent"
    script.write_text(
        f"""#!/bin/sh
host=$1; shift
[ -e {shlex.quote(str(scratch))}/lost/$host ] && exit 1
exec unshare -u sh -c 'hostname "$0"; exec sh -c "$*"' "$host" "$@"
"""
    )
    script.chmod(0o700)
    if " " in sys.prefix:
        pytest.skip(f"PRTE starts nothing on other hosts from a path with a space ({sys.prefix})")
    probe = subprocess.run([script, "n1", "hostname"], capture_output=True, text=True)
    if probe.stdout.strip() != "n1":
        pytest.skip(f"no UTS namespaces here (root makes them): {probe.stderr.strip()}")
    return Agent(str(script))


def next_generation(launcher: PrteLauncher, number: int) -> None:
    eventually(lambda: launcher.generation == number, f"generation {number}: {launcher.about()}")


def signal_prted(host: str, number: signal.Signals, *, there: bool = True) -> None:
    """Signals the prted of a host, and the process that it has left to wait for it."""
    mark = f"QFW_TEST_MARK={os.environ['QFW_TEST_MARK']}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            named = entry.name.isdigit() and (entry / "comm").read_text() == "prted\n"
            if named and mark in (entry / "environ").read_bytes() and _host_of(entry.name) == host:
                found.append(int(entry.name))
        except (OSError, ProcessLookupError):
            continue
    assert found or not there
    for pid in found:
        os.kill(pid, number)


def _host_of(pid: str) -> str:
    said = subprocess.run(["nsenter", "-u", "-t", pid, "hostname"], capture_output=True, text=True, check=True)
    return said.stdout.strip()


@pytest.mark.parametrize("which", [0, 1], ids=["prte", "the process that holds it"])
def test_a_killed_dvm_ends_its_instances_and_is_started_again(make: Make, tmp_path: Path, which: int) -> None:
    launcher = make()
    instance = launcher.start(spec(launcher, *lasting(tmp_path)))
    (pid,) = pids(tmp_path)
    os.kill(launcher.processes[which], signal.SIGKILL)
    assert instance.wait(PATIENCE)
    assert "ended with its DVM" in instance.describe_end()
    next_generation(launcher, 2)
    assert not running(pid), "the next generation starts when the ranks of the one before are gone"
    (tmp_path / "0").unlink()
    assert launcher.start(spec(launcher, *lasting(tmp_path))).alive()
    pids(tmp_path)


def test_while_there_is_no_dvm_a_start_is_asked_for_again_later(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prte, "PAUSES", (3600.0,))
    launcher = make()
    os.kill(launcher.processes[0], signal.SIGKILL)
    eventually(lambda: launcher.processes == (0, 0), "the death is known")
    with pytest.raises(ResourceExhausted, match=r"is being started again: prte was ended by SIGKILL") as refused:
        launcher.start(spec(launcher, "true"))
    assert refused.value.transient
    assert "down: prte was ended by SIGKILL" in launcher.about()


def test_a_dvm_that_does_not_come_again_is_an_error_until_it_does(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(prte, "PAUSES", (0.0,))
    program = tmp_path / "bin/prte"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ -e {tmp_path}/broken ] && {{ echo no more; exit 7; }}\nexec {prte.find_prte()} "$@"\n'
    )
    program.chmod(0o700)
    for name, value in prte.openmpi.place(prte.find_prte()).items():
        monkeypatch.setenv(name, value)
    launcher = make(prte=program)
    (tmp_path / "broken").touch()
    os.kill(launcher.processes[0], signal.SIGKILL)

    def given_up() -> bool:
        try:
            launcher.start(spec(launcher, "true"))
        except ResourceExhausted:
            return False
        except DeviceError as error:
            return "exit status 7" in str(error) and "no more" in str(error)
        return False

    eventually(given_up, "instances are refused for good")
    (tmp_path / "broken").unlink()
    next_generation(launcher, 2)


def test_the_launchers_process_is_killed_and_nothing_is_left(scratch: Path, tmp_path: Path) -> None:
    code = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
from pathlib import Path
from launching import lasting, pids, spec
from qfw.simenv.launch.launcher import Node
from qfw.simenv.launch.prte import PrteLauncher
mark = Path({str(tmp_path)!r})
launcher = PrteLauncher([Node("localhost", 2)])
launcher.start(spec(launcher, *lasting(mark), ranks=2))
pids(mark, 2)
print("ready", flush=True)
time.sleep(3600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        owner.kill()
    ranks = pids(tmp_path, 2)
    eventually(lambda: not any(running(pid) for pid in ranks), "the ranks end")
    eventually(lambda: not list(scratch.glob("qfw-prte-*")), "the directories go")


def test_directories_that_nobody_holds_are_removed_by_the_next(make: Make, scratch: Path) -> None:
    old, held = scratch / "qfw-prte-old", scratch / "qfw-prte-held"
    for directory in (old, held):
        (directory / "prte.1").mkdir(parents=True)
    lock = os.open(held / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    make()
    assert not old.exists()
    assert held.exists()
    os.close(lock)
    make()
    assert not held.exists()


def test_no_prte_and_no_libpmix_say_what_was_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QFW_PRTE", str(tmp_path / "none"))
    with pytest.raises(NotFound, match=r"QFW_PRTE is .*none, which cannot be executed"):
        PrteLauncher([Node("localhost", 1)])
    monkeypatch.setenv("QFW_PMIX_LIB", str(tmp_path / "libpmix.so.2"))
    with pytest.raises(NotFound, match="which is not a file"):
        pmix.find_library()


def test_hosts_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="no way to reach them"):
        PrteLauncher([Node("a", 1), Node("b", 1)])
    with pytest.raises(InvalidArgument, match="at least one slot"):
        PrteLauncher([Node("localhost", 0)])


def test_a_dvm_that_cannot_start_says_why(make: Make, tmp_path: Path) -> None:
    program = tmp_path / "prte"
    program.write_text("#!/bin/sh\necho 'no fabric here' >&2; exit 5\n")
    program.chmod(0o700)
    with pytest.raises(DeviceError, match=r"exit status 5 before its DVM was ready: no fabric here"):
        make(prte=program)


def test_ranks_go_to_their_hosts_in_the_order_of_places(make: Make, agent: Agent) -> None:
    launcher = make(Node("n1", 2), Node("n2", 2), reach=agent)
    assert [node.name for node in launcher.nodes()] == ["n1", "n2"]
    assert all(node.memory_bytes for node in launcher.nodes())
    code = "import os, socket; from mpi4py.MPI import COMM_WORLD as c; print(c.gather((c.rank, socket.gethostname())))"
    places = (Place("n2", 1), Place("n1", 2))
    instance = launcher.start(InstanceSpec("mpi", (sys.executable, "-c", code), places))
    assert instance.wait(PATIENCE)
    assert "[(0, 'n2'), (1, 'n1'), (2, 'n1')]" in instance.describe_end()


def test_a_killed_prted_takes_the_dvm_and_all_come_again(make: Make, agent: Agent, tmp_path: Path) -> None:
    launcher = make(Node("n1", 1), Node("n2", 1), reach=agent)
    instances = [launcher.start(_on(node, tmp_path)) for node in ("n1", "n2")]
    numbers = [pids(tmp_path / node)[0] for node in ("n1", "n2")]
    signal_prted("n2", signal.SIGKILL)
    assert all(instance.wait(PATIENCE) for instance in instances)
    next_generation(launcher, 2)
    assert [node.name for node in launcher.nodes()] == ["n1", "n2"]
    assert not any(running(number) for number in numbers)


def test_a_lost_host_is_left_out_of_the_next_generation(
    make: Make, agent: Agent, tmp_path: Path, scratch: Path
) -> None:
    launcher = make(Node("n1", 1), Node("n2", 1), reach=agent)
    launcher.start(_on("n1", tmp_path))
    (scratch / "lost/n2").touch()
    signal_prted("n2", signal.SIGKILL)
    next_generation(launcher, 2)
    assert [node.name for node in launcher.nodes()] == ["n1"]
    with pytest.raises(ResourceExhausted, match="node n2 cannot be used; nodes are n1"):
        launcher.start(_on("n2", tmp_path))
    (scratch / "lost/n2").unlink()
    os.kill(launcher.processes[0], signal.SIGKILL)
    next_generation(launcher, 3)
    assert [node.name for node in launcher.nodes()] == ["n1", "n2"], "it is back"


def test_a_host_that_does_not_do_as_told_is_lost(
    make: Make, agent: Agent, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = make(Node("n1", 1), Node("n2", 1), reach=agent)
    first, second = (launcher.start(_on(node, tmp_path)) for node in ("n1", "n2"))
    ranks = [pids(tmp_path / node)[0] for node in ("n1", "n2")]
    signal_prted("n2", signal.SIGSTOP)
    (scratch / "lost/n2").touch()
    monkeypatch.setattr(prte, "PATIENCE_SECONDS", 0.1)
    second.stop(grace=0.1)
    next_generation(launcher, 2)
    assert [node.name for node in launcher.nodes()] == ["n1"]
    assert first.wait(PATIENCE)
    assert second.wait(PATIENCE)
    assert "it has not ended" in first.describe_end() or "the DVM was ended" in first.describe_end()
    signal_prted("n2", signal.SIGKILL, there=False)
    eventually(lambda: not any(running(rank) for rank in ranks), "the ranks end with their prted")


def test_a_host_that_is_lost_from_the_beginning_is_left_out(make: Make, agent: Agent, scratch: Path) -> None:
    (scratch / "lost/n2").touch()
    launcher = make(Node("n1", 1), Node("n2", 1), reach=agent)
    assert [node.name for node in launcher.nodes()] == ["n1"]
    (scratch / "lost/n1").touch()
    with pytest.raises(DeviceError, match="before its DVM was ready"):
        make(Node("n1", 1), Node("n2", 1), reach=agent)


def test_a_dvm_on_the_wrong_hosts_is_refused(make: Make, agent: Agent, scratch: Path) -> None:
    wrong = scratch / "wrong"
    wrong.write_text(f'#!/bin/sh\nshift; exec {agent.agent} n7 "$@"\n')
    wrong.chmod(0o700)
    with pytest.raises(DeviceError, match=r"n1"):
        make(Node("n1", 1), reach=Agent(str(wrong)))


def _on(node: str, folder: Path) -> InstanceSpec:
    mark = folder / node
    mark.mkdir(exist_ok=True)
    return InstanceSpec(f"on {node}", lasting(mark), (Place(node),))
