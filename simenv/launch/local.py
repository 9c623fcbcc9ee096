"""Child processes on this machine: started, watched by pidfd, and ended, only those.

A child gets a pipe as standard input that stays open as long as its parent lives: reading its end tells the child
that it is no longer wanted, however the parent went. It announces itself by one line on the file descriptor whose
number is in its environment variable `QFW_READY_FD`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from qfw.program.errors import DeviceError, DeviceLost

READY_FD = "QFW_READY_FD"
TAIL_LINES = 40


class Child:
    """A running child process. Thread-safe."""

    def __init__(self, process: subprocess.Popen[bytes], announcement: str, tail: deque[str], drain: threading.Thread):
        self._process = process
        self._pidfd = os.pidfd_open(process.pid)
        self._tail = tail
        self._drain = drain
        self._lock = threading.Lock()
        self.pid = process.pid
        self.announcement = announcement  # what the child wrote when it was ready

    def alive(self) -> bool:
        """Whether the process still runs."""
        return not _ended(self._pidfd, 0.0) if self._pidfd >= 0 else False

    def wait(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for the end of the process; True when it has ended."""
        return self._pidfd < 0 or _ended(self._pidfd, timeout)

    def stderr_tail(self) -> str:
        """The last lines that the child wrote to its standard error."""
        if not self.alive():
            self._drain.join(1.0)
        return "\n".join(self._tail)

    def describe_end(self) -> str:
        """How the process ended and its last words, for an error message."""
        code = self._process.poll()
        how = "is still running" if code is None else describe_status(code)
        tail = self.stderr_tail()
        return f"process {self.pid} {how}" + (f"; its last output:\n{tail}" if tail else "")

    def stop(self, grace: float = 2.0) -> None:
        """Ends the child: its input closes, then SIGTERM after half the grace, then SIGKILL. Idempotent."""
        with self._lock:
            if self._pidfd < 0:
                return
            if self._process.stdin is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
            if not _ended(self._pidfd, grace / 2):
                signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
                if not _ended(self._pidfd, grace / 2):
                    _kill_group(self._process)
            self._process.wait()
            os.close(self._pidfd)
            self._pidfd = -1
        self._drain.join(1.0)


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path = "/",
    ready_timeout: float = 30.0,
) -> Child:
    """Starts `argv` in a process group of its own and waits until it announces itself.

    Raises DeviceLost when it ends before that, DeviceError when `ready_timeout` seconds pass: it is then ended.
    """
    ready_read, ready_write = os.pipe()
    environment = dict(os.environ if env is None else env)
    environment[READY_FD] = str(ready_write)
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=str(cwd),
            pass_fds=(ready_write,),
            process_group=0,
        )
    except OSError as error:
        os.close(ready_read)
        raise DeviceError(f"cannot start {argv[0]}: {error}") from error
    finally:
        os.close(ready_write)
    tail, drain = _drain_stderr(process)
    try:
        announcement = _read_line(ready_read, time.monotonic() + ready_timeout)
    finally:
        os.close(ready_read)
    child = Child(process, announcement or "", tail, drain)
    if announcement is None:
        raise _not_ready(child, argv, ready_timeout)
    return child


def announce(line: str) -> None:
    """In a child: tells the parent that it is ready. Does nothing where no parent waits for it."""
    number = os.environ.pop(READY_FD, "")
    if number:
        with os.fdopen(int(number), "w") as pipe:
            pipe.write(line + "\n")


def describe_status(code: int) -> str:
    """A process's exit status in words."""
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _not_ready(child: Child, argv: Sequence[str], ready_timeout: float) -> DeviceError:
    ended = child.wait(0.2)
    what = "ended before it was ready" if ended else f"was not ready after {ready_timeout:g} s"
    child.stop()
    return (DeviceLost if ended else DeviceError)(f"{' '.join(argv[:6])} {what}: {child.describe_end()}")


def _ended(pidfd: int, timeout: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(0, int(timeout * 1000))))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):  # not waited for yet, so the number is still ours
        os.killpg(process.pid, signal.SIGKILL)


def _drain_stderr(process: subprocess.Popen[bytes]) -> tuple[deque[str], threading.Thread]:
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    assert process.stderr is not None
    thread = threading.Thread(target=_keep_tail, args=(process.stderr, tail), name="qfw-stderr", daemon=True)
    thread.start()
    return tail, thread


def _keep_tail(stream: IO[bytes], tail: deque[str]) -> None:
    with stream:
        for line in stream:
            tail.append(line.decode(errors="replace").rstrip())


def _read_line(fd: int, deadline: float) -> str | None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    data = b""
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(int(left * 1000) + 1):
            return None
        chunk = os.read(fd, 4096)
        if not chunk:
            return None
        data += chunk
    return data.decode().rstrip("\n")
