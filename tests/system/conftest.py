"""What tests with real daemons share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qfw.qpm import run as runs
from qfw.qpm import run_cli


@pytest.fixture
def directories(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run and state directories of this test's own, below the session's; whatever a test leaves running is ended."""
    base = Path(os.environ["XDG_RUNTIME_DIR"]) / f"t{os.urandom(3).hex()}"
    for name in ("r", "s"):
        (base / name).mkdir(mode=0o700, parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base / "r"))
    monkeypatch.setenv("XDG_STATE_HOME", str(base / "s"))
    yield base
    for run in runs.runs():
        run_cli.clean(run, grace=5.0)
