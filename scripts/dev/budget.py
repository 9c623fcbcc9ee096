"""The size budget: no function above 80 lines, no source file above 600 (tables and generated code exempt)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LIMIT = 600
FUNCTION_LIMIT = 80
EXEMPT = re.compile(r"_pb2(_grpc)?\.pyi?$|gates\.def$")
SOURCES = (".py", ".cc", ".h", ".c", ".sh")
# clang-format closes a function in the column where its first line starts.
C_FUNCTION = re.compile(r"^ *[A-Za-z_~].*\)[^;{}()]*\{$")
NOT_A_FUNCTION = re.compile(r"^ *(if|for|while|switch|else|do|catch|namespace|struct|class|enum|union|extern)\b")


def python_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """(name, first line, lines without the docstring) of every function."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node, clean=False) is not None:
                text_node = node.body[0]
                size -= (text_node.end_lineno or text_node.lineno) - text_node.lineno + 1
            yield node.name, node.lineno, size


def c_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """(first line's text, its number, lines) of every function, by the layout that clang-format gives it."""
    lines = text.splitlines()
    for opening, line in enumerate(lines):
        if not C_FUNCTION.match(line):
            continue
        first = opening
        depth = line.count(")") - line.count("(")
        while depth > 0 and first > 0:  # a signature over several lines
            first -= 1
            depth += lines[first].count(")") - lines[first].count("(")
        if depth != 0 or NOT_A_FUNCTION.match(lines[first]):  # below 0: a lambda among arguments
            continue
        closing = re.match(" *", lines[first])[0] + "}"  # type: ignore[index]
        end = next((n for n in range(opening + 1, len(lines)) if lines[n].startswith(closing)), opening)
        yield lines[first].strip(), first + 1, end - first + 1


def complaints(path: Path) -> Iterator[str]:
    """What breaks the budget in one file."""
    text = path.read_text(encoding="utf-8")
    length = text.count("\n")
    if length > FILE_LIMIT:
        yield f"{path}: {length} lines, the limit is {FILE_LIMIT}"
    if path.suffix == ".sh":
        return
    functions = python_functions(text) if path.suffix == ".py" else c_functions(text)
    for name, line, size in functions:
        if size > FUNCTION_LIMIT:
            yield f"{path}:{line}: {name} has {size} lines, the limit is {FUNCTION_LIMIT}"


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    paths = [Path(p) for p in listed.split("\0") if p.endswith(SOURCES) and not EXEMPT.search(p)]
    found = [text for path in paths if path.is_file() for text in complaints(path)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
