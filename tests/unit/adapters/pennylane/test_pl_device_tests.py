"""PennyLane's own tests for devices pass, exactly and with shots."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pytest_mock", reason="PennyLane's device tests need pytest-mock")
pytest.importorskip("flaky", reason="PennyLane's device tests need flaky")
import pennylane

SUITE = Path(pennylane.__file__).parent / "devices" / "tests"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("shots", "least"), [("None", 380), ("20000", 360)])
def test_the_suite_of_pennylane(shots: str, least: int, tmp_path: Path) -> None:
    options = ["--device=qfw.device", f"--shots={shots}", "--device-kwargs", "endpoint=embedded"]
    options += ["--no-flaky-report", "-q", "-W", "ignore", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", SUITE, "-c", SUITE / "pytest.ini", *options],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= least
