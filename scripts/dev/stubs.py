"""Holds the stubs of the compiled module, python/qfw/_core/*.pyi, to what the module has: every class, function,
property and constant, static or not, and the names, order and defaults of arguments as pybind11 documents them."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

STUBS = Path(__file__).resolve().parents[2] / "python/qfw/_core"
ROOMS = ("program", "simenv", "qpm", "qpi")
OBJECT_METHODS = {"__len__", "__eq__", "__hash__"}  # those of object that a stub may name


def signatures(documented: str) -> list[list[tuple[str, bool]]]:
    """(name, has a default) of every argument, for each overload in a docstring of pybind11."""
    found = []
    for line in documented.splitlines():
        match = re.match(r"(?:\d+\. )?\w+\((.*)\) -> ", line)
        if not match:
            continue
        arguments = []
        for part in _split(match.group(1)):
            name = re.match(r"\*{0,2}(\w+)", part)
            if name and not part.startswith("*") and part != "/":
                arguments.append((name.group(1), "=" in _outside(part)))
        found.append(arguments)
    return found


def _split(text: str) -> Iterator[str]:
    """The arguments of a signature: commas inside brackets and quotes do not count."""
    depth, start, quote = 0, 0, ""
    for i, c in enumerate(text):
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c in "([{<":
            depth += 1
        elif c in ")]}>":
            depth -= 1
        elif c == "," and depth == 0:
            yield text[start:i].strip()
            start = i + 1
    if text[start:].strip():
        yield text[start:].strip()


def _outside(part: str) -> str:
    """An argument without what stands in brackets."""
    while (shorter := re.sub(r"[\[(][^\[\]()]*[\])]", "", part)) != part:
        part = shorter
    return part


def stub_arguments(node: ast.FunctionDef) -> list[tuple[str, bool]]:
    """The same, of a stub."""
    args = node.args
    plain = [*args.posonlyargs, *args.args]
    defaults = [False] * (len(plain) - len(args.defaults)) + [True] * len(args.defaults)
    named = [(a.arg, d is not None) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    return [(a.arg, d) for a, d in zip(plain, defaults, strict=True)] + named


def compare_function(where: str, node: ast.FunctionDef, there: Any) -> Iterator[str]:
    known = signatures(there.__doc__ or "")
    mine = [a for a in stub_arguments(node) if a[0] != "self"]
    if not known or node.name in OBJECT_METHODS:
        return
    for theirs in known:
        theirs = [a for a in theirs if a[0] != "self"]
        unnamed = all(re.fullmatch(r"arg\d+", name) for name, _ in theirs)
        if theirs == mine or (unnamed and len(theirs) == len(mine)):
            return
    yield f"{where}: the stub has {mine}, the module {known[0] if len(known) == 1 else known}"


def compare(where: str, body: list[ast.stmt], there: Any) -> Iterator[str]:
    """What differs between the statements of a stub and a module or class."""
    listed = set()
    for node in body:
        if isinstance(node, ast.FunctionDef):
            listed.add(node.name)
            found = vars(there).get(node.name, getattr(there, node.name, None))
            words = {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
            if found is None:
                yield f"{where}.{node.name}: not in the module"
            elif isinstance(found, property) != ("property" in words):
                yield f"{where}.{node.name}: a property on one side only"
            elif isinstance(found, staticmethod) != ("staticmethod" in words):
                yield f"{where}.{node.name}: static on one side only"
            elif not isinstance(found, property):
                yield from compare_function(f"{where}.{node.name}", node, getattr(there, node.name))
        elif isinstance(node, ast.ClassDef):
            listed.add(node.name)
            if node.name.startswith("_"):
                continue  # a type of the stub's own
            if not isinstance(getattr(there, node.name, None), type):
                yield f"{where}.{node.name}: no such class in the module"
                continue
            yield from compare(f"{where}.{node.name}", node.body, getattr(there, node.name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            listed.add(node.target.id)
            if not hasattr(there, node.target.id):
                yield f"{where}.{node.target.id}: not in the module"
    for name in vars(there):
        special = name.startswith("_")
        if name not in listed and not special and not isinstance(vars(there)[name], ModuleType):
            yield f"{where}.{name}: not in the stub"


def main() -> int:
    """Prints what differs; 1 when something does."""
    differing = []
    for room in ROOMS:
        module = getattr(importlib.import_module("qfw._core"), room)
        stub = ast.parse((STUBS / f"{room}.pyi").read_text())
        differing += compare(f"qfw._core.{room}", stub.body, module)
    for line in differing:
        print(line, file=sys.stderr)
    return bool(differing)


if __name__ == "__main__":
    raise SystemExit(main())
