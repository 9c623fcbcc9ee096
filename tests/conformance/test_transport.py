"""One suite for all transports: what holds in this process holds through a daemon by its unix socket, and over TLS on
the network, to the words of the errors."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from c_programs import VALGRIND, compiled
from programs import endless, flip, rotations

from qfw import qpi
from qfw.program import Affine
from qfw.qpi import errors
from qfw.qpm import run as runs
from qfw.qpm import run_cli

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds; never reached by code that works


@pytest.fixture(scope="module", params=["embedded", "unix", "tls"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "embedded":
        yield "embedded"
        return
    run: runs.Run = request.getfixturevalue("live_run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QFW_TRANSPORT", request.param)
        yield str(run.endpoint_file)


@pytest.fixture
def ctx(endpoint: str) -> Iterator[qpi.Context]:
    with qpi.connect(endpoint) as context:
        yield context


@pytest.fixture
def mesh(ctx: qpi.Context) -> qpi.Mesh:
    return ctx.mesh("statevec")


BELL = flip(0)


# ---- order ---------------------------------------------------------------------------------------------------------


def test_results_of_a_batch_come_in_submission_order(mesh: qpi.Mesh) -> None:
    """QFw gave them in completion order."""
    slow_first = [qpi.Task(rotations(14, 20), bindings=[[0.1]], shots=10)]
    tasks = slow_first + [qpi.Task(flip(i), shots=i + 1) for i in range(100)]
    results = mesh.run(tasks, timeout=PATIENCE)
    assert [r.counts for r in results[1:]] == [{f"{i:08b}": i + 1} for i in range(100)]
    assert results[0].num_bits == 14


def test_a_sequential_stream_completes_in_order(ctx: qpi.Context, mesh: qpi.Mesh) -> None:
    queue = ctx.completion_queue()
    sizes = [12, 1, 8, 1, 4, 1, 10, 2]
    with mesh.stream(order="sequential", completions=queue) as stream:
        for i, qubits in enumerate(sizes):
            stream.submit(qpi.Task(rotations(qubits, 3), bindings=[[0.1]], context=i))
    assert [c.context for c in queue.read(len(sizes), timeout=PATIENCE)] == list(range(len(sizes)))


def test_unknown_order(mesh: qpi.Mesh) -> None:
    with pytest.raises(errors.InvalidArgument, match='"random"; allowed: parallel, sequential'):
        mesh.stream(order="random")


# ---- failures ------------------------------------------------------------------------------------------------------


def test_a_failed_task_raises_in_the_devices_words(mesh: qpi.Mesh) -> None:
    """QFw reported it as done, with a string for counts."""
    tasks = [qpi.Task(flip(1)), qpi.Task(flip(2), options={"colour": "red"}), qpi.Task(flip(3))]
    with pytest.raises(errors.InvalidArgument, match=r"unknown option 'colour'.*device 'statevec'") as caught:
        mesh.run(tasks, timeout=PATIENCE)
    results = caught.value.results  # type: ignore[attr-defined]
    assert results[0].counts == {"00000001": 1024}
    assert results[1] is caught.value
    assert results[2].counts == {"00000011": 1024}


def test_errors_are_read_apart_and_the_others_go_on(ctx: qpi.Context, mesh: qpi.Mesh) -> None:
    queue = ctx.completion_queue()
    with mesh.stream(completions=queue) as stream:
        stream.submit_many([qpi.Task(flip(i), shots=1 << 60 if i % 3 == 0 else 5, context=i) for i in range(30)])
    good, bad = set(), set()
    while len(good) + len(bad) < 30:
        try:
            good |= {c.context for c in queue.read(30, timeout=PATIENCE)}
        except errors.ErrorAvailable:
            failed = queue.readerr()
            assert isinstance(failed.error, errors.LimitExceeded)
            bad.add(failed.context)
    assert bad == set(range(0, 30, 3))
    assert good == set(range(30)) - bad


@pytest.mark.parametrize(
    ("task", "kind", "said"),
    [
        (lambda: qpi.Task(BELL, shots=1 << 60), errors.LimitExceeded, ["1152921504606846976", "10000000"]),
        (lambda: qpi.Task(flip(0, 63)), errors.LimitExceeded, ["63", "40"]),
        (lambda: qpi.Task(flip(0, 38), outputs="statevector"), errors.ResourceExhausted, ["bytes"]),
        (lambda: qpi.Task(BELL, options={"colour": 1}), errors.InvalidArgument, ["colour", "statevec"]),
    ],
)
def test_limits_say_value_and_limit(mesh: qpi.Mesh, task: object, kind: type[Exception], said: list[str]) -> None:
    with pytest.raises(kind) as caught:
        mesh.run(task(), timeout=PATIENCE)  # type: ignore[operator]
    assert [word for word in said if word not in str(caught.value)] == [], str(caught.value)


def test_failures_leak_nothing(ctx: qpi.Context, mesh: qpi.Mesh) -> None:
    """QFw lost a slot with each failure, until nothing ran any more."""
    queue = ctx.completion_queue()
    wrong = [qpi.Task(BELL, options={"colour": "red"}) for _ in range(ctx.window + 100)]
    with mesh.stream(completions=queue) as stream:
        stream.submit_many(wrong)
    for _ in wrong:
        assert isinstance(queue.readerr().error, errors.InvalidArgument)
    assert (len(queue), queue.outstanding) == (0, 0)
    assert mesh.run(qpi.Task(flip(5)), timeout=PATIENCE).counts == {"00000101": 1024}


# ---- jobs beside one another ---------------------------------------------------------------------------------------


def test_two_jobs_do_not_take_each_others_results(ctx: qpi.Context, endpoint: str) -> None:
    """QFw's jobs on one backend shared a queue of events."""
    wrong: list[object] = []

    def job(context: qpi.Context, number: int) -> None:
        mesh = context.mesh("statevec")
        queue = context.completion_queue()
        with mesh.stream(completions=queue) as stream:
            stream.submit_many([qpi.Task(flip(number), shots=3, context=number) for _ in range(200)])
            wrong.extend(
                c
                for c in queue.read(200, timeout=PATIENCE)
                if c.context != number or c.result.counts != {f"{number:08b}": 3}
            )

    with qpi.connect(endpoint) as other:
        threads = [threading.Thread(target=job, args=(ctx if i % 2 else other, i)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_blocking_runs_of_many_threads(mesh: qpi.Mesh) -> None:
    results: dict[int, dict[str, int]] = {}

    def job(number: int) -> None:
        for _ in range(50):
            results[number] = mesh.run(qpi.Task(flip(number), shots=2), timeout=PATIENCE).counts

    threads = [threading.Thread(target=job, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == {i: {f"{i:08b}": 2} for i in range(8)}


# ---- cancel, deadline, timeout -------------------------------------------------------------------------------------


def test_cancel_stops_a_running_task(ctx: qpi.Context, mesh: qpi.Mesh) -> None:
    queue = ctx.completion_queue()
    stream = mesh.stream(order="sequential", completions=queue)
    first = stream.submit(qpi.Task(BELL))
    running = stream.submit(endless(context="endless"))
    assert [c.id for c in queue.read(1, timeout=PATIENCE)] == [first]  # so the next one has its turn
    stream.cancel(running)
    assert queue.wait(PATIENCE)
    failed = queue.readerr()
    assert (failed.id, failed.context) == (running, "endless")
    assert isinstance(failed.error, errors.Cancelled)
    with pytest.raises(errors.NotFound, match=str(running)):
        stream.cancel(running)
    stream.close()


def test_cancel_of_a_task_that_waits(ctx: qpi.Context, mesh: qpi.Mesh) -> None:
    queue = ctx.completion_queue()
    stream = mesh.stream(order="sequential", completions=queue)
    first = stream.submit(endless())
    second = stream.submit(qpi.Task(BELL))
    stream.cancel(second)
    assert queue.read(5, timeout=0) == []  # in order: the first has not ended
    stream.cancel()
    assert queue.wait(PATIENCE)
    assert [queue.readerr().id, queue.wait(PATIENCE) and queue.readerr().id] == [first, second]
    stream.close()


def test_close_cancels_what_is_unfinished(ctx: qpi.Context, mesh: qpi.Mesh) -> None:
    queue = ctx.completion_queue()
    stream = mesh.stream(completions=queue)
    stream.submit(endless())
    stream.close()
    assert queue.wait(PATIENCE)
    assert isinstance(queue.readerr().error, errors.Cancelled)
    with pytest.raises(errors.Closed):
        stream.submit(qpi.Task(BELL))


def test_an_exception_inside_a_stream_cancels_it(ctx: qpi.Context, mesh: qpi.Mesh) -> None:
    queue = ctx.completion_queue()
    with pytest.raises(ZeroDivisionError), mesh.stream(completions=queue) as stream:
        stream.submit(endless())
        raise ZeroDivisionError
    assert queue.wait(PATIENCE)
    assert isinstance(queue.readerr().error, errors.Cancelled)


def test_a_deadline_ends_the_task_alone(ctx: qpi.Context, mesh: qpi.Mesh) -> None:
    queue = ctx.completion_queue()
    with mesh.stream(completions=queue) as stream:
        late = stream.submit(endless(deadline=0.05))
        stream.submit(qpi.Task(BELL))
    assert len(queue) == 2
    done, failed = [], []
    while len(queue):
        try:
            done += queue.read(1)
        except errors.ErrorAvailable:
            failed.append(queue.readerr())
    assert len(done) == 1
    assert failed[0].id == late
    assert isinstance(failed[0].error, errors.DeadlineExceeded)


def test_a_timeout_is_the_callers_and_names_the_tasks(mesh: qpi.Mesh) -> None:
    """QFw waited 200 s, then dropped what was missing without a word."""
    with pytest.raises(errors.WaitTimeout, match=r"\d of 3 tasks had no result .* were cancelled: indices .*\b2$"):
        mesh.run([qpi.Task(BELL), qpi.Task(BELL), endless()], timeout=0.5)
    assert mesh.run(qpi.Task(flip(9)), timeout=PATIENCE).counts == {"00001001": 1024}


def test_stream_wait_runs_out(mesh: qpi.Mesh) -> None:
    stream = mesh.stream()
    stream.submit(endless())
    with pytest.raises(errors.WaitTimeout):
        stream.wait(0.01)
    stream.close()


# ---- window --------------------------------------------------------------------------------------------------------


def test_more_than_the_window_goes_through(ctx: qpi.Context, mesh: qpi.Mesh) -> None:
    count = 2 * ctx.window + 17
    queue = ctx.completion_queue()
    with mesh.stream(completions=queue) as stream:
        ids = stream.submit_many([qpi.Task(BELL, shots=1, context=i) for i in range(count)])
    assert sorted(c.context for c in queue.read(count, timeout=PATIENCE)) == list(range(count))
    assert len(set(ids)) == count
    assert len(mesh.run([qpi.Task(BELL, shots=1)] * (ctx.window + 5), timeout=PATIENCE)) == ctx.window + 5


def test_a_full_window_says_so_when_not_waited_for(mesh: qpi.Mesh, ctx: qpi.Context) -> None:
    stream = mesh.stream(order="sequential")
    stream.submit(endless())
    stream.submit_many([qpi.Task(BELL)] * (ctx.window - 1))
    with pytest.raises(errors.ResourceExhausted, match=f"window is {ctx.window}") as caught:
        stream.submit(qpi.Task(BELL), timeout=0)
    assert caught.value.transient
    stream.close()


# ---- bits ----------------------------------------------------------------------------------------------------------


def test_the_descriptor(ctx: qpi.Context, mesh: qpi.Mesh) -> None:
    queue = ctx.completion_queue()
    assert not select.select([queue], [], [], 0)[0]
    with mesh.stream(completions=queue) as stream:
        stream.submit(qpi.Task(BELL))
        assert select.select([queue], [], [], PATIENCE)[0]
        queue.read()
        assert not select.select([queue], [], [], 0)[0]


def test_the_way_is_the_one_asked_for(ctx: qpi.Context, endpoint: str) -> None:
    way = "embedded" if endpoint == "embedded" else os.environ["QFW_TRANSPORT"]
    assert ctx.endpoint.split(":")[0] == {"embedded": "embedded", "unix": "unix", "tls": "127.0.0.1"}[way]


def test_all_transports_give_the_same_bits(mesh: qpi.Mesh) -> None:
    task = qpi.Task(
        rotations(5, 2),
        bindings=[[0.3], [0.7]],
        shots=500,
        seed=11,
        outputs=("counts", "memory", "probabilities", "statevector"),
    )
    with qpi.connect("embedded") as here:
        expected = here.mesh("statevec").run(task)
    got = mesh.run(task, timeout=PATIENCE)
    assert got.seed == expected.seed == 11
    for a, b in zip(got.rows, expected.rows, strict=True):
        assert a.counts == b.counts
        for name in ("memory", "probabilities", "statevector"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes()


def test_a_large_state_vector_arrives_whole(mesh: qpi.Mesh) -> None:
    builder = qpi.Builder(20)
    for q in range(20):
        builder.gate("h", [q])
    state = mesh.run(qpi.Task(builder.finish(), outputs="statevector"), timeout=PATIENCE).rows[0].statevector
    assert state.shape == (1 << 20,)
    assert np.allclose(state, 2**-10)


def test_timing_parts_add_up(mesh: qpi.Mesh) -> None:
    timing = mesh.run(qpi.Task(rotations(10, 3), bindings=[[0.1]])).timing
    assert timing.execute_ns > 0
    assert timing.total_ns == sum(timing.as_dict().values())


def test_status_is_a_status(ctx: qpi.Context) -> None:
    """QFw returned the class NotImplementedError."""
    assert ctx.device("statevec").status == "online"


# ---- the end -------------------------------------------------------------------------------------------------------


def test_close_ends_what_is_running() -> None:
    context = qpi.connect("embedded")
    queue = context.completion_queue()
    stream = context.mesh("statevec").stream(completions=queue)
    stream.submit(endless())
    context.close()
    assert isinstance(queue.readerr().error, errors.Cancelled)
    with pytest.raises(errors.Closed):
        queue.read()


@pytest.mark.parametrize("way", ["unix", "tls"])
def test_a_daemon_that_dies_is_a_lost_connection(
    private_directories: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.run_of("to-be-killed")
    run_cli.start(run, log_level="info", tcp="127.0.0.1")
    monkeypatch.setenv("QFW_TRANSPORT", way)
    try:
        context = qpi.connect(run.endpoint_file)
        mesh = context.mesh("statevec")
        queue = context.completion_queue()
        stream = mesh.stream(completions=queue)
        stream.submit_many([endless(context=i) for i in range(3)])
        process = run.process()
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        lost = [queue.readerr() for _ in range(3) if queue.wait(PATIENCE)]
        assert {c.context for c in lost} == {0, 1, 2}
        assert {type(c.error) for c in lost} == {errors.ConnectionLost}
        for call in (lambda: stream.submit(qpi.Task(BELL)), lambda: mesh.run(qpi.Task(BELL))):
            with pytest.raises(errors.ConnectionLost):
                call()
        stream.close()
        context.close()
    finally:
        run_cli.clean(run, grace=10.0)


def test_ctrl_c_interrupts_a_wait(endpoint: str) -> None:
    code = """
import sys, os, signal, threading
from qfw import qpi
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts its background jobs with it ignored
ctx = qpi.connect(sys.argv[1])
queue = ctx.completion_queue()
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    queue.read()
except KeyboardInterrupt:
    print("interrupted")
ctx.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, endpoint], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_a_child_of_fork_is_told_what_it_can_do(endpoint: str) -> None:
    """In itself it may connect anew; to a daemon only where its parent had not."""
    code = """
import os, sys
from qfw import qpi
b = qpi.Builder(1, 1)
b.measure(0, 0)
task = qpi.Task(b.finish(), shots=1)
ctx = qpi.connect(sys.argv[1])
ctx.mesh("statevec").run(task)
for leave in (sys.exit, os._exit):
    pid = os.fork()
    if pid == 0:
        try:
            anew = qpi.connect(sys.argv[1])
            print(anew.mesh("statevec").run(task, timeout=60).counts, flush=True)
        except qpi.errors.Unavailable as error:
            print("does not survive a fork" in str(error), flush=True)
        leave(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print(ctx.mesh("statevec").run(task).counts)
"""
    command = [sys.executable, "-c", code, endpoint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    in_child = "{'0': 1}" if endpoint == "embedded" else "True"
    assert (done.stdout.splitlines(), done.returncode) == ([in_child, in_child, "{'0': 1}"], 0), done.stderr


def test_contexts_in_many_processes_at_once(endpoint: str) -> None:
    """Each process has its own, in itself or at the one daemon, and gets its own results."""
    code = """
import sys
from qfw import qpi
number = int(sys.argv[2])
b = qpi.Builder(3, 3)
for q in range(3):
    if number >> q & 1:
        b.gate("x", [q])
    b.measure(q, q)
with qpi.connect(sys.argv[1]) as ctx, qpi.connect(sys.argv[1]) as other:
    for context in (ctx, other):
        results = context.mesh("statevec").run([qpi.Task(b.finish(), shots=2)] * 100, timeout=60)
        assert [r.counts for r in results] == [{f"{number:03b}": 2}] * 100
print("right")
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, endpoint, str(i)], stdout=subprocess.PIPE, text=True)
        for i in range(6)
    ]
    assert [process.communicate(timeout=100)[0] for process in processes] == ["right\n"] * 6


# ---- C -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ghz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(ROOT / "examples/c/ghz.c", tmp_path_factory.mktemp("c"))


def surroundings(endpoint: str, ghz: Path) -> dict[str, str]:
    """An environment in which a program finds that endpoint."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("QFW_") or k == "QFW_TRANSPORT"}
    if endpoint == "embedded":
        environ["XDG_RUNTIME_DIR"] = str(ghz.parent)  # no run is there
    else:
        environ["QFW_ENDPOINT"] = endpoint
    return environ


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_the_c_example_is_clean_under_valgrind(endpoint: str, ghz: Path) -> None:
    environ = surroundings(endpoint, ghz)
    if environ.get("QFW_TRANSPORT") == "tls":
        pytest.skip("under valgrind on a busy machine the handshake may take longer than the example waits")
    done = subprocess.run([*VALGRIND, str(ghz)], env=environ, capture_output=True, text=True, timeout=110, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("one on statevec: 000:")


def test_the_examples_in_c_and_python_print_the_same(endpoint: str, ghz: Path) -> None:
    environ = surroundings(endpoint, ghz)

    def output(*command: str) -> list[str]:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout.splitlines()

    in_c = output(str(ghz))
    assert in_c == output(sys.executable, str(ROOT / "examples/python/ghz.py"))
    assert len(in_c) == 6
    assert in_c[0].startswith("one on statevec: 000:")
    assert in_c[-1].startswith("wrong: invalid_argument: unknown option 'no_such_option'")


def test_gradients(mesh: qpi.Mesh) -> None:
    """d/da and d/db of <Z0> and <Z0 + 2 Z1> for rx(a) on qubit 0 and ry(b / 2) on qubit 1."""
    builder = qpi.Builder(2)
    a, b = builder.parameter("a"), builder.parameter("b")
    builder.gate("rx", [0], [Affine(a)])
    builder.gate("ry", [1], [Affine(b, scale=0.5)])
    program = builder.finish()
    sums = [qpi.PauliSum([(1.0, "Z", [0])]), qpi.PauliSum([(1.0, "Z", [0]), (2.0, "Z", [1])])]
    rows = np.random.default_rng(1).uniform(-3, 3, (5, 2))
    task = qpi.Task(program, bindings=rows, outputs=["gradients"], observables=sums)
    for row, (x, y) in zip(mesh.run(task).rows, rows, strict=True):
        expected = [[-np.sin(x), 0], [-np.sin(x), -np.sin(y / 2)]]
        assert row.gradients.shape == (2, 2)
        assert row.gradients == pytest.approx(np.array(expected), abs=1e-12)
        assert row.expectations.size == 0
    some = qpi.Task(
        program, bindings=rows, outputs=["gradients", "expectations"], observables=sums, gradient_parameters=[b]
    )
    first = mesh.run(some).rows[0]
    assert first.gradients == pytest.approx(np.array([[0], [-np.sin(rows[0][1] / 2)]]), abs=1e-12)
    assert first.expectations[0] == pytest.approx(np.cos(rows[0][0]))
    with pytest.raises(errors.InvalidArgument, match="gradient parameter 2; the program has 2"):
        mesh.run(qpi.Task(program, bindings=rows, outputs=["gradients"], observables=sums, gradient_parameters=[2]))
    with pytest.raises(errors.InvalidArgument, match="gradients are not among the outputs"):
        mesh.run(qpi.Task(program, bindings=rows, outputs=["expectations"], observables=sums, gradient_parameters=[0]))
    with pytest.raises(errors.Unsupported, match="gradients are exact"):
        mesh.run(qpi.Task(program, bindings=rows, outputs=["gradients"], observables=sums, shots=10))


def test_single_precision(mesh: qpi.Mesh) -> None:
    program = rotations(5, 3)
    sums = [qpi.PauliSum([(1.0, "Z", [0]), (0.5, "XY", [1, 2])])]
    wish = {"bindings": [[0.3]], "outputs": ["statevector", "expectations", "gradients"], "observables": sums}
    double = mesh.run(qpi.Task(program, **wish)).rows[0]
    single = mesh.run(qpi.Task(program, **wish, options={"precision": "single"})).rows[0]
    for name in wish["outputs"]:
        a, b = getattr(double, name), getattr(single, name)
        assert a.dtype == b.dtype
        assert 0 < np.abs(a - b).max() < 1e-5, name
    with pytest.raises(errors.InvalidArgument, match="precision is 'half'"):
        mesh.run(qpi.Task(program, **wish, options={"precision": "half"}))


def test_a_sweep_is_read_at_once(mesh: qpi.Mesh) -> None:
    builder = qpi.Builder(2)
    builder.gate("ry", [0], [Affine(builder.parameter("a"))])
    sums = [qpi.PauliSum([(1.0, "Z", [0])]), qpi.PauliSum([(2.0, "X", [0]), (1.0, "", [])])]
    angles = np.linspace(-3, 3, 500)
    task = qpi.Task(builder.finish(), bindings=angles[:, None], outputs=["expectations"], observables=sums)
    found = mesh.run(task).expectations
    assert found == pytest.approx(np.stack([np.cos(angles), 2 * np.sin(angles) + 1], axis=1), abs=1e-12)
    assert mesh.run(qpi.Task(BELL, shots=1)).expectations.shape == (1, 0)
