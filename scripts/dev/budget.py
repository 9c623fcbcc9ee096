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
# clang-format keeps the closing brace of a function under the column where its first line starts.
C_FUNCTION = re.compile(r"^( *)[A-Za-z_~].*\)[^;{}]*\{$")
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
    for number, line in enumerate(lines, 1):
        found = C_FUNCTION.match(line)
        if not found or NOT_A_FUNCTION.match(line):
            continue
        closing = found[1] + "}"
        for end, other in enumerate(lines[number:], number + 1):
            if other.startswith(closing):
                yield line.strip(), number, end - number + 1
                break


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
