"""Reading completions."""

import select
import threading

import pytest

from qfw import qpi
from qfw.qpi.errors import (
    Closed,
    ErrorAvailable,
    InvalidArgument,
    LimitExceeded,
    NotFound,
    ResourceExhausted,
    WaitTimeout,
)

TOO_MANY = 1 << 62  # shots that no device takes


def test_read_gives_successes_with_their_contexts(ctx: qpi.Context, mesh: qpi.Mesh, bell: qpi.Program) -> None:
    queue = ctx.completion_queue()
    marks = [object() for _ in range(20)]
    with mesh.stream(completions=queue) as stream:
        ids = stream.submit_many([qpi.Task(bell, context=mark) for mark in marks])
    done = queue.read(20)
    assert {c.id for c in done} == set(ids)
    assert {id(c.context) for c in done} == {id(mark) for mark in marks}
    assert all(c.error is None and sum(c.result.counts.values()) == 1024 for c in done)


def test_errors_are_read_apart(ctx: qpi.Context, mesh: qpi.Mesh, bell: qpi.Program) -> None:
    queue = ctx.completion_queue()
    with mesh.stream(order="sequential", completions=queue) as stream:
        stream.submit(qpi.Task(bell, context=0))
        wrong = stream.submit(qpi.Task(bell, shots=TOO_MANY, context=1))
        stream.submit(qpi.Task(bell, context=2))
    assert [c.context for c in queue.read(3)] == [0]
    for _ in range(2):  # nothing is taken by asking
        with pytest.raises(ErrorAvailable):
            queue.read(3)
    failed = queue.readerr()
    assert (failed.id, failed.context, failed.result) == (wrong, 1, None)
    assert isinstance(failed.error, LimitExceeded)
    assert str(TOO_MANY) in str(failed.error)
    assert [c.context for c in queue.read(3)] == [2]
    with pytest.raises(NotFound):
        queue.readerr()


def test_a_timeout_takes_nothing(ctx: qpi.Context) -> None:
    queue = ctx.completion_queue()
    with pytest.raises(WaitTimeout, match="0 of 2 completions"):
        queue.read(2, timeout=0.01)
    assert queue.read(2, timeout=0) == []
    assert not queue.wait(timeout=0.01)
    with pytest.raises(TimeoutError):  # also Python's own
        queue.read(timeout=0.01)


def test_read_needs_a_positive_number(ctx: qpi.Context) -> None:
    with pytest.raises(InvalidArgument, match=r"read\(0\)"):
        ctx.completion_queue().read(0)


def test_signal_wakes_a_reader(ctx: qpi.Context) -> None:
    queue = ctx.completion_queue()
    got: list[object] = []
    reader = threading.Thread(target=lambda: got.append(queue.read()))
    reader.start()
    while reader.is_alive():
        queue.signal()
        reader.join(0.01)
    assert got == [[]]


def test_the_descriptor_polls_readable_while_entries_are_there(
    ctx: qpi.Context, mesh: qpi.Mesh, bell: qpi.Program
) -> None:
    queue = ctx.completion_queue()
    assert not select.select([queue], [], [], 0)[0]
    with mesh.stream(completions=queue) as stream:
        stream.submit(qpi.Task(bell))
        assert select.select([queue], [], [], 30)[0]
    assert len(queue) == 1
    assert queue.outstanding == 0
    queue.read()
    assert not select.select([queue], [], [], 0)[0]
    assert len(queue) == 0
    assert queue  # an empty queue is still a queue


def test_a_full_queue_refuses_submissions(ctx: qpi.Context, mesh: qpi.Mesh, bell: qpi.Program) -> None:
    queue = ctx.completion_queue(capacity=2)
    with mesh.stream(completions=queue) as stream:
        stream.submit_many([qpi.Task(bell), qpi.Task(bell)])
        with pytest.raises(ResourceExhausted, match="capacity of 2") as caught:
            stream.submit(qpi.Task(bell))
        assert caught.value.transient
        stream.wait()
        queue.read(2)
        stream.submit(qpi.Task(bell))
    assert len(queue.read(5)) == 1
    with pytest.raises(InvalidArgument):
        ctx.completion_queue(capacity=0)


def test_a_closed_queue_can_be_emptied(ctx: qpi.Context, mesh: qpi.Mesh, bell: qpi.Program) -> None:
    queue = ctx.completion_queue()
    with mesh.stream(completions=queue) as stream:
        stream.submit(qpi.Task(bell))
    queue.close()
    assert len(queue.read()) == 1
    with pytest.raises(Closed):
        queue.read()


def test_several_streams_share_a_queue(ctx: qpi.Context, mesh: qpi.Mesh, bell: qpi.Program) -> None:
    queue = ctx.completion_queue()
    with mesh.stream(completions=queue) as a, mesh.stream(completions=queue) as b:
        a.submit(qpi.Task(bell, context="a"))
        b.submit(qpi.Task(bell, context="b"))
    assert {c.context for c in queue.read(2)} == {"a", "b"}
