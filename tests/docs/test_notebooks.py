"""The notebooks of docs/notebooks run from the first cell to the last; they hold no outputs in the repository."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs/notebooks").glob("*.ipynb"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells), "commit notebooks without outputs"
    NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [o for cell in book.cells if cell.cell_type == "code" for o in cell.outputs]
    assert printed and all(o.output_type != "error" for o in printed)


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 2
