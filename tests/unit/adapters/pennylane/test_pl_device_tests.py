"""PennyLane's own tests for devices pass, exactly and with shots, on the embedded runtime and through a daemon."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pytest_mock", reason="PennyLane's device tests need pytest-mock")
pytest.importorskip("flaky", reason="PennyLane's device tests need flaky")
import pennylane

SUITE = Path(pennylane.__file__).parent / "devices" / "tests"

# Why a test may be skipped: the text of PennyLane, and whom it is about.
SKIPS = {
    "could not import 'torch'": "not installed: its wheel brings CUDA",
    "could not import 'jax'": "not installed",
    "device does not support diff_method": "backprop: no interface sees into the runtime; adjoint takes its place",
    "test only works with backprop": "the same",
    "test only works with parameter-shift": "the test's other cases",
    "operation not supported on the device": "QubitDensityMatrix: a mixed state",
    "device only supports expval": "of a noisy or limited device",
    "old device interface": "of devices before PennyLane 0.33",
    "old interface specific": "the same",
    "analytic mode": "the suite runs in both modes; each skips the other's",
    "analytic-mode": "the same",
    "non-analytical mode": "the same",
    "Shots must be specified": "the same",
    "If shots=None no warning is raised": "the same",
    "If shots!=None no error is raised": "the same",
    "Some plugins don't update state information": "the test looks at a state although there are shots",
    "only works on qutrit devices": "a qutrit device",
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[str]:
    """The endpoint file of a daemon of these tests' own."""
    base = Path(os.environ["XDG_RUNTIME_DIR"]) / f"t{os.urandom(3).hex()}"
    environment = dict(os.environ)
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        environment[name] = str(base / name[4].lower())
        Path(environment[name]).mkdir(mode=0o700, parents=True)
    command = [sys.executable, "-m", "qfw.qpm.run"]
    started = subprocess.run(
        [*command, "setup", "--json"], env=environment, check=True, capture_output=True, timeout=60
    )
    try:
        yield str(json.loads(started.stdout)["endpoint"])
    finally:
        subprocess.run([*command, "teardown", "--all"], env=environment, check=True, capture_output=True, timeout=60)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ["embedded", "daemon"])
@pytest.mark.parametrize(("shots", "least"), [("None", 380), ("20000", 360)])
def test_the_suite_of_pennylane(
    shots: str, least: int, place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    endpoint = "embedded" if place == "embedded" else request.getfixturevalue("daemon")
    options = ["--device=qfw.device", f"--shots={shots}", "--device-kwargs", f"endpoint={endpoint}"]
    options += ["--no-flaky-report", "-q", "-rs", "-W", "ignore", "-p", "no:cacheprovider"]
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
    skipped = re.findall(r"^SKIPPED \[\d+\] .*?\.py(?::\d+)?: (.*)$", done.stdout, re.MULTILINE)
    assert skipped, "the suite skips what needs another kind of device"
    assert [reason for reason in skipped if not any(known in reason for known in SKIPS)] == []
