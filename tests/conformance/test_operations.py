"""What streams, meshes and queues promise beyond one task at a time, over both transports: a runtime with two devices,
in this process and behind a socket."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest
from programs import endless, flip

from qfw import qpi
from qfw._core import qpi as native
from qfw._core.qpm import Runtime
from qfw.qpi import errors

PATIENCE = 60.0  # seconds; never reached by code that works


BELL = flip(3)
WRONG = qpi.Task(BELL, options={"colour": "red"})


# ---- meshes of the mode "all", streams on a device -----------------------------------------------------------------


def test_all_devices_run_a_task_and_it_completes_once(ctx: qpi.Context) -> None:
    mesh = ctx.mesh("two", "one", mode="all")
    assert [r.device for r in mesh.run(qpi.Task(BELL), timeout=PATIENCE)] == ["two", "one"]
    done = ctx.completion_queue()
    with mesh.stream(order="sequential", completions=done) as stream:
        for i in range(20):
            stream.submit(qpi.Task(flip(i % 16), shots=7, context=i))
    completions = done.read(20, timeout=PATIENCE)
    assert [c.context for c in completions] == list(range(20))
    for c in completions:
        assert [r.device for r in c.results] == ["two", "one"]
        assert [r.counts for r in c.results] == [{f"{c.context % 16:08b}": 7}] * 2
        assert c.result == c.results


def test_a_batch_on_all_devices_keeps_its_order(ctx: qpi.Context) -> None:
    mesh = ctx.mesh("one", "two", mode="all")
    for i, results in enumerate(mesh.run([qpi.Task(flip(i), shots=3) for i in range(16)], timeout=PATIENCE)):
        assert [(r.device, r.counts) for r in results] == [("one", {f"{i:08b}": 3}), ("two", {f"{i:08b}": 3})]


def test_a_pipeline_works_for_each_device(ctx: qpi.Context) -> None:
    mesh, pipeline = ctx.mesh("one", "two", mode="all"), ctx.tool_pipeline("fuse")
    results = mesh.run([qpi.Task(flip(i)) for i in range(3)], pipeline=pipeline, timeout=PATIENCE)
    assert [[r.counts for r in each] for each in results] == [[{f"{i:08b}": 1024}] * 2 for i in range(3)]
    done = ctx.completion_queue()
    with mesh.stream(completions=done, pipeline=pipeline) as stream:
        stream.submit(qpi.Task(flip(9), context="mine"))
    (completion,) = done.read(timeout=PATIENCE)
    assert (completion.context, [r.device for r in completion.results]) == ("mine", ["one", "two"])


def test_a_failure_on_all_devices_names_them(ctx: qpi.Context) -> None:
    mesh = ctx.mesh("one", "two", mode="all")
    with pytest.raises(
        errors.InvalidArgument, match=r"2 of 2 devices failed: one: unknown option 'colour'.*two: "
    ) as e:
        mesh.run([qpi.Task(BELL), WRONG], timeout=PATIENCE)
    good, bad = e.value.results  # type: ignore[attr-defined]
    assert [r.counts for r in good] == [{"00000011": 1024}] * 2
    assert all(isinstance(each, errors.InvalidArgument) for each in bad)
    done = ctx.completion_queue()
    with mesh.stream(completions=done) as stream:
        stream.submit(WRONG)
    failed = done.readerr()
    assert "2 of 2 devices failed" in str(failed.error)
    assert len(failed.results) == 2


def test_a_stream_directly_on_a_device(ctx: qpi.Context) -> None:
    device = ctx.device("two")
    done = ctx.completion_queue()
    with device.stream(completions=done) as stream:
        stream.submit_many([qpi.Task(BELL) for _ in range(10)])
    assert {c.result.device for c in done.read(10, timeout=PATIENCE)} == {"two"}
    assert device.run(qpi.Task(BELL), timeout=PATIENCE).device == "two"
    with pytest.raises(errors.InvalidArgument, match="'paper' is a description"):
        qpi.Device("paper").mesh()


def test_unknown_modes_and_kinds(ctx: qpi.Context) -> None:
    with pytest.raises(errors.InvalidArgument, match="mode is 'split'; allowed: 'any', 'all'"):
        ctx.mesh(mode="split")  # type: ignore[call-overload]
    with pytest.raises(errors.InvalidArgument, match="completions of 'gate'; allowed: task, query, barrier, error"):
        ctx.mesh("one").stream(completions={"gate": ctx.completion_queue()})


# ---- operations besides tasks, queues by kind ----------------------------------------------------------------------


def test_a_barrier_separates_what_is_before_from_what_is_after(ctx: qpi.Context) -> None:
    done = ctx.completion_queue()
    with ctx.mesh().stream(completions=done) as stream:
        for part in range(3):
            stream.submit_many([qpi.Task(BELL, context=part) for _ in range(50)])
            stream.barrier(context=f"end of {part}")
        stream.submit(qpi.Task(BELL, context=3))
    contexts = [c.context for c in done.read(154, timeout=PATIENCE)]
    expected = [[part] * 50 + [f"end of {part}"] for part in range(3)]
    assert contexts == [*expected[0], *expected[1], *expected[2], 3]


def test_a_query_is_a_completion_with_devices(ctx: qpi.Context) -> None:
    done = ctx.completion_queue()
    with ctx.mesh("one", "two").stream(order="sequential", completions=done) as stream:
        stream.submit(qpi.Task(BELL))
        mine = stream.query("two", context="mine")
        stream.query(ctx.device("one"), "two")
        with pytest.raises(errors.InvalidArgument, match="'three' is not of this stream, which has: one, two"):
            stream.query("three")
    task, query, both = done.read(3, timeout=PATIENCE)
    assert (task.kind, query.kind, query.id, query.context) == ("task", "query", mine, "mine")
    assert [d.name for d in query.devices] == ["two"]
    assert [d.name for d in both.devices] == ["one", "two"]
    assert query.devices[0].run(qpi.Task(BELL), timeout=PATIENCE).device == "two"


def test_queues_by_kind(ctx: qpi.Context) -> None:
    queues = {kind: ctx.completion_queue() for kind in ("task", "query", "barrier", "error")}
    with ctx.mesh("one").stream(completions=queues) as stream:
        good, bad = stream.submit(qpi.Task(BELL)), stream.submit(WRONG)
        query, barrier = stream.query(), stream.barrier()
    got = {kind: [c.id for c in queues[kind].read(5, timeout=0)] for kind in ("task", "query", "barrier")}
    assert got == {"task": [good], "query": [query], "barrier": [barrier]}
    assert queues["error"].readerr().id == bad
    assert [queue.outstanding for queue in queues.values()] == [0, 0, 0, 0]


def test_a_group_larger_than_the_window_and_a_barrier_behind_it(ctx: qpi.Context) -> None:
    done = ctx.completion_queue()
    mesh = ctx.mesh("one")
    with mesh.stream(completions=done) as stream:
        stream.submit_many([qpi.Task(BELL, shots=1)] * (ctx.window + 10))
        barrier = stream.barrier()
        stream.submit_many([qpi.Task(BELL, shots=1)] * (ctx.window + 10))
    ids = [c.id for c in done.read(2 * ctx.window + 21, timeout=PATIENCE)]
    assert ids.index(barrier) == ctx.window + 10


# ---- cancel, priority ----------------------------------------------------------------------------------------------


def test_cancel_of_everything(ctx: qpi.Context) -> None:
    done = ctx.completion_queue()
    streams = [ctx.mesh(name).stream(completions=done) for name in ("one", "two")]
    for stream in streams:
        stream.submit(endless())
        stream.barrier()
        stream.submit(qpi.Task(BELL))
    caught: list[BaseException] = []

    def run() -> None:
        try:
            ctx.mesh("one").run([endless(), endless()])
        except errors.QfwError as error:
            caught.append(error)

    runner = threading.Thread(target=run)
    runner.start()
    while runner.is_alive():
        ctx.cancel()
        runner.join(0.05)
    assert isinstance(caught[0], errors.Cancelled)
    for stream in streams:
        stream.wait(PATIENCE)
    for _ in range(6):
        assert isinstance(done.readerr().error, errors.Cancelled)
    assert ctx.mesh("one").run(qpi.Task(BELL), timeout=PATIENCE).counts == {"00000011": 1024}


def test_higher_priority_goes_first(runtime: Runtime) -> None:
    one_at_a_time = Runtime(threads=1)
    one_at_a_time.add_statevec("single")
    with qpi.Context(native.Context.over(one_at_a_time.session())) as ctx:
        done = ctx.completion_queue()
        with ctx.mesh().stream(completions=done) as stream:
            blocker = stream.submit(endless())
            stream.submit_many([qpi.Task(BELL, priority=p, context=p) for p in (0, 5, -3, 9)])
            stream.cancel(blocker)
        assert isinstance(done.readerr().error, errors.Cancelled)
        order = [c.context for c in done.read(4, timeout=PATIENCE)]
    one_at_a_time.stop()
    assert order == [9, 5, 0, -3]


# ---- event loops ---------------------------------------------------------------------------------------------------


def test_await_a_run(ctx: qpi.Context) -> None:
    mesh = ctx.mesh("one")

    async def main() -> list[dict[str, int]]:
        results = await asyncio.gather(*(mesh.run_async(qpi.Task(flip(i), shots=2)) for i in range(16)))
        many = await mesh.run_async([qpi.Task(BELL, shots=1)] * (ctx.window + 5), timeout=PATIENCE)
        assert len(many) == ctx.window + 5
        both = await ctx.mesh("one", "two", mode="all").run_async(qpi.Task(BELL))
        assert [r.device for r in both] == ["one", "two"]
        with pytest.raises(errors.InvalidArgument, match="colour"):
            await mesh.run_async(WRONG)
        with pytest.raises(errors.WaitTimeout, match="1 of 1 tasks had no result"):
            await mesh.run_async(endless(), timeout=0.05)
        return [r.counts for r in results]

    assert asyncio.run(main()) == [{f"{i:08b}": 2} for i in range(16)]


def test_cancelling_an_awaited_run_cancels_its_task(ctx: qpi.Context) -> None:
    async def main() -> None:
        run = asyncio.ensure_future(ctx.mesh("one").run_async(endless()))
        await asyncio.sleep(0)  # it is submitted by now
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(main())
    assert ctx.mesh("one").run(qpi.Task(BELL), timeout=PATIENCE).counts == {"00000011": 1024}


def test_async_submission_and_iteration(ctx: qpi.Context) -> None:
    count = 2 * ctx.window + 3
    done = ctx.completion_queue()
    seen: list[int] = []

    async def produce(stream: qpi.Stream) -> None:
        for i in range(count):
            await stream.submit_async(qpi.Task(BELL, shots=1, context=i))

    async def main() -> None:
        with ctx.mesh("one").stream(completions=done) as stream:
            producer = asyncio.ensure_future(produce(stream))
            while len(seen) < count:
                async for completion in done:
                    seen.append(completion.context)
                await asyncio.sleep(0)
            await producer

    asyncio.run(main())
    assert sorted(seen) == list(range(count))


def test_async_read_keeps_errors_apart(ctx: qpi.Context) -> None:
    done = ctx.completion_queue()

    async def main() -> None:
        with ctx.mesh("one").stream(order="sequential", completions=done) as stream:
            stream.submit(qpi.Task(BELL, context=0))
            stream.submit(WRONG)
            stream.submit(qpi.Task(BELL, context=2))
            assert [c.context for c in await done.read_async(3, timeout=PATIENCE)] == [0]
            with pytest.raises(errors.ErrorAvailable):
                await done.read_async()
            assert isinstance(done.readerr().error, errors.InvalidArgument)
            assert [c.context for c in await done.read_async(3, timeout=PATIENCE)] == [2]
            with pytest.raises(errors.WaitTimeout, match="0 are outstanding"):
                await done.read_async(timeout=0.01)

    asyncio.run(main())


def test_closing_wakes_an_async_reader(ctx: qpi.Context) -> None:
    done = ctx.completion_queue()

    async def main() -> None:
        reader = asyncio.ensure_future(done.read_async())
        await asyncio.sleep(0)
        done.close()
        with pytest.raises(errors.Closed):
            await reader

    asyncio.run(main())


# ---- threads, signals ----------------------------------------------------------------------------------------------


def test_many_threads_share_everything(ctx: qpi.Context) -> None:
    """Streams, queues and meshes of one context, used by many threads at once: every operation completes once."""
    done = ctx.completion_queue()
    streams = [ctx.mesh().stream(order=order, completions=done) for order in ("parallel", "sequential", "parallel")]
    submitted: set[int] = set()
    lock = threading.Lock()

    def work(number: int) -> None:
        for i in range(60):
            stream = streams[(number + i) % 3]
            ids = stream.submit_many([qpi.Task(BELL, shots=1)] * 5)
            if i % 7 == 0:
                ids.append(stream.barrier())
            if i % 11 == 0:
                ids.append(stream.query())
            if i % 13 == 0:
                stream.cancel()
            with lock:
                submitted.update(ids)
            ctx.mesh("two").run(qpi.Task(BELL, shots=1), timeout=PATIENCE)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    ended: list[int] = []
    while any(thread.is_alive() for thread in threads) or done.outstanding or len(done):
        try:
            ended += [c.id for c in done.read(100, timeout=0.05)]
        except errors.ErrorAvailable:
            failed = done.readerr()
            assert isinstance(failed.error, errors.Cancelled)
            ended.append(failed.id)
        except errors.WaitTimeout:
            continue
    for thread in threads:
        thread.join(PATIENCE)
    assert len(ended) == len(set(ended))
    assert set(ended) == submitted


def test_ctrl_c_is_noticed_while_a_run_pushes_more_than_the_window() -> None:
    code = """
import os, signal, sys, threading
import numpy as np
from qfw import qpi
signal.signal(signal.SIGINT, signal.default_int_handler)
ctx = qpi.connect("embedded")
b = qpi.Builder(16, 1)
theta = b.parameter("theta")
for q in range(16):
    b.gate("rx", [q], [(theta, 1.0, 0.0)])
b.measure(0, 0)
slow = qpi.Task(b.finish(), bindings=np.zeros((2000, 1)), shots=1)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    ctx.mesh("statevec").run([slow] * (ctx.window + 100))
except KeyboardInterrupt:
    print("interrupted")
ctx.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
