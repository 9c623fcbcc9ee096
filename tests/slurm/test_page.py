"""docs/cluster.md, followed literally: every command in order, on a machine of its own.

The machine is made of namespaces: empty /etc/slurm, /etc/munge, /opt, /run and /var, own processes and ports. What the
page starts ends with it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import ROOT, assert_solved

EMPTY = "/etc/slurm /etc/munge /opt /run /var/spool /var/log /var/lib/munge"
MACHINE = f"""
set -euo pipefail
mount --make-rprivate /
for place in {EMPTY}; do mkdir -p $place; mount -t tmpfs -o mode=755 none $place; done
ip link set lo up
ip link add eth0 type veth peer name eth1
ip addr add 10.99.0.1/24 dev eth0
ip link set eth0 up
ip link set eth1 up
"""


pytestmark = pytest.mark.timeout(300)


def page() -> str:
    """All commands of the page."""
    text = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    return "\n".join(blocks)


def test_the_page_makes_a_cluster_that_runs_a_hybrid_job(possible: None, scratch: Path) -> None:
    script = scratch / "page.sh"
    script.write_text(MACHINE + page())
    environ = {name: os.environ[name] for name in ("PATH", "XDG_STATE_HOME", "LD_LIBRARY_PATH") if name in os.environ}
    environ |= {"HOME": str(scratch), "TMPDIR": str(scratch), "QFW_PYTHON": sys.executable}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}:/usr/sbin:/sbin"
    namespaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    done = subprocess.run([*namespaces, "bash", "-x", script], cwd=ROOT, env=environ, capture_output=True, text=True,
                          timeout=280)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 nodes ready" in done.stdout and "STATUS:          Success" in done.stdout
    assert_solved(done.stdout)
