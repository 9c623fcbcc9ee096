"""The launcher's side of a DVM's process (dvm.py): starts it, asks it, hears what it tells, ends it."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qfw.program import errors
from qfw.program.errors import DeviceError, DeviceLost, QfwError
from qfw.simenv.launch import dvm, local
from qfw.simenv.launch.pmix import App

ANSWER_SECONDS = 30.0  # for a request: PMIx_Spawn answers in milliseconds
MAX_DIRECTORY = 60  # bytes: PMIx and MPI put sockets below it
PREFIX = "qfw-prte-"
UNLOCKED = "."  # before the name of a directory that its maker has not locked yet

OnEnd = Callable[[int | None, str], None]


class DvmLink:
    """A started DVM. Thread-safe.

    `on_lost(link, message)` is called once when the DVM has ended, also by `close`, after the ends of all of its jobs
    were told. Calls back on a thread of its own, which must not wait for this object.
    """

    def __init__(
        self,
        library: str,
        command: Callable[[Path], Sequence[str]],
        env: Mapping[str, str],
        on_lost: Callable[[DvmLink, str], None],
        *,
        timeout: float,
        cancelled: Callable[[], bool],
    ) -> None:
        """Starts `command(directory)`, which is prte's with its session directories in `directory`.

        Raises DeviceError with prte's words when it does not come up within `timeout` seconds, or is `cancelled`.
        """
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._ids = itertools.count(1)
        self._answers: dict[int, tuple[Future[dict[str, Any]], OnEnd | None]] = {}
        self._jobs: dict[str, OnEnd] = {}
        self._lost = ""
        self._closed = False
        self.directory, self._lock_file = _private_directory()
        try:
            argv = [sys.executable, "-m", "qfw.simenv.launch.dvm", str(self.directory), library]
            self._child = local.start(
                [*argv, *command(self.directory)], env=env, ready_timeout=timeout, cancelled=cancelled
            )
            said = json.loads(self._child.announcement)
            self._prte = os.pidfd_open(said["prte"])
            self.prte_pid: int = said["prte"]
            self.version: str = said["version"]
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(str(self.directory / dvm.SOCKET))
        except BaseException:
            self._remove_directory()
            raise
        threading.Thread(target=self._read, name="qfw-dvm-link", daemon=True).start()

    @property
    def lost(self) -> str:
        """Why the DVM is gone; empty while it is there."""
        return self._lost

    @property
    def pid(self) -> int:
        """Of the process that holds the DVM."""
        return self._child.pid

    def spawn(
        self, apps: Sequence[App], on_end: OnEnd, *, oversubscribe: bool = False, tail: int = dvm.TAIL_LINES
    ) -> str:
        """Starts a job and returns its name. `on_end` is called with its status (JobEnd.status; None when it went with
        the DVM) and its last `tail` lines of output, maybe before this returns."""
        what = {"apps": [asdict(app) for app in apps], "oversubscribe": oversubscribe, "tail": tail}
        return str(self._ask("spawn", what, on_end)["job"])

    def end(self, job: str) -> None:
        """Asks for the end of a job: SIGTERM, then SIGKILL within a second."""
        self._ask("end", {"job": job})

    def close(self) -> None:
        """Ends all jobs and the DVM and removes its directory. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._child.wait(dvm.END_SECONDS + 5.0)
        self._child.stop()
        if not select.select([self._prte], [], [], dvm.END_SECONDS)[0]:  # told by the kernel when its holder was killed
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._prte, signal.SIGKILL)
            select.select([self._prte], [], [], dvm.END_SECONDS)
        os.close(self._prte)
        self._remove_directory()

    def _remove_directory(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self._lock_file)

    def _ask(self, do: str, arguments: Mapping[str, Any], on_end: OnEnd | None = None) -> dict[str, Any]:
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._lost:
                raise DeviceLost(self._lost, transient=True)
            number = next(self._ids)
            self._answers[number] = future, on_end
        try:
            with self._sending:
                self._send({"id": number, "do": do, **arguments})
            answer = future.result(ANSWER_SECONDS)
        except OSError as error:
            raise DeviceLost(f"the DVM's process cannot be reached: {error}", transient=True) from error
        except FutureTimeout as error:
            raise DeviceError(f"the DVM has not answered a request to {do} in {ANSWER_SECONDS:g} s") from error
        finally:
            with self._lock:
                self._answers.pop(number, None)
        if "error" in answer:
            raise _error(answer)
        return answer

    def _send(self, request: Mapping[str, Any]) -> None:
        self._socket.sendall(json.dumps(request).encode() + b"\n")

    def _read(self) -> None:
        message = ""
        with contextlib.suppress(OSError), self._socket.makefile("rb") as lines:
            for line in lines:
                told = json.loads(line)
                if told.get("event") == "lost":
                    message = told["message"]
                elif told.get("event") == "end":
                    self._jobs.pop(told["job"], _ignore)(told["status"], "\n".join(told["lines"]))
                else:
                    self._settle(told)
        self._socket.close()
        self._gone(message or self._last_words())

    def _settle(self, answer: dict[str, Any]) -> None:
        with self._lock:
            future, on_end = self._answers.pop(answer["id"], (None, None))
        if on_end is not None and "job" in answer:
            self._jobs[answer["job"]] = on_end
        if future is not None:
            future.set_result(answer)
        elif "job" in answer:  # of a request that was given up
            with self._sending, contextlib.suppress(OSError):
                self._send({"id": 0, "do": "end", "job": answer["job"]})

    def _last_words(self) -> str:
        if self._closed:
            return "the DVM was ended"
        self._child.wait(1.0)
        return f"the process that holds the DVM is gone: {self._child.describe_end()}"

    def _gone(self, message: str) -> None:
        with self._lock:
            self._lost = message
            waiting, self._answers = list(self._answers.values()), {}
        for future, _ in waiting:
            future.set_result({"error": "DeviceLost", "message": message})
        while self._jobs:
            self._jobs.popitem()[1](None, message)
        self._on_lost(self, message)


def _error(answer: Mapping[str, Any]) -> QfwError:
    kind = getattr(errors, answer["error"], DeviceError)
    return kind(answer["message"], transient=kind.__name__ in ("ResourceExhausted", "DeviceLost"))


def _ignore(_status: int | None, _text: str) -> None: ...


def _private_directory() -> tuple[Path, int]:
    """A new directory, and the descriptor of its lock, which says that it is in use."""
    base = tempfile.gettempdir()
    if len(os.fsencode(base)) > MAX_DIRECTORY - len(PREFIX) - 8:
        base = "/tmp"
    _remove_stale(Path(base))
    new = Path(tempfile.mkdtemp(prefix=UNLOCKED + PREFIX, dir=base))
    lock = os.open(new / dvm.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return new.rename(new.with_name(new.name.removeprefix(UNLOCKED))), lock


def _remove_stale(base: Path) -> None:
    """Removes what was left when everybody who would have removed it was killed: what nobody has locked."""
    for directory in base.glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            if directory.lstat().st_uid != os.getuid():
                continue
            lock = os.open(directory / dvm.LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(lock)
