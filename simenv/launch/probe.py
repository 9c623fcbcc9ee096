"""What a node says of itself: one line of JSON on standard output, printed by one rank on every node of a DVM.

    python -I -S probe.py [DIRECTORY...]

DIRECTORYs are those of DVMs of ours that are gone: what they left on this node goes too, session directories, and a
prted whose link to its prte was cut.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

LINGER = 0.05  # seconds: PMIx may not tell the end of a job that is shorter


def describe() -> dict[str, object]:
    """Names, CPUs that may be used, and bytes of memory of this machine."""
    return {
        "probe": 1,
        "rank": int(os.environ.get("PMIX_RANK", os.environ.get("SLURM_PROCID", "0"))),
        "names": sorted({name for name in (os.environ.get("SLURMD_NODENAME", ""), socket.gethostname()) if name}),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def end_prted(directory: str) -> None:
    """Kills the prted of a DVM: it was started with this directory, which no other has."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            process = os.pidfd_open(int(entry.name))
        except OSError:
            continue
        try:
            words = [word.strip('"') for word in (entry / "cmdline").read_text(errors="replace").split("\0")]
            if Path(words[0]).name == "prted" and ("prte_tmpdir_base", directory) in itertools.pairwise(words):
                signal.pidfd_send_signal(process, signal.SIGKILL)
        except OSError:
            continue
        finally:
            os.close(process)


if __name__ == "__main__":
    for left in sys.argv[1:]:
        end_prted(left)
        shutil.rmtree(Path(left), ignore_errors=True)
    print(json.dumps(describe()), flush=True)
    time.sleep(LINGER)
