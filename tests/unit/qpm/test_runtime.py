"""The bound Runtime: devices run by Python code, devices in other processes, sessions, and its end."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qfw import qpi
from qfw._core import qpi as native_qpi
from qfw._core.qpm import Runtime
from qfw.program import Builder, PauliSum, Program
from qfw.program.errors import (
    Cancelled,
    DeadlineExceeded,
    DeviceError,
    InvalidArgument,
    QfwError,
    ResourceExhausted,
    Unavailable,
    Unsupported,
)
from qfw.qpi.context import Context
from qfw.qpi.errors import ErrorAvailable

INFO: dict[str, Any] = {
    "name": "snake",
    "provider": "test",
    "version": "7",
    "max_qubits": 4,
    "capacity": 8,
    "gates": ["x", "h", "measure"],
    "outputs": ["counts", "expectations", "statevector"],
    "options": {"mood": "how it feels"},
}


def bell() -> Program:
    b = Builder(2, 2)
    b.gate("x", [0])
    b.measure(0, 0)
    b.measure(1, 1)
    return b.finish()


def counts(task: dict[str, Any]) -> dict[str, Any]:
    """An answer: every shot found 1 in bit 0."""
    row = {"count_keys": np.array([1], np.uint8), "counts": np.array([task["shots"]], np.uint64)}
    return {"rows": [row] * len(task["bindings"])}


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    made = Runtime(threads=1, window=64)
    yield made
    made.stop()


def context(runtime: Runtime) -> Context:
    return Context(native_qpi.Context.over(runtime.session()))


def run(runtime: Runtime, execute: Callable[[list[dict[str, Any]]], Any], task: qpi.Task | None = None) -> qpi.Result:
    runtime.add_python_device(INFO, execute)
    with context(runtime) as ctx:
        return ctx.mesh("snake").run(task or qpi.Task(bell(), shots=10))


def test_a_task_as_python_code_sees_it(runtime: Runtime) -> None:
    seen: list[dict[str, Any]] = []

    def execute(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        seen.extend(tasks)
        return [counts(t) for t in tasks]

    result = run(runtime, execute, qpi.Task(bell(), shots=10, seed=3, options={"mood": "fine"}))
    assert result.counts == {"01": 10} and result.device == "snake" and result.seed == 3
    (task,) = seen
    assert task["program"] == bell() and task["bindings"].shape == (1, 0) and task["shots"] == 10
    assert task["seed"] == 3 and list(task["outputs"]) == ["counts"] and list(task["qubits"]) == []
    assert task["options"] == {"mood": "fine"} and task["stopped"]() is False and not task["observables"]


def test_observables_arrive_and_expectations_return(runtime: Runtime) -> None:
    sums: list[PauliSum] = []

    def execute(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        sums.extend(tasks[0]["observables"])
        return [{"rows": [{"expectations": [0.25]}]}]

    b = Builder(2)
    b.gate("h", [1])
    task = qpi.Task(b.finish(), shots=0, outputs=("expectations",), observables=[PauliSum([(2.0, "XZ", [1, 0])])])
    assert run(runtime, execute, task).rows[0].expectations.tolist() == [0.25]
    assert len(sums) == 1 and sums[0].terms == PauliSum([(2.0, "XZ", [1, 0])]).terms


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda t: ZeroDivisionError("no money"), DeviceError, "ZeroDivisionError: no money"),
        (lambda t: ResourceExhausted("full", transient=True), ResourceExhausted, "full"),
        (lambda t: {"rows": []}, DeviceError, "0 rows; 1 are needed"),
        (lambda t: {"rows": [{"error": Unsupported("not today")}]}, Unsupported, "not today"),
        (lambda t: {"rows": [{"counts": np.array([1], np.uint64), "count_keys": b""}]}, DeviceError, "count_keys"),
        (lambda t: {"rows": [{"counts": "many"}]}, DeviceError, "no array of numbers"),
        (lambda t: {}, DeviceError, "rows"),
        (lambda t: 5, DeviceError, "int"),
    ],
)
def test_what_a_task_answers_wrongly_is_its_error(
    runtime: Runtime, answer: Callable[[Any], Any], kind: type[QfwError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        run(runtime, lambda tasks: [answer(t) for t in tasks])


@pytest.mark.parametrize(
    ("execute", "words"),
    [
        (lambda tasks: 1 / 0, "ZeroDivisionError"),
        (lambda tasks: [], "0 results for 1 tasks"),
        (lambda tasks: 3, "TypeError"),
    ],
)
def test_a_batch_that_fails_fails_its_tasks_alone(runtime: Runtime, execute: Any, words: str) -> None:
    with pytest.raises(QfwError, match=words):
        run(runtime, execute)
    runtime.add_statevec()
    with context(runtime) as ctx:
        assert ctx.mesh("statevec").run(qpi.Task(bell(), shots=5)).counts == {"01": 5}


def test_refused_before_it_reaches_the_code(runtime: Runtime) -> None:
    def never(tasks: list[dict[str, Any]]) -> list[Any]:
        raise AssertionError("must not be called")

    b = Builder(2, 2)
    b.gate("cx", [0, 1])
    b.measure(0, 0)
    with pytest.raises(Unsupported, match="'cx'"):
        run(runtime, never, qpi.Task(b.finish(), shots=1))
    with context(runtime) as ctx:
        mesh = ctx.mesh("snake")
        with pytest.raises(InvalidArgument, match="known: mood"):
            mesh.run(qpi.Task(bell(), shots=1, options={"temper": "1"}))
        with pytest.raises(Unsupported, match="'memory'"):
            mesh.run(qpi.Task(bell(), shots=1, outputs=("memory",)))


def test_everything_that_waits_goes_in_one_batch_on_one_thread(runtime: Runtime) -> None:
    sizes: list[int] = []
    threads: set[int] = set()
    first, go = threading.Event(), threading.Event()

    def execute(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        sizes.append(len(tasks))
        threads.add(threading.get_ident())
        if not first.is_set():
            first.set()
            assert go.wait(30)
        return [counts(t) for t in tasks]

    runtime.add_python_device(INFO, execute)
    with context(runtime) as ctx:
        done = ctx.completion_queue()
        with ctx.mesh("snake").stream(completions=done) as stream:
            stream.submit(qpi.Task(bell(), shots=1))
            assert first.wait(30)
            for _ in range(5):
                stream.submit(qpi.Task(bell(), shots=1))
            go.set()
            assert len(done.read(6, timeout=30)) == 6
    assert sizes == [1, 5] and len(threads) == 1


def test_stopped_tells_the_code_of_cancel_and_deadline(runtime: Runtime) -> None:
    running = threading.Event()

    def execute(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        running.set()
        end = time.monotonic() + 30
        while not tasks[0]["stopped"]() and time.monotonic() < end:
            time.sleep(0.001)
        return [counts(t) for t in tasks]

    runtime.add_python_device(INFO, execute)
    with context(runtime) as ctx:
        mesh = ctx.mesh("snake")
        with pytest.raises(DeadlineExceeded):
            mesh.run(qpi.Task(bell(), shots=1, deadline=0.02))
        done = ctx.completion_queue()
        with mesh.stream(completions=done) as stream:
            running.clear()
            stream.submit(qpi.Task(bell(), shots=1))
            assert running.wait(30)
            stream.cancel()
            assert done.wait(timeout=30)
            with pytest.raises(ErrorAvailable):
                done.read(1)
            assert isinstance(done.readerr().error, Cancelled)


def test_status_is_reported_and_kept(runtime: Runtime) -> None:
    device = runtime.add_python_device(INFO, lambda tasks: [counts(t) for t in tasks])
    assert runtime.devices()[device]["status"] == "online"
    runtime.set_status(device, "offline", "being cleaned")
    assert runtime.devices()[device]["status_reason"] == "being cleaned"
    with context(runtime) as ctx, pytest.raises(Unavailable, match="being cleaned"):
        ctx.mesh("snake").run(qpi.Task(bell(), shots=1))
    with pytest.raises(InvalidArgument, match="asleep"):
        runtime.set_status(device, "asleep", "")
    with pytest.raises(InvalidArgument, match="snake"):
        runtime.add_python_device(INFO, lambda tasks: [])


class Seat:
    """A process (qfw.qpm.host.Process) that is made by a function."""

    def __init__(self, start: Callable[[int], str]) -> None:
        self.tls: dict[str, str] = {}
        self.start = start
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1

    def last_words(self) -> str:
        return "sunk"


def test_a_worker_is_started_at_the_first_task(runtime: Runtime, private_directories: Path) -> None:
    inner = Runtime(threads=1)
    inner.add_python_device(INFO, lambda tasks: [counts(t) for t in tasks])
    server = inner.serve(f"unix:{private_directories}/w.sock")
    starts: list[int] = []

    def start(ranks: int) -> str:
        starts.append(ranks)
        return str(server.address)

    device = runtime.add_workers({**INFO, "name": "remote"}, [Seat(start)])
    assert not starts and runtime.devices()[device]["name"] == "remote"
    with context(runtime) as ctx:
        for _ in range(2):
            assert ctx.mesh("remote").run(qpi.Task(bell(), shots=4)).counts == {"01": 4}
    assert starts == [1]
    server.stop()
    inner.stop()


def test_sweeps_over_a_pool_have_the_bits_of_one_simulator(runtime: Runtime, private_directories: Path) -> None:
    inner = [Runtime(threads=1) for _ in range(3)]
    for one in inner:
        one.add_statevec()
    servers = [one.serve(f"unix:{private_directories}/{i}.sock") for i, one in enumerate(inner)]

    def seat(server: Any) -> Seat:
        return Seat(lambda ranks: str(server.address))

    runtime.add_statevec("alone")
    info = {**inner[0].devices()[0], "name": "many"}
    pool = runtime.add_workers(info, [seat(s) for s in servers], {"floor": 3})
    builder = Builder(10, 10)
    theta = builder.parameter("theta")
    for q in range(10):
        builder.gate("ry", [q], [(theta, 1.0, 0.1 * q)])
    for q in range(9):
        builder.gate("cx", [q, q + 1])
    for q in range(10):
        builder.measure(q, q)
    program = builder.finish()
    bindings = np.linspace(0, 3, 6000).reshape(-1, 1)
    end = time.monotonic() + 60
    while runtime.pool_stats(pool)["up"] < 3 and time.monotonic() < end:
        time.sleep(0.01)
    with context(runtime) as ctx:
        task = qpi.Task(program, bindings=bindings, shots=1000, outputs=("memory", "counts"), seed=11)
        alone, many = (ctx.mesh(name).run(task, timeout=120) for name in ("alone", "many"))
        exact = qpi.Task(
            program, bindings=bindings, outputs=("expectations",), observables=[PauliSum([(1.0, "Z", [3])])]
        )
        before, after = (ctx.mesh(name).run(exact, timeout=120) for name in ("alone", "many"))
        assert (before.expectations == after.expectations).all()
        assert len(many.rows) == 6000
        for a, b in zip(alone.rows, many.rows, strict=True):
            assert (a.memory == b.memory).all() and (a.counts == b.counts)
        stats = runtime.pool_stats(pool)
        assert stats["members"] == 3 and stats["deaths"] == 0 and stats["up"] == 3, stats
        assert sum(one.stats()["completed"] for one in inner) > 4, "in parts"
        assert all(one.stats()["completed"] for one in inner[:2])
        assert ctx.devices()[1].instances == stats["up"] == runtime.stats()["instances"]
        assert runtime.stats()["deaths"] == runtime.stats()["backlog"] == 0
        with pytest.raises(InvalidArgument, match="not served by a pool"):
            runtime.pool_stats(0)
    runtime.stop()
    for server, one in zip(servers, inner, strict=True):
        server.stop()
        one.stop()


def test_a_worker_that_does_not_start_says_why(runtime: Runtime) -> None:
    def start(ranks: int) -> str:
        raise FileNotFoundError("no such simulator")

    runtime.add_workers(INFO, [Seat(start)])
    with context(runtime) as ctx, pytest.raises(DeviceError, match="FileNotFoundError: no such simulator"):
        ctx.mesh("snake").run(qpi.Task(bell(), shots=1))


def test_dropped_without_stop_while_python_code_runs() -> None:
    runtime = Runtime(threads=1)
    running = threading.Event()

    def execute(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        running.set()
        while not tasks[0]["stopped"]():
            time.sleep(0.001)
        return [counts(t) for t in tasks]

    runtime.add_python_device(INFO, execute)
    ctx = context(runtime)
    stream = ctx.mesh("snake").stream(completions=ctx.completion_queue())
    stream.submit(qpi.Task(bell(), shots=1))
    assert running.wait(30)
    ctx.close()
    del runtime, ctx, stream
    gc.collect()  # must not wait for the thread that needs the lock held here


def test_stats_count(runtime: Runtime) -> None:
    runtime.add_statevec()
    with context(runtime) as ctx:
        ctx.mesh("statevec").run([qpi.Task(bell(), shots=2)] * 3)
    stats = runtime.stats()
    assert stats["submitted"] == stats["completed"] == 3 and stats["failed"] == stats["running"] == 0
