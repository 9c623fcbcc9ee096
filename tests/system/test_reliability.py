"""What a daemon's clients may count on (docs/reliability.md): deaths, supervised restarts, graceful ends, floods."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from programs import flip

from qfw import qpi
from qfw.program import Affine, Builder, PauliSum
from qfw.qpi import errors
from qfw.qpm import run as runs
from qfw.qpm import run_cli

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds; never reached by code that works


pytestmark = pytest.mark.usefixtures("directories")


def kill(process: runs.Process | None) -> None:
    """Kills a process and waits for its death."""
    assert process is not None
    fd = os.pidfd_open(process.pid)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    assert poll.poll(int(PATIENCE * 1000))
    os.close(fd)


@pytest.mark.parametrize("way", ["unix", "tls"])
def test_a_client_resumes_with_the_daemon_that_setup_brings_back(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QFW_TRANSPORT", way)  # a new daemon has another port and other certificates
    run = runs.run_of("one")
    tcp = "127.0.0.1" if way == "tls" else None
    run_cli.start(run, threads=1, tcp=tcp)
    with qpi.connect(run.endpoint_file, reconnect=PATIENCE) as context:
        mesh = context.mesh("statevec")
        assert mesh.run(qpi.Task(flip(5), shots=2)).counts == {"00000101": 2}
        done = context.completion_queue()
        with mesh.stream(order="sequential", completions=done) as stream:
            for death in range(3):
                kill(run.process())
                for n in range(20):
                    stream.submit(qpi.Task(flip(n), shots=1, context=(death, n)))
                run_cli.start(run, threads=1, tcp=tcp)
            found = done.read(60, timeout=PATIENCE)
        assert [c.context for c in found] == [(death, n) for death in range(3) for n in range(20)]
        assert all(c.result.counts == {format(c.context[1], "08b"): 1} for c in found)
        assert context.device("statevec").name == "statevec"


def test_a_run_that_nobody_brings_back_is_given_up() -> None:
    run = runs.run_of("one")
    run_cli.start(run)
    with qpi.connect(run.endpoint_file, reconnect=0.3) as context:
        mesh = context.mesh("statevec")
        kill(run.process())
        with pytest.raises(errors.ConnectionLost, match="no runtime came back within 0.3 s"):
            mesh.run(qpi.Task(flip(1), shots=1))


def test_a_run_that_was_ended_is_not_waited_for() -> None:
    run = runs.run_of("one")
    run_cli.start(run)
    with qpi.connect(run.endpoint_file, reconnect=1e6) as context:
        mesh = context.mesh("statevec")
        run_cli.clean(run, grace=None)
        with pytest.raises((errors.ConnectionLost, errors.Unavailable)):
            for _ in range(1000):
                mesh.run(qpi.Task(flip(1), shots=1))


def test_reconnect_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.InvalidArgument, match="reconnect is -1"):
        qpi.connect(reconnect=-1)
    run_cli.start(runs.run_of("one"))
    monkeypatch.setenv("QFW_RECONNECT", "soon")
    with pytest.raises(errors.InvalidArgument, match="QFW_RECONNECT"):
        qpi.connect()


def test_a_supervised_daemon_comes_back_by_itself() -> None:
    run = runs.run_of("one")
    run_cli.start(run, restart=True)
    supervisor = run.supervisor()
    assert supervisor is not None and supervisor.alive()
    with qpi.connect(run.endpoint_file, reconnect=PATIENCE) as context:
        mesh = context.mesh("statevec")
        for n in range(2):
            kill(run.process())
            assert run.live(), "the supervisor holds the run's place"
            assert mesh.run(qpi.Task(flip(n), shots=1)).counts == {format(n, "08b"): 1}
    first = run.process()
    assert run_cli.clean(run, grace=None)
    assert not supervisor.alive() and first is not None and not first.alive() and not run.path.exists()


def test_a_supervised_daemon_that_cannot_start_is_reported() -> None:
    with pytest.raises(errors.Unavailable, match="before it was ready"):
        run_cli.start(runs.run_of("one"), threads=-5, restart=True)
    assert not runs.run_of("one").path.exists()


def endless() -> qpi.Task:
    """Runs for minutes unless it is stopped."""
    builder = Builder(18, 0)
    theta = builder.parameter("theta")
    for _ in range(12):
        for q in range(18):
            builder.gate("rx", [q], [Affine(theta)])
    observables = [PauliSum([(1.0, "Z", [0])])]
    return qpi.Task(
        builder.finish(),
        bindings=[[0.1]] * 50_000,
        shots=0,
        outputs=("expectations",),
        observables=observables,
        context="endless",
    )


def test_a_graceful_end_tells_every_client_what_became_of_its_tasks() -> None:
    run = runs.run_of("one")
    run_cli.start(run, threads=1, drain=3600.0)
    with qpi.connect(run.endpoint_file) as context:
        done = context.completion_queue()
        stream = context.mesh("statevec").stream(order="sequential", completions=done)
        stream.submit(qpi.Task(flip(3), shots=1, context="done"))
        assert done.read(1, timeout=PATIENCE)[0].context == "done"
        stream.submit(endless())
        stream.submit(qpi.Task(flip(3), shots=1, context="behind it"))
        process = run.process()
        assert process is not None
        os.kill(process.pid, signal.SIGTERM)
        while run.endpoint_file.exists():  # it has begun
            assert process.alive()
        os.kill(process.pid, signal.SIGTERM)  # and is cut short
        outcomes = []
        for _ in range(2):
            with pytest.raises(errors.ErrorAvailable):
                done.read(1, timeout=PATIENCE)
            failed = done.readerr()
            assert failed.error is not None
            outcomes.append((failed.context, type(failed.error), failed.error.transient))
        assert outcomes == [("endless", errors.Unavailable, True), ("behind it", errors.Unavailable, True)]
    while process.alive():
        select.select([], [], [], 0.01)
    assert not run.path.exists()


def test_a_few_kills_at_random_moments() -> None:
    argv = [sys.executable, str(ROOT / "tests/chaos/daemon_kills.py"), "--daemon-kills", "5", "--seed", "7"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"chaos passed: seed 7, 5 kills, (\d+) of \1 tasks", done.stdout), done.stdout


def test_a_flood_is_bounded(tmp_path: Path) -> None:
    """100,000 queued tasks: the daemon's memory is judged, times are only reported."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    argv = [sys.executable, str(ROOT / "benchmarks/flood.py"), "--repetitions", "20", "--output", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=110, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "flood.json").read_text())
    print(done.stderr)
    assert found["sessions"] >= 25 and found["queued"] > 50_000  # some have run already
    assert found["peak_bytes"] < 200 * 2**20
