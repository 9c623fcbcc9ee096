"""The generated page of the gates is the one in docs/."""

from __future__ import annotations

from pathlib import Path

from qfw.program import gates
from qfw.program.reference import gates_markdown, main

PAGE = Path(__file__).parents[3] / "docs" / "gates.md"


def test_page_is_current(tmp_path: Path) -> None:
    main([str(tmp_path / "gates.md")])
    written = (tmp_path / "gates.md").read_text(encoding="utf-8")
    assert written == gates_markdown() == PAGE.read_text(encoding="utf-8"), "run scripts/dev/gen-gates"


def test_every_gate_has_its_line() -> None:
    lines = gates_markdown().splitlines()
    for row in gates():
        assert sum(line.startswith(f"| {row.id} | `{row.name}` |") for line in lines) == 1
