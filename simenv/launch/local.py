"""Child processes on this machine: started, watched by pidfd, and ended, only those.

`start` is for a worker of one process: it gets a pipe as standard input that stays open as long as its parent lives:
reading its end tells the child that it is no longer wanted, however the parent went. It announces itself by one line on
the file descriptor whose number is in its environment variable `QFW_READY_FD`.

`LocalLauncher` has the interface of all launchers:

    launcher = LocalLauncher(slots=4)
    instance = launcher.start(InstanceSpec("solver", ("python3", "-m", "..."), (Place("localhost"),)))
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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, ClassVar

from qfw.program.errors import Closed, DeviceError, DeviceLost, Unsupported
from qfw.simenv.launch import mpiexec, tether
from qfw.simenv.launch.launcher import InstanceSpec, Node
from qfw.simenv.launch.slots import Slots

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

    def ask(self) -> None:
        """Sends SIGTERM."""
        with self._lock:
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    def stop(self, grace: float = 2.0) -> None:
        """Ends the child: its input, if that is a pipe, closes; SIGTERM after half the grace; SIGKILL. Idempotent."""
        with self._lock:
            if self._pidfd < 0:
                return
            half = grace / 2
            if self._process.stdin is None:
                grace, half = 2 * grace, 0.0
            else:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
            if not _ended(self._pidfd, half):
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
    cancelled: Callable[[], bool] = lambda: False,
) -> Child:
    """Starts `argv` in a process group of its own and waits until it announces itself.

    Raises DeviceLost when it ends before that, DeviceError when `ready_timeout` seconds pass or it is `cancelled`: then
    it is ended.
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
    tail, drain = _drain(process.stderr)
    try:
        announcement = _read_line(ready_read, time.monotonic() + ready_timeout, cancelled)
    finally:
        os.close(ready_read)
    child = Child(process, announcement or "", tail, drain)
    if announcement is None:
        raise _not_ready(child, argv, ready_timeout)
    return child


class ChildInstance:
    """An instance that is a child of this process: it, or the command that holds its ranks."""

    def __init__(self, spec: InstanceSpec, child: Child, name: str = "") -> None:
        """`name`: what people call it, unless it is the spec's."""
        self.spec = spec
        self._child = child
        self._called = name or spec.name
        self._stopped = False

    @property
    def carried_off(self) -> bool:
        return False

    def alive(self) -> bool:
        return self._child.alive()

    def wait(self, timeout: float) -> bool:
        return self._child.wait(timeout)

    def describe_end(self) -> str:
        stopped = " (it was told to)" if self._stopped else ""
        return f"{self._called}: {self._child.describe_end()}{stopped}"

    def stop(self, grace: float = 2.0) -> None:
        self._stopped = self._stopped or self.alive()
        self._child.stop(grace)


class LocalLauncher:
    """Starts instances as children of this process. They outlive it when it is killed: their lease ends them then."""

    name: ClassVar[str] = "local"

    def __init__(
        self, slots: int = 0, *, node: str = "localhost", memory_bytes: int = 0, oversubscribe: bool = False
    ) -> None:
        """`slots` 0: as many as there are CPUs that this process may use; `memory_bytes` 0: all of this machine's.
        Instances of several ranks need an mpiexec and mpi4py: `max_ranks` is 1 without."""
        cpus = len(os.sched_getaffinity(0))
        memory = memory_bytes or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        self._node = Node(node, slots or cpus, cpus, memory)
        self._mpi = mpiexec.find()
        self.max_ranks = self._node.slots if self._mpi is not None else 1
        self._slots = Slots([self._node], oversubscribe=oversubscribe)
        self._running: list[ChildInstance] = []
        self._closed = False
        self._lock = threading.Lock()

    @property
    def generation(self) -> int:
        return 1

    def nodes(self) -> Sequence[Node]:
        return (self._node,)

    def start(self, spec: InstanceSpec) -> ChildInstance:
        with self._lock:
            if self._closed:
                raise Closed(f"instance {spec.name}: the launcher is closed")
            self._reap()
            self._slots.take(spec)
            try:
                instance = ChildInstance(spec, self._child(spec))
            except BaseException:
                self._slots.give(spec)
                raise
            self._running.append(instance)
            return instance

    def close(self) -> None:
        with self._lock:
            self._closed = True
            running, self._running = self._running, []
        for instance in running:
            instance.stop()
        if self._mpi is not None:
            self._mpi.close()

    def _reap(self) -> None:
        for instance in [one for one in self._running if not one.alive()]:
            instance.stop()
            self._running.remove(instance)
            self._slots.give(instance.spec)

    def _child(self, spec: InstanceSpec) -> Child:
        env = {**os.environ, **spec.env}
        places = [(place.ranks, place.cpus) for place in spec.places]
        if spec.ranks == 1:
            pinned = [*tether.before(0, places=places), *spec.argv] if spec.places[0].cpus else spec.argv
            return launch(pinned, env)
        if self._mpi is None:
            raise Unsupported(f"instance {spec.name}: {spec.ranks} ranks need mpi4py and an mpiexec: {mpiexec.HOW}")
        rank = [*tether.before(signal.SIGKILL, places=places), *spec.argv]
        return launch(self._mpi.command(spec.ranks, rank), {**self._mpi.env(), **env})


def launch(argv: Sequence[str], env: Mapping[str, str], lines: int = TAIL_LINES) -> Child:
    """Starts a child that need not announce itself; keeps the last lines of all that it says."""
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            list(argv), stdin=null, stdout=pipe, stderr=subprocess.STDOUT, env=dict(env), cwd="/", process_group=0
        )
    except OSError as error:
        raise DeviceError(f"cannot start {argv[0]}: {error}") from error
    return Child(process, "", *_drain(process.stdout, lines))


def announce(line: str) -> None:
    """In a child: tells the parent that it is ready. Does nothing where no parent waits for it."""
    number = os.environ.pop(READY_FD, "")
    if number:
        with os.fdopen(int(number), "w") as pipe:
            pipe.write(line + "\n")


def describe_status(code: int) -> str:
    """A process's exit status in words."""
    if code >= 0:
        name = f" (128 + {signal.Signals(code - 128).name})" if code - 128 in set(signal.Signals) else ""
        return f"ended with exit status {code}{name}"
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


def _drain(stream: IO[bytes] | None, lines: int = TAIL_LINES) -> tuple[deque[str], threading.Thread]:
    tail: deque[str] = deque(maxlen=lines)
    assert stream is not None
    thread = threading.Thread(target=_keep_tail, args=(stream, tail), name="qfw-stderr", daemon=True)
    thread.start()
    return tail, thread


def _keep_tail(stream: IO[bytes], tail: deque[str]) -> None:
    with stream:
        for line in stream:
            tail.append(line.decode(errors="replace").rstrip())


def _read_line(fd: int, deadline: float, cancelled: Callable[[], bool]) -> str | None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    data = b""
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or cancelled():
            return None
        if not poll.poll(int(min(left, 0.2) * 1000) + 1):
            continue
        chunk = os.read(fd, 4096)
        if not chunk:
            return None
        data += chunk
    return data.decode().rstrip("\n")
