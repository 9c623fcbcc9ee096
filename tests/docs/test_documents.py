"""What the pages show works: their Python and C is run, their shell is parsed.

Python after a comment `<!-- not run: reason -->` is only compiled, and the reason is printed; so is C without a main.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from qfw import _core

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?:<!-- not run: (?P<why>[^>]*) -->\n+)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    kind: str
    text: str
    why_not_run: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*kinds: str) -> list[Block]:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match["kind"] in kinds:
                line = text.count("\n", 0, match.start("text"))
                found.append(Block(page, line, match["kind"], match["text"], match["why"]))
    return found


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python(block: Block, tmp_path: Path) -> None:
    compile(block.text, str(block), "exec")
    if block.why_not_run is not None:
        pytest.skip(f"{block}: {block.why_not_run}")
    path = tmp_path / "example.py"
    path.write_text(block.text)
    done = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr


def as_function(text: str) -> str:
    """A part of a program as a whole translation unit: what pages leave out is declared around it."""
    lines = text.splitlines()
    includes = [line for line in lines if line.startswith("#include")]
    body = "\n".join(line for line in lines if line not in includes)
    handles = "qpi_context* context, qpi_mesh* mesh, qpi_stream* stream, qpi_cq* cq, qpi_program* program"
    head = ["#include <inttypes.h>", "#include <stdio.h>", "#include <qpi/qpi.h>", *includes]
    head.append("void use(void* context, qpi_result* result);")
    return "\n".join(head) + f"\nint part({handles});\nint part({handles}) {{\n{{\n{body}\n}}\nreturn 0;\n}}\n"


@pytest.mark.parametrize("block", blocks("c"), ids=str)
def test_c(block: Block, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "a C compiler is needed"
    installed = Path(_core.__file__ or "").parent
    source = tmp_path / "example.c"
    source.write_text(block.text)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-I", str(installed / "include")]
    if "int main" not in block.text:
        source.write_text(as_function(block.text))
        subprocess.run([compiler, *flags, "-Wno-unused", "-fsyntax-only", source], check=True, timeout=60)
        return
    link = ["-L", str(installed / "lib"), f"-Wl,-rpath,{installed / 'lib'}", "-lqpi"]
    subprocess.run([compiler, *flags, source, "-o", tmp_path / "example", *link], check=True, timeout=60)
    done = subprocess.run([tmp_path / "example"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", blocks("bash", "sh"), ids=str)
def test_shell(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
