"""Tools on a stream: one task becomes a group, the group one completion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from qfw import qpi
from qfw.qpi.errors import InvalidArgument, LimitExceeded, NotFound
from qfw.toolchain.tools.tool import replace


@dataclass(frozen=True)
class Split:
    """Runs a task's shots in `parts` tasks and adds up the counts."""

    parts: int
    name: str = "split"

    def expand(self, task: Any, device: Any) -> tuple[list[Any], Any]:
        return [replace(task, shots=task.shots // self.parts, seed=i) for i in range(self.parts)], device

    def reduce(self, results: Sequence[Any], state: Any) -> Any:
        assert len(results) == self.parts
        return results, sum(sum(r.counts.values()) for r in results), state


@dataclass(frozen=True)
class CannotReduce:
    name: str = "cannot"

    def expand(self, task: Any, device: Any) -> tuple[list[Any], Any]:
        return [task], None

    def reduce(self, results: Sequence[Any], state: Any) -> Any:
        raise InvalidArgument("nothing to make of it")


def test_a_group_is_one_completion(ctx: qpi.Context, mesh: qpi.Mesh, bell: qpi.Program) -> None:
    queue = ctx.completion_queue()
    with mesh.stream(completions=queue, pipeline=ctx.tool_pipeline(Split(4))) as stream:
        ids = stream.submit_many([qpi.Task(bell, shots=100, context=i) for i in range(3)])
    done = queue.read(3)
    assert [c.id for c in sorted(done, key=lambda c: c.id)] == ids
    assert {c.context for c in done} == {0, 1, 2}
    for c in done:
        results, total, device = c.result
        assert total == 100
        assert [r.seed for r in results] == [0, 1, 2, 3]
        assert device.name == "statevec"
        assert results[0].timing.tools_ns > 0
        assert results[0].timing.total_ns == sum(results[0].timing.as_dict().values())


def test_run_takes_a_pipeline(ctx: qpi.Context, mesh: qpi.Mesh, bell: qpi.Program) -> None:
    pipeline = ctx.tool_pipeline("fuse")
    task = qpi.Task(bell, shots=50, seed=2)
    assert sum(mesh.run(task, pipeline=pipeline).counts.values()) == 50
    many = mesh.run([task, task], pipeline=pipeline)
    assert [r.counts for r in many] == [mesh.run(task, pipeline=pipeline).counts] * 2
    assert many[0].timing.tools_ns > 0
    assert "fuse" in repr(pipeline)


def test_a_failed_part_fails_the_operation(ctx: qpi.Context, mesh: qpi.Mesh, bell: qpi.Program) -> None:
    queue = ctx.completion_queue()
    pipeline = ctx.tool_pipeline(Split(2))
    with mesh.stream(completions=queue, pipeline=pipeline) as stream:
        stream.submit(qpi.Task(bell, shots=1 << 62, context="mine"))
    failed = queue.readerr()
    assert failed.context == "mine"
    assert isinstance(failed.error, LimitExceeded)
    with pytest.raises(LimitExceeded):
        mesh.run(qpi.Task(bell, shots=1 << 62), pipeline=pipeline)


def test_a_tool_that_cannot_reduce_fails_its_own_operation(ctx: qpi.Context, mesh: qpi.Mesh, bell: qpi.Program) -> None:
    queue = ctx.completion_queue()
    pipeline = ctx.tool_pipeline(CannotReduce())
    with mesh.stream(completions=queue, pipeline=pipeline) as bad, mesh.stream(completions=queue) as good:
        bad.submit(qpi.Task(bell, context="bad"))
        good.submit(qpi.Task(bell, context="good"))
    good_ones, errors = [], []
    while len(good_ones) + len(errors) < 2:
        try:
            good_ones += queue.read(1, timeout=30)
        except qpi.errors.ErrorAvailable:
            errors.append(queue.readerr())
    assert [c.context for c in good_ones] == ["good"]
    assert [c.context for c in errors] == ["bad"]
    assert "nothing to make of it" in str(errors[0].error)
    with pytest.raises(InvalidArgument, match="nothing to make of it"):
        mesh.run(qpi.Task(bell), pipeline=pipeline)


def test_unknown_tools(ctx: qpi.Context) -> None:
    with pytest.raises(NotFound, match="no tool 'fuze'; did you mean 'fuse'"):
        ctx.tool_pipeline("fuze")
