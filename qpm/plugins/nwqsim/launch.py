"""Runs NWQ-Sim: a process group of its own, no shell, ended with us and when nobody waits for it any more.

What it reads and writes are files in memory, by their paths in /proc: nothing is left on a disk, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qfw.program.errors import Cancelled, DeviceError, LimitExceeded
from qfw.qpm.plugins.nwqsim.installed import Installed
from qfw.qpm.plugins.nwqsim.output import quote
from qfw.simenv.launch import openmpi
from qfw.simenv.launch.local import describe_status

POLL_MS = 20  # between two looks at whether the task is still wanted
GRACE_SECONDS = 3.0  # that mpirun gets to end its ranks
MAX_OUTPUT = 1 << 30  # bytes that are read
MAX_ARGUMENT = 100_000  # characters; Linux takes 128 KiB

_ROOT = {f"{who}_ALLOW_RUN_AS_ROOT{suffix}": "1" for who in ("OMPI", "PRTE") for suffix in ("", "_CONFIRM")}


@dataclass(frozen=True)
class Launch:
    """One launch of NWQ-Sim."""

    arguments: tuple[str, ...]
    program: str = ""  # OpenQASM 2
    profile: str = ""  # a device's noise
    dump: int = -1  # file descriptor of where it writes its state
    ranks: int = 0  # 0: without MPI
    threads: int = 1


@contextlib.contextmanager
def memory_file(data: bytes = b"") -> Iterator[int]:
    """The descriptor of a file in memory."""
    fd = os.memfd_create("qfw-nwqsim")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        yield fd
    finally:
        os.close(fd)


def command(installed: Installed, launch: Launch, program: int, profile: int) -> list[str]:
    """The words to execute, with the file descriptors of the program and the device's noise.

    Raises:
        DeviceError: the MPI back end without mpirun. LimitExceeded: a program that is too long for an argument, where
        ranks may be on nodes that share no file with this one.
    """
    words = [str(installed.executable), *launch.arguments]
    if launch.program and launch.ranks and installed.own_launcher:
        words += ["--qasm_string", _as_argument(launch.program)]
    elif launch.program:
        words += ["--qasm_file", f"/proc/{os.getpid()}/fd/{program}"]
    if launch.profile:
        words += ["--device", f"/proc/{os.getpid()}/fd/{profile}"]
    if launch.dump >= 0:
        words += ["--dump_file", f"/proc/{os.getpid()}/fd/{launch.dump}"]
    if launch.ranks:
        if not installed.launcher:
            raise DeviceError(
                "no mpirun on PATH for NWQ-Sim's MPI back end: set $QFW_NWQSIM_MPIRUN, see docs/nwqsim.md"
            )
        words = [*installed.launcher, "-n", str(launch.ranks), *words]
    guard = shutil.which("setpriv")  # so that a killed worker leaves nothing running; mpirun then ends its ranks
    return [guard, "--pdeathsig", "TERM" if launch.ranks else "KILL", *words] if guard else words


def _as_argument(program: str) -> str:
    text = program.rstrip().removesuffix(";")  # NWQ-Sim adds one
    if len(text) > MAX_ARGUMENT:
        raise LimitExceeded(
            f"the program is {len(text)} characters of OpenQASM; at most {MAX_ARGUMENT} with an mpirun of your own, "
            "which hands it to the ranks as an argument"
        )
    return text


def environment(installed: Installed, launch: Launch) -> dict[str, str]:
    """Ours; under an mpirun that the user has not named, without the job or step that this process may be a rank of:
    ranks are then on this node, as many as were asked for, on the CPUs that this process has."""
    own = {"OMP_NUM_THREADS": str(launch.threads)}
    if not launch.ranks or installed.own_launcher:
        return {**os.environ, **own}
    own |= {
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "PRTE_MCA_hwloc_default_binding_policy": "none",
    }
    if os.geteuid() == 0:
        own |= _ROOT
    return {**openmpi.TUNED, **openmpi.environment(Path(installed.launcher[0]), "SLURM_"), **own}


def run(installed: Installed, launch: Launch, stopped: Callable[[], bool]) -> str:
    """Launches, waits, and returns the standard output.

    Raises:
        Cancelled: `stopped` turned true; everything launched has been ended. DeviceError: it could not be started, or
        its exit status is not 0; says how it ended and quotes its output.
    """
    with contextlib.ExitStack() as stack:
        given = (launch.program, launch.profile, "", "")
        program, profile, out, err = (stack.enter_context(memory_file(text.encode())) for text in given)
        argv = command(installed, launch, program, profile)
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd="/",
                env=environment(installed, launch),
                process_group=0,
            )
        except OSError as error:
            raise DeviceError(f"cannot start NWQ-Sim ({argv[0]}): {error}") from error
        if not _watch(process, stopped):
            raise Cancelled("the task was cancelled; its NWQ-Sim was ended")
        text, complaint = _read(out), _read(err)
    if process.returncode != 0:
        said = " ".join(f"{name} {quote(t)}" for name, t in (("stderr", complaint), ("stdout", text)) if t.strip())
        how = describe_status(process.returncode)
        raise DeviceError(f"NWQ-Sim {' '.join(launch.arguments)} {how}: {said or 'it said nothing'}")
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


def _read(fd: int) -> str:
    size = os.fstat(fd).st_size
    if size > MAX_OUTPUT:
        raise DeviceError(f"NWQ-Sim printed {size} bytes, more than {MAX_OUTPUT}")
    with open(f"/proc/self/fd/{fd}", "rb") as file:  # from its beginning
        return file.read().decode("utf-8", errors="replace")
