"""Tools one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qfw.program.errors import InvalidArgument, LimitExceeded
from qfw.toolchain.tools.tool import Tool

MAX_TASKS = 100_000  # that one task may become


class Pipeline:
    """Tools applied first to last on the way in, last to first on the way back; itself a tool."""

    name = "pipeline"

    def __init__(self, tools: Sequence[Tool]) -> None:
        for tool in tools:
            if not isinstance(tool, Tool):
                raise InvalidArgument(f"{tool!r} is not a tool: it lacks name, expand or reduce")
        self.tools = tuple(tools)

    def __repr__(self) -> str:
        return f"Pipeline({', '.join(tool.name for tool in self.tools)})"

    def expand(self, task: Any, device: Any) -> tuple[list[Any], Any]:
        """The tasks to run in place of `task`; the state says per tool which results belong together."""
        tasks, levels = [task], []
        for tool in self.tools:
            made: list[Any] = []
            level = []
            for one in tasks:
                parts, state = tool.expand(one, device)
                if not parts:
                    raise InvalidArgument(f"tool {tool.name!r} made no task of one; at least one expected")
                made += parts
                level.append((len(parts), state))
                if len(made) > MAX_TASKS:
                    raise LimitExceeded(f"tool {tool.name!r} made more than {MAX_TASKS} tasks of one")
            tasks = made
            levels.append(level)
        return tasks, levels

    def reduce(self, results: Sequence[Any], state: Any) -> Any:
        """The one result, tool by tool from the last to the first."""
        level_results = list(results)
        for tool, level in zip(reversed(self.tools), reversed(state), strict=True):
            if len(level_results) != sum(count for count, _ in level):
                raise InvalidArgument(
                    f"{len(level_results)} results for the {sum(count for count, _ in level)} tasks of {tool.name!r}"
                )
            merged, at = [], 0
            for count, one in level:
                merged.append(tool.reduce(level_results[at : at + count], one))
                at += count
            level_results = merged
        return level_results[0]
