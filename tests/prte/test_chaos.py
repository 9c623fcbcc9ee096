"""Instances, their DVM and the daemon killed a few times under a streaming client; scripts/dev/chaos kills more."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PLAY = Path(__file__).resolve().parents[1] / "chaos" / "instance_kills.py"


@pytest.mark.timeout(280)
@pytest.mark.parametrize(("launcher", "seed"), [("prte", 2), ("local", 1)])
def test_a_few_kills_at_random_moments(launcher: str, seed: int) -> None:
    argv = [sys.executable, str(PLAY), "--kills", "6", "--seed", str(seed), "--launcher", launcher]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=260)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"chaos passed: seed \d+, 6 kills \(.*\), (\d+) of \1 tasks", done.stdout), done.stdout
