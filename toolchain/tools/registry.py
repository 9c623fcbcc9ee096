"""Tools by name: the built-in ones and those that packages offer under the entry points `qfw.tools`."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from qfw.program.errors import InvalidArgument, NotFound
from qfw.toolchain.tools.pipeline import Pipeline
from qfw.toolchain.tools.tool import Tool

GROUP = "qfw.tools"
_BUILT_IN = {"fuse": "qfw.toolchain.tools.fuse:Fuse", "transpile": "qfw.toolchain.tools.transpile:Transpile"}

Spec = str | tuple[str, Mapping[str, Any]] | Tool


def _offered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def names() -> tuple[str, ...]:
    """All names that `create` knows."""
    return tuple(sorted({*_BUILT_IN, *_offered()}))


def near(name: str, known: Any) -> str:
    """', did you mean ...' for a misspelt name, or the list of what is known."""
    known = sorted(known)
    found = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return (
        f"did you mean {', '.join(map(repr, found))}?" if found else f"known: {', '.join(map(repr, known)) or 'none'}"
    )


def create(name: str, options: Mapping[str, Any] | None = None) -> Tool:
    """Makes a tool.

    Raises:
        NotFound: no tool of that name. InvalidArgument: an unknown option, or one out of range.
    """
    factory = _factory(name)
    options = dict(options or {})
    known = inspect.signature(factory).parameters
    for option in options:
        if option not in known:
            raise InvalidArgument(f"tool {name!r} has no option {option!r}; {near(option, known)}")
    try:
        tool = factory(**options)
    except TypeError as e:
        raise InvalidArgument(f"tool {name!r}: {e}") from e
    if not isinstance(tool, Tool):
        raise InvalidArgument(f"tool {name!r} made a {type(tool).__name__}, which lacks name, expand or reduce")
    return tool


def _factory(name: str) -> Callable[..., Any]:
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        return getattr(import_module(module), attribute)  # type: ignore[no-any-return]
    point = _offered().get(name)
    if point is None:
        raise NotFound(f"no tool {name!r}; {near(name, names())}")
    return point.load()  # type: ignore[no-any-return]


def pipeline(*specs: Spec) -> Pipeline:
    """A pipeline of names, (name, options) pairs and ready tools.

    Raises:
        NotFound, InvalidArgument: as `create`.
    """
    tools: list[Tool] = []
    for spec in specs:
        if isinstance(spec, str):
            tools.append(create(spec))
        elif isinstance(spec, tuple):
            if len(spec) != 2 or not isinstance(spec[0], str) or not isinstance(spec[1], Mapping):
                raise InvalidArgument(f"tool {spec!r}; a name, a pair (name, options) or a tool expected")
            tools.append(create(*spec))
        elif isinstance(spec, Tool):
            tools.append(spec)
        else:
            raise InvalidArgument(f"tool {spec!r}; a name, a pair (name, options) or a tool expected")
    return Pipeline(tools)
