"""Simulators as instances: started on slots, adopted by the next daemon, ended by their lease; nothing stays behind."""

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from launching import carrying, eventually, running

from qfw import qpi
from qfw.program import Builder, Program
from qfw.program.errors import InvalidArgument, LimitExceeded
from qfw.qpi.errors import ErrorAvailable
from qfw.qpm import instance_records, run_cli
from qfw.qpm import run as runs
from qfw.qpm.instance_records import Record
from qfw.qpm.launch_options import LaunchOptions

PATIENCE = 60.0  # seconds; never reached by code that works


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Directories of this test's own. At the end no process is left that it started, and nothing but logs."""
    base = Path(os.environ["XDG_RUNTIME_DIR"]) / f"t{os.urandom(3).hex()}"
    for name in ("r", "s"):
        (base / name).mkdir(mode=0o700, parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base / "r"))
    monkeypatch.setenv("XDG_STATE_HOME", str(base / "s"))
    monkeypatch.setenv("QFW_TEST_MARK", str(base))
    yield base
    for run in runs.runs():
        run_cli.clean(run, grace=5.0)
    eventually(lambda: not carrying(f"QFW_TEST_MARK={base}"), "no process is left")
    assert [p for p in base.rglob("*") if not p.is_dir() and p.suffix != ".log"] == []


def start(run: runs.Run, slots: int = 2, restart: bool = False) -> None:
    run_cli.start(run, launch=LaunchOptions("local", slots=slots), restart=restart, log_level="info")


def flip(bits: int) -> Program:
    """Prepares and measures a number."""
    builder = Builder(8, 8)
    for q in range(8):
        if bits >> q & 1:
            builder.gate("x", [q])
        builder.measure(q, q)
    return builder.finish()


def check(mesh: qpi.Mesh, number: int) -> None:
    assert mesh.run(qpi.Task(flip(number), shots=3)).counts == {format(number, "08b"): 3}


def read(done: qpi.CompletionQueue, count: int) -> list[qpi.Completion]:
    """So many results; raises the error of a task that failed."""
    found: list[qpi.Completion] = []
    while len(found) < count:
        try:
            found += done.read(count - len(found), timeout=PATIENCE)
        except ErrorAvailable:
            failed = done.readerr()
            assert failed.error is not None
            raise failed.error from None
    return found


def instances(run: runs.Run) -> list[Record]:
    return instance_records.read(run.instances)


def kill(process: runs.Process | None) -> None:
    """Kills a process and waits for its death."""
    assert process is not None
    fd = os.pidfd_open(process.pid)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    assert poll.poll(int(PATIENCE * 1000))
    os.close(fd)


def test_every_device_is_served_by_instances_on_slots() -> None:
    run = runs.run_of("one")
    start(run)
    assert instances(run) == [], "started when they are needed"
    with qpi.connect(run.endpoint_file) as context:
        check(context.mesh("statevec"), 5)
        (first,) = instances(run)
        assert (first.device, len(first.places)) == ("statevec", 1)
        check(context.mesh("stim"), 6)
        check(context.mesh("statevec"), 7)
        assert {r.device for r in instances(run)} == {"statevec", "stim"}
        cpus = [p.cpus for r in instances(run) for p in r.places]
        assert len(set(cpus)) == 2 or len(os.sched_getaffinity(0)) == 1, "pinned apart"
    assert run_cli.clean(run, grace=None)
    assert first.process is not None and not running(first.process.pid)


def test_a_killed_instance_is_replaced() -> None:
    run = runs.run_of("one")
    start(run)
    with qpi.connect(run.endpoint_file) as context:
        mesh = context.mesh("statevec")
        check(mesh, 1)
        (first,) = instances(run)
        kill(first.process)
        check(mesh, 2)
        (second,) = instances(run)
        assert second.instance != first.instance


@pytest.mark.parametrize("restart", [False, True], ids=["setup", "supervisor"])
def test_the_next_daemon_adopts_what_runs(restart: bool) -> None:
    run = runs.run_of("one")
    start(run, restart=restart)
    with qpi.connect(run.endpoint_file, reconnect=PATIENCE) as context:
        mesh = context.mesh("statevec")
        check(mesh, 3)
        before = instances(run)
        for number in range(2):
            kill(run.process())
            if not restart:
                start(run)
            check(mesh, number)
        after = instances(run)
        assert after == before and len(before) == 1
        assert before[0].process is not None and running(before[0].process.pid)
    assert f"instance {before[0].instance} of statevec is adopted" in run.log_file.read_text()


def test_a_daemon_with_other_slots_ends_what_does_not_fit() -> None:
    run = runs.run_of("one")
    start(run, slots=1)
    with qpi.connect(run.endpoint_file, reconnect=PATIENCE) as context:
        check(context.mesh("statevec"), 3)
        (first,) = instances(run)
        kill(run.process())
        run_cli.start(run, launch=LaunchOptions("local", hosts="elsewhere:1"), log_level="info")
        assert first.process is not None and not running(first.process.pid)
        check(context.mesh("statevec"), 4)


def test_a_daemon_without_instances_tells_them_to_end() -> None:
    run = runs.run_of("one")
    start(run)
    with qpi.connect(run.endpoint_file) as context:
        check(context.mesh("statevec"), 3)
    (first,) = instances(run)
    kill(run.process())
    run_cli.start(run)
    assert first.process is not None
    eventually(lambda: first.process is not None and not running(first.process.pid), "it is not wanted")


def test_teardown_ends_the_instances_of_a_killed_daemon() -> None:
    run = runs.run_of("one")
    start(run)
    with qpi.connect(run.endpoint_file) as context:
        check(context.mesh("statevec"), 3)
    (first,) = instances(run)
    kill(run.process())
    assert first.process is not None and running(first.process.pid)
    assert run_cli.clean(run, grace=None)
    assert not running(first.process.pid) and not run.path.exists()


def test_the_lease_lapses_while_the_daemon_hangs() -> None:
    run = runs.run_of("one")
    start(run)
    daemon = run.process()
    assert daemon is not None
    with qpi.connect(run.endpoint_file) as context:
        mesh = context.mesh("statevec")
        check(mesh, 3)
        (first,) = instances(run)
        pid = first.process.pid if first.process else 0
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            eventually(lambda: not running(pid), "it ends itself")
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        check(mesh, 4)
        (second,) = instances(run)
        assert second.instance != first.instance


def test_daemons_die_under_load_and_no_task_is_lost() -> None:
    run = runs.run_of("one")
    start(run, restart=True)
    with qpi.connect(run.endpoint_file, reconnect=PATIENCE) as context:
        done = context.completion_queue()
        found = []
        with context.mesh("statevec").stream(order="parallel", completions=done) as stream:
            for death in range(4):
                for number in range(100):
                    stream.submit(qpi.Task(flip(number), shots=2, context=(death, number)))
                found += read(done, 10)  # the daemon has work in its instances
                kill(run.process())
                found += read(done, 90)
        assert sorted(c.context for c in found) == [(death, number) for death in range(4) for number in range(100)]
        assert all(c.result.counts == {format(c.context[1], "08b"): 2} for c in found)


def test_two_devices_share_one_slot() -> None:
    run = runs.run_of("one")
    start(run, slots=1)
    with qpi.connect(run.endpoint_file) as context:
        done = context.completion_queue()
        numbers = range(300)
        for device in ("statevec", "stim"):
            with context.mesh(device).stream(order="parallel", completions=done) as stream:
                for number in numbers:
                    stream.submit(qpi.Task(flip(number % 256), shots=1, context=(device, number)))
        found = read(done, 2 * len(numbers))
        assert len({c.context for c in found}) == len(found)
        assert all(c.result.counts == {format(c.context[1] % 256, "08b"): 1} for c in found)
        assert len(instances(run)) == 1


def test_instances_are_kept_warm_and_idle_ones_end() -> None:
    run = runs.run_of("one")
    run_cli.start(run, launch=LaunchOptions("local", slots=2, warm="1", idle=0.2), log_level="info")
    eventually(lambda: [r.device for r in instances(run)] == ["statevec"], "one is up before it is needed")
    (warm,) = instances(run)
    with qpi.connect(run.endpoint_file) as context:
        check(context.mesh("stim"), 9)
        check(context.mesh("statevec"), 9)
    eventually(lambda: instances(run) == [warm], "the other one was idle")


def test_several_ranks_simulate_one_task() -> None:
    run = runs.run_of("one")
    start(run)
    builder = Builder(12, 12)
    for q in range(12):
        builder.gate("ry", [q], [0.3 + q])
        builder.gate("cx", [q, (q + 5) % 12])
    for q in range(12):
        builder.measure(q, q)
    program = builder.finish()
    with qpi.connect(run.endpoint_file) as context:
        mesh = context.mesh("statevec")
        assert context.device("statevec").max_ranks == 2
        one = mesh.run(qpi.Task(program, shots=500, seed=7, ranks=1))
        two = mesh.run(qpi.Task(program, shots=500, seed=7, ranks=2))
        assert one.counts == two.counts
        assert [sum(p.ranks for p in r.places) for r in instances(run)] == [2], "it has both slots"
        with pytest.raises(LimitExceeded, match="ranks 4; allowed at most 2"):
            mesh.run(qpi.Task(program, shots=1, ranks=4))


def test_options_are_checked() -> None:
    with pytest.raises(InvalidArgument, match="'x:0' in the hosts"):
        LaunchOptions("local", hosts="x:0").nodes()
    with pytest.raises(InvalidArgument, match="the hosts say their slots"):
        LaunchOptions("local", hosts="x:1", slots=2).nodes()
    with pytest.raises(InvalidArgument, match="--warm x"):
        LaunchOptions("local", warm="x").limits("statevec")
    with pytest.raises(InvalidArgument, match="--memory 48X"):
        LaunchOptions("local", memory="48X").nodes()
    assert [n.memory_bytes for n in LaunchOptions("prte", hosts="a:1,b:2", memory="1.5k").nodes()] == [1536, 1536]
    assert LaunchOptions("local", warm="2,aer=1").limits("statevec").floor == 2
    assert LaunchOptions("local", warm="2,aer=1").limits("aer").floor == 1
    assert LaunchOptions("local", warm="2").limits("aer").floor == 0


def test_setup_says_what_carries_the_instances(capfd: pytest.CaptureFixture[str]) -> None:
    assert runs.main(["setup", "--run-id", "one", "--launcher", "local", "--slots", "3"]) == 0
    said = capfd.readouterr().out
    assert "launcher  processes of" in said and "slots     3 (localhost: 3), 3 free" in said
    assert runs.main(["setup", "--run-id", "two", "--slots", "3"]) == 1
    assert "--slots: only with --launcher" in capfd.readouterr().err
