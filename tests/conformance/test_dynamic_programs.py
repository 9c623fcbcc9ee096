"""Dynamic programs on the built-in device, in this process and through a daemon; and on a device that runs none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qfw import qpi
from qfw.program import Bit, PauliSum, Program, Var
from qfw.qpi import errors

PATIENCE = 60.0  # seconds; never reached by code that works


@pytest.fixture(scope="module", params=["embedded", "daemon"])
def ctx(request: pytest.FixtureRequest) -> Iterator[qpi.Context]:
    daemon = request.param == "daemon"
    endpoint = str(request.getfixturevalue("live_run").endpoint_file) if daemon else "embedded"
    with qpi.connect(endpoint) as context:
        yield context


@pytest.fixture
def mesh(ctx: qpi.Context) -> qpi.Mesh:
    return ctx.mesh("statevec")


def copied() -> Program:
    """Measures a qubit in superposition and flips another one when it reads 1."""
    b = qpi.Builder(2, 2)
    flag = b.variable("bool")
    then, after = b.block(), b.block()
    b.gate("h", 0)
    b.measure(0, 0)
    b.compute("copy", flag, Bit(0))
    b.branch(flag, then, after)
    b.enter(then)
    b.gate("x", 1)
    b.jump(after)
    b.enter(after)
    b.measure(1, 1)
    b.end()
    return b.finish()


def counting(until: int) -> Program:
    """Counts in a loop, then flips the qubit."""
    b = qpi.Builder(1, 1)
    count, more = b.variable("int"), b.variable("bool")
    body, done = b.block(), b.block()
    b.jump(body)
    b.enter(body)
    b.compute("add", count, Var(count), 1)
    b.compute("lt", more, Var(count), until)
    b.branch(more, body, done)
    b.enter(done)
    b.gate("x", 0)
    b.measure(0, 0)
    b.end()
    return b.finish()


def test_a_conditional_gives_counts_memory_and_exact_values(ctx: qpi.Context, mesh: qpi.Mesh) -> None:
    assert "dynamic" in ctx.device("statevec").gates
    row = mesh.run(qpi.Task(copied(), shots=1000, seed=1, outputs=("counts", "memory")), timeout=PATIENCE).rows[0]
    assert sorted(row.counts) == ["00", "11"] and abs(row.counts["11"] - 500) < 100
    assert sum(row.counts.values()) == len(row.memory) == 1000
    again = mesh.run(qpi.Task(copied(), shots=1000, seed=1), timeout=PATIENCE)
    assert again.counts == row.counts
    sums = [PauliSum([(1.0, "ZZ", [0, 1])]), PauliSum([(1.0, "Z", [0])])]
    exact = mesh.run(
        qpi.Task(copied(), outputs=("expectations", "probabilities"), observables=sums), timeout=PATIENCE
    ).rows[0]
    assert exact.expectations.tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    assert exact.probabilities.tolist() == pytest.approx([0.5, 0.0, 0.0, 0.5], abs=1e-12)


def test_the_step_limit_is_an_option(mesh: qpi.Mesh) -> None:
    assert mesh.run(qpi.Task(counting(100), shots=3), timeout=PATIENCE).counts == {"1": 3}
    with pytest.raises(errors.LimitExceeded, match=r"more than 50 instructions \(max_steps\)"):
        mesh.run(qpi.Task(counting(100), shots=3, options={"max_steps": 50}), timeout=PATIENCE)
    with pytest.raises(errors.LimitExceeded, match="more than 1000000 instructions"):
        mesh.run(qpi.Task(counting(1 << 40)), timeout=PATIENCE)
    for wrong in ("0", "-3", "many", "1e6", "99999999999999999999"):
        with pytest.raises(errors.InvalidArgument, match=f"max_steps is '{wrong}'"):
            mesh.run(qpi.Task(counting(2), options={"max_steps": wrong}), timeout=PATIENCE)


def test_a_loop_can_be_cancelled(ctx: qpi.Context, mesh: qpi.Mesh) -> None:
    queue = ctx.completion_queue()
    stream = mesh.stream(order="sequential", completions=queue)
    first = stream.submit(qpi.Task(counting(2)))
    running = stream.submit(qpi.Task(counting(1 << 60), options={"max_steps": 1 << 62}))
    assert [c.id for c in queue.read(1, timeout=PATIENCE)] == [first]
    stream.cancel(running)
    assert queue.wait(PATIENCE)
    assert isinstance(queue.readerr().error, errors.Cancelled)
    stream.close()


def test_a_loop_ends_at_its_deadline(mesh: qpi.Mesh) -> None:
    with pytest.raises(errors.DeadlineExceeded):
        mesh.run(qpi.Task(counting(1 << 60), options={"max_steps": 1 << 62}, deadline=0.05), timeout=PATIENCE)


def test_there_is_no_state_vector(mesh: qpi.Mesh) -> None:
    with pytest.raises(errors.Unsupported, match="no single state"):
        mesh.run(qpi.Task(copied(), outputs="statevector"), timeout=PATIENCE)


def test_a_failing_row_is_named(mesh: qpi.Mesh) -> None:
    b = qpi.Builder(1, 1)
    zero = b.variable("int")
    b.parameter("unused")
    b.compute("div", zero, 1, Var(zero))
    b.measure(0, 0)
    with pytest.raises(errors.InvalidProgram, match="the integer 1 is divided by 0"):
        mesh.run(qpi.Task(b.finish(), bindings=[[0.0], [1.0]]), timeout=PATIENCE)


def test_devices_that_run_none_say_so(ctx: qpi.Context) -> None:
    others = [device.name for device in ctx.devices() if device.status == "online" and "dynamic" not in device.gates]
    assert others or ctx.endpoint == "embedded"  # the daemon has the sample plugin's
    for name in others:
        with pytest.raises(errors.Unsupported, match="dynamic program"):
            ctx.mesh(name).run(qpi.Task(copied(), shots=1), timeout=PATIENCE)
