"""What the tests of launchers share: commands for instances, and a look for what they leave behind."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from qfw.simenv.launch.launcher import InstanceSpec, Launcher, Place

PATIENCE = 60.0  # seconds: only ever waited out by a test that fails


def spec(launcher: Launcher, *argv: str, ranks: int = 1, cpus: tuple[int, ...] = (), **env: str) -> InstanceSpec:
    """An instance on the launcher's first node."""
    return InstanceSpec("sample", argv, (Place(launcher.nodes()[0].name, ranks, cpus),), env)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", code)


def lasting(mark: Path) -> tuple[str, ...]:
    """A command that writes the numbers of its processes into the folder `mark` and stays."""
    return python(
        "import os, signal; r = os.environ.get('PMIX_RANK', os.environ.get('SLURM_PROCID', '0'));"
        f"f = open({str(mark)!r} + f'/{{r}}.{{os.getpid()}}', 'w'); f.write(str(os.getpid())); f.close();"
        f"os.rename(f.name, {str(mark)!r} + '/' + r); signal.pause()"
    )


def pids(mark: Path, ranks: int = 1) -> list[int]:
    """The numbers that `lasting` wrote, by rank, when all are there."""
    files = [mark / str(rank) for rank in range(ranks)]
    eventually(lambda: all(file.exists() for file in files), f"{ranks} ranks in {mark}")
    return [int(file.read_text()) for file in files]


def eventually(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {patience:g} s"
        time.sleep(0.01)


def running(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text[text.rindex(")") + 2] not in "ZX"


def carrying(mark: str) -> list[str]:
    """The command lines of all processes that have `mark` in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "environ").read_bytes() and running(int(entry.name)):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except (OSError, ProcessLookupError):
                continue
    return found
