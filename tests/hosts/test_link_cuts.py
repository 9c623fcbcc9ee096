"""A worker on a second host, whose link is cut while a client streams; scripts/dev/chaos --cuts cuts for longer."""

import re
import subprocess
import sys
from pathlib import Path

import namespaces
import pytest

PLAY = Path(__file__).resolve().parents[1] / "chaos" / "link_cuts.py"
pytestmark = pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing() or "namespaces are there")


@pytest.mark.timeout(280)
@pytest.mark.parametrize("hosts", ["n2:2", "n1:1,n2:1"])
def test_no_task_is_lost_when_the_link_is_cut(hosts: str) -> None:
    """Of the instances all, and one of two, are on the second host; 6 s are longer than a lease."""
    argv = [sys.executable, str(PLAY), "--cuts", "6", "--hosts", hosts]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=260)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cuts passed: 6 s" in done.stdout
    assert re.search(r"^(\d{3,}) of \1 tasks$", done.stdout, re.MULTILINE), done.stdout
