"""Tools by name, options checked, pipelines of several."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from qfw.program import errors
from qfw.toolchain import tools


class Split:
    """Three tasks of one; sums their results."""

    def __init__(self, name: str, ways: int = 3) -> None:
        self.name = name
        self.ways = ways

    def expand(self, task: Any, device: Any) -> tuple[list[Any], Any]:
        return [f"{task}{self.name}{i}" for i in range(self.ways)], (task, self.name)

    def reduce(self, results: Sequence[Any], state: Any) -> Any:
        assert len(results) == self.ways
        return f"({'+'.join(results)} of {state[0]})"


def test_pipelines_nest() -> None:
    pipe = tools.pipeline(Split("a", 2), Split("b", 2))
    tasks, state = pipe.expand("t", None)
    assert tasks == ["ta0b0", "ta0b1", "ta1b0", "ta1b1"]
    assert pipe.reduce([t.upper() for t in tasks], state) == "((TA0B0+TA0B1 of ta0)+(TA1B0+TA1B1 of ta1) of t)"
    with pytest.raises(errors.InvalidArgument, match="3 results for the 4 tasks"):
        pipe.reduce(tasks[:3], state)


def test_the_empty_pipeline_changes_nothing() -> None:
    tasks, state = tools.pipeline().expand("t", None)
    assert tasks == ["t"]
    assert tools.pipeline().reduce(["r"], state) == "r"


def test_a_pipeline_is_a_tool() -> None:
    assert isinstance(tools.pipeline(), tools.Tool)


def test_built_in_names() -> None:
    assert {"fuse", "transpile"} <= set(tools.names())


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("fues", errors.NotFound, "did you mean 'fuse'"),
        ("zzzzzz", errors.NotFound, "known: 'fuse'"),
        (("fuse", {"speed": 3}), errors.InvalidArgument, "no option 'speed'"),
        (("transpile", {"optimisation_level": 3}), errors.InvalidArgument, "'optimization_level'"),
        (("transpile", {"optimization_level": 7}), errors.InvalidArgument, "7; 0, 1, 2 or 3"),
        (("transpile", {"coupling": [(0, -1)]}), errors.InvalidArgument, "coupling"),
        (("transpile", 3), errors.InvalidArgument, "pair"),
        (3, errors.InvalidArgument, "a name, a pair"),
    ],
)
def test_bad_specs(spec: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        tools.pipeline(spec)


def test_what_is_no_tool() -> None:
    with pytest.raises(errors.InvalidArgument, match="not a tool"):
        tools.Pipeline([SimpleNamespace(name="x")])  # type: ignore[list-item]


def test_a_tool_that_explodes_is_stopped() -> None:
    with pytest.raises(errors.LimitExceeded, match="more than 100000"):
        tools.pipeline(*(Split("x", 50) for _ in range(3))).expand("t", None)


def test_unknown_basis_gate() -> None:
    with pytest.raises(errors.UnknownGate, match="nonsense"):
        tools.pipeline(("transpile", {"basis_gates": ["nonsense"]}))
