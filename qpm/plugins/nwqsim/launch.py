"""Runs NWQ-Sim: a process group of its own, no shell, ended with us and when nobody waits for it any more."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qfw.program.errors import Cancelled, DeviceError
from qfw.qpm.plugins.nwqsim.installed import Installed
from qfw.qpm.plugins.nwqsim.output import quote
from qfw.simenv.launch import openmpi
from qfw.simenv.launch.local import describe_status

POLL_MS = 20  # between two looks at whether the task is still wanted
GRACE_SECONDS = 3.0  # that mpirun gets to end its ranks
MAX_OUTPUT = 1 << 30  # bytes that are read

_ROOT = {f"{who}_ALLOW_RUN_AS_ROOT{suffix}": "1" for who in ("OMPI", "PRTE") for suffix in ("", "_CONFIRM")}


@dataclass(frozen=True)
class Launch:
    """One launch of NWQ-Sim."""

    arguments: tuple[str, ...]
    ranks: int = 0  # 0: without MPI
    threads: int = 1


def command(installed: Installed, launch: Launch) -> list[str]:
    """The words to execute. Raises DeviceError for the MPI back end without mpirun."""
    words = [str(installed.executable), *launch.arguments]
    if launch.ranks:
        if not installed.launcher:
            raise DeviceError(
                "no mpirun on PATH for NWQ-Sim's MPI back end: set $QFW_NWQSIM_MPIRUN, see docs/nwqsim.md"
            )
        words = [*installed.launcher, "-n", str(launch.ranks), *words]
    guard = shutil.which("setpriv")  # so that a killed worker leaves nothing running; mpirun then ends its ranks
    return [guard, "--pdeathsig", "TERM" if launch.ranks else "KILL", *words] if guard else words


def environment(installed: Installed, launch: Launch, folder: Path) -> dict[str, str]:
    """Ours; under an mpirun that the user has not named, without the job or step that this process may be a rank of:
    ranks are then on this node, as many as were asked for, on the CPUs that this process has."""
    own = {"OMP_NUM_THREADS": str(launch.threads)}
    if not launch.ranks or installed.own_launcher:
        return {**os.environ, **own}
    own |= {
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "PRTE_MCA_hwloc_default_binding_policy": "none",
        "PRTE_MCA_prte_tmpdir_base": str(folder),
    }
    if os.geteuid() == 0:
        own |= _ROOT
    return {**openmpi.TUNED, **openmpi.environment(Path(installed.launcher[0]), "SLURM_"), **own}


def run(installed: Installed, launch: Launch, folder: Path, stopped: Callable[[], bool]) -> str:
    """Launches, waits, and returns the standard output.

    Raises:
        Cancelled: `stopped` turned true; everything launched has been ended. DeviceError: it could not be started, or
        its exit status is not 0; says how it ended and quotes its output.
    """
    argv = command(installed, launch)
    out, err = folder / "stdout", folder / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                env=environment(installed, launch, folder),
                process_group=0,
            )
        except OSError as error:
            raise DeviceError(f"cannot start NWQ-Sim ({argv[0]}): {error}") from error
        ended = _watch(process, stopped)
    if not ended:
        raise Cancelled("the task was cancelled; its NWQ-Sim was ended")
    text = _read(out)
    if process.returncode != 0:
        said = " ".join(f"{name} {quote(t)}" for name, t in (("stderr", _read(err)), ("stdout", text)) if t.strip())
        how = describe_status(process.returncode)
        raise DeviceError(f"NWQ-Sim {_short(launch)} {how}: {said or 'it said nothing'}")
    return text


def _watch(process: subprocess.Popen[bytes], stopped: Callable[[], bool]) -> bool:
    """Waits for the end, and ends the whole process group. False when the task was given up before."""
    pidfd = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        wanted = True
        while wanted and not poll.poll(POLL_MS):
            wanted = not stopped()
        if not wanted:
            _signal_group(process, signal.SIGTERM)
            end = time.monotonic() + GRACE_SECONDS
            while time.monotonic() < end and not poll.poll(POLL_MS):
                pass
        return wanted
    finally:
        _signal_group(process, signal.SIGKILL)  # what is left of the group, before its number is free again
        process.wait()
        os.close(pidfd)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # not waited for yet, so the number is still ours
        os.killpg(process.pid, number)


def _read(file: Path) -> str:
    if file.stat().st_size > MAX_OUTPUT:
        raise DeviceError(f"NWQ-Sim printed {file.stat().st_size} bytes, more than {MAX_OUTPUT}")
    return file.read_text("utf-8", errors="replace")


def _short(launch: Launch) -> str:
    words: Sequence[str] = launch.arguments
    return " ".join(word for word in words if not word.startswith("/"))
