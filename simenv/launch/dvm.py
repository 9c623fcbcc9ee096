"""The process that holds one PRTE DVM: the parent of `prte`, its PMIx tool, and a small server for the launcher.

    python -m qfw.simenv.launch.dvm DIRECTORY LIBPMIX PRTE ARGUMENT...

It is a process of its own because PMIx can be used once per process and does not outlive its server: one DVM, one
such process. DIRECTORY is private to it and goes with it; the launcher connects to the socket `dvm` in it and both send
lines of JSON. Requests are {"id", "do": "spawn", "apps", "tail", "oversubscribe"} → {"id", "job"},
{"id", "do": "end", "job"} → {"id"}, or {"id", "error", "message"}; it tells {"event": "end", "job", "status",
"rank", "lines"} and {"event": "lost", "message"}. When the launcher goes, the DVM goes; when this process is killed,
`prte` is told by the kernel.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from qfw.program.errors import DeviceError, QfwError
from qfw.simenv.launch import local, pmix, tether

SOCKET = "dvm"
LOCK = "lock"  # shared by all who use the directory
CONNECT_TIMEOUT = 20.0  # seconds for the launcher to connect
POLL_SECONDS = 0.5  # between looks for jobs whose end was not told
END_SECONDS = 5.0  # that prte may take to end its ranks and daemons
TAIL_LINES = 40
_TAGGED = re.compile(r"^\[(?:.*@)?(\d+),\d+\]<std\w+>:? ?(.*)$")  # [job,rank]<stderr>: text


class Output:
    """What comes out of PMIx's and the ranks' mouths: the last lines of every job, and of prte."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, deque[str]] = {}
        self._seen = threading.Condition(self._lock)
        self._marks = 0
        self._written = 0
        self._write = -1
        self.prte: deque[str] = deque(maxlen=TAIL_LINES)

    def capture(self) -> None:
        """Takes over this process's standard output and error: there PMIx writes what ranks say."""
        read, self._write = os.pipe()
        os.dup2(self._write, 1)
        os.dup2(self._write, 2)
        threading.Thread(target=self._read, args=(os.fdopen(read, "rb"),), name="qfw-output", daemon=True).start()

    def follow(self, stream: IO[bytes]) -> None:
        """Keeps prte's own words."""

        def read() -> None:
            for line in stream:
                self.prte.append(line.decode(errors="replace").rstrip())

        threading.Thread(target=read, name="qfw-prte", daemon=True).start()

    def open(self, job: str, lines: int) -> None:
        with self._lock:
            kept = self._jobs.get(job, ())
            self._jobs[job] = deque(kept, maxlen=lines)

    def close(self, job: str) -> list[str]:
        """The last lines of a job that ended."""
        with self._lock:
            self._written += 1
            mark = self._written
        os.write(self._write, b"\0\n")  # all that was written before is read when this is
        with self._lock:
            self._seen.wait_for(lambda: self._marks >= mark, 1.0)
            return list(self._jobs.pop(job, ()))

    def _read(self, stream: IO[bytes]) -> None:
        for raw in stream:
            line = raw.decode(errors="replace").rstrip("\n")
            with self._lock:
                if line.endswith("\0"):
                    self._marks += 1
                    self._seen.notify_all()
                    continue
                tagged = _TAGGED.match(line)
                if tagged:  # before `open` when the rank is faster than the server's answer
                    self._jobs.setdefault(tagged[1], deque(maxlen=TAIL_LINES)).append(tagged[2])
                else:
                    self.prte.append(line)


class Jobs:
    """The jobs of this DVM that have not ended. Their ends may come before their start is known, or not at all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, int] = {}  # → how often the server did not know it in a row
        self._early: dict[str, pmix.JobEnd] = {}

    def started(self, job: str) -> pmix.JobEnd | None:
        """Notes a job; its end, when that came first."""
        with self._lock:
            if job in self._early:
                return self._early.pop(job)
            self._running[job] = 0
            return None

    def ended(self, job: str, end: pmix.JobEnd) -> bool:
        """Notes an end; whether it is news of one of our jobs."""
        with self._lock:
            if job in self._running:
                del self._running[job]
                return True
            self._early[job] = end
            while len(self._early) > 256:
                self._early.pop(next(iter(self._early)))
            return False

    def missing(self, known: frozenset[str]) -> list[str]:
        """Jobs that the server has not known twice in a row: they ended unheard."""
        with self._lock:
            for job in self._running:
                self._running[job] = 0 if job in known else self._running[job] + 1
            return [job for job, times in self._running.items() if times >= 2]

    def __len__(self) -> int:
        return len(self._running)


class Dvm:
    """prte, the tool and the launcher's connection."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._output = Output()
        self._jobs = Jobs()
        self._done = threading.Event()
        self._work = ThreadPoolExecutor(8, thread_name_prefix="qfw-dvm")
        self._sending = threading.Lock()
        self._connection: socket.socket | None = None

    def run(self, library: str, command: list[str]) -> None:
        """Serves one launcher until it or prte is gone."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._directory / SOCKET))
        listener.listen(1)
        prte = self._prte(command)
        try:
            uri = self._ready(prte)
            self._output.capture()
            self._tool = pmix.Tool(library, uri, self._on_end)
            local.announce(json.dumps({"prte": prte.pid, "version": self._tool.version}))
            self._connection = _accept(listener)
            for target in (self._serve, self._watch):
                threading.Thread(target=target, args=(prte,), daemon=True).start()
            while not self._done.wait(POLL_SECONDS):
                self._look_for_missing()
        finally:
            _end(prte)

    def stop(self) -> None:
        """Lets `run` end, in a signal's handler on its thread."""
        self._done.set()
        if self._connection is None:
            raise DeviceError("the DVM was told to end before it was ready")

    def _prte(self, command: list[str]) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        argv = [*tether.before(signal.SIGTERM, os.getpid()), *command]
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)

    def _ready(self, prte: subprocess.Popen[bytes]) -> str:
        """Waits for prte to say its address and that all of its daemons are there."""
        assert prte.stdout is not None and prte.stderr is not None
        self._output.follow(prte.stderr)
        uri = ""
        for raw in prte.stdout:
            line = raw.decode(errors="replace").strip()
            if ";tcp" in line:
                uri = line
            elif line == "DVM ready" and uri:
                self._output.follow(prte.stdout)
                return uri
            else:
                self._output.prte.append(line)
        code = prte.wait()
        raise DeviceError(f"prte {local.describe_status(code)} before its DVM was ready{self._prte_said()}")

    def _serve(self, _prte: subprocess.Popen[bytes]) -> None:
        assert self._connection is not None
        with contextlib.suppress(OSError), self._connection.makefile("rb") as lines:
            for line in lines:
                self._work.submit(self._answer, json.loads(line))
        self._done.set()

    def _watch(self, prte: subprocess.Popen[bytes]) -> None:
        code = prte.wait()
        self._send({"event": "lost", "message": f"prte {local.describe_status(code)}{self._prte_said()}"})
        self._done.set()

    def _answer(self, request: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": request["id"]}
        ended = None
        try:
            if request["do"] == "spawn":
                job = self._tool.spawn(
                    [pmix.App(**app) for app in request["apps"]], oversubscribe=request["oversubscribe"]
                )
                self._output.open(_number(job), request["tail"])
                ended = self._jobs.started(job)
                answer["job"] = job
            else:
                self._tool.end(request["job"])
        except QfwError as error:
            answer |= {"error": type(error).__name__, "message": str(error)}
        except Exception as error:  # noqa: BLE001 - the launcher must get an answer
            answer |= {"error": "InternalError", "message": f"{type(error).__name__}: {error}"}
        self._send(answer)
        if ended is not None:
            self._tell_end(answer["job"], ended)

    def _on_end(self, job: str, end: pmix.JobEnd) -> None:
        if self._jobs.ended(job, end):
            self._work.submit(self._tell_end, job, end)

    def _tell_end(self, job: str, end: pmix.JobEnd) -> None:
        lines = self._output.close(_number(job))
        self._send({"event": "end", "job": job, "status": end.status, "rank": end.rank, "lines": lines})

    def _look_for_missing(self) -> None:
        if not len(self._jobs):
            return
        with contextlib.suppress(DeviceError):  # prte is going: its end is told by _watch
            for job in self._jobs.missing(self._tool.running()):
                self._on_end(job, pmix.JobEnd(-1, -1))

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._connection is not None:
            with self._sending, contextlib.suppress(OSError):
                self._connection.sendall(json.dumps(message).encode() + b"\n")

    def _prte_said(self) -> str:
        time.sleep(0.05)  # its last words may still be on their way through the pipe
        text = "\n".join(line for line in self._output.prte if line.strip("- "))
        return f": {text}" if text else ""


def _accept(listener: socket.socket) -> socket.socket:
    """The launcher's connection. Its end of our standard input closes when it goes before that."""
    ready = select.select([listener.fileno(), 0], [], [], CONNECT_TIMEOUT)[0]
    if listener.fileno() not in ready:
        raise DeviceError("the launcher that started this DVM is gone")
    return listener.accept()[0]


def _end(prte: subprocess.Popen[bytes]) -> None:
    """Asks prte to end its ranks and daemons; kills it when it does not. Its ranks then end with it, by tether.py."""
    if prte.poll() is None:
        prte.terminate()
        try:
            prte.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            prte.kill()
    prte.wait()


def _number(job: str) -> str:
    """The part of a job's name that tags its output."""
    return job.rpartition("@")[2]


def main(arguments: list[str]) -> int:
    directory, library, *command = arguments
    fcntl.flock(os.open(directory + "/" + LOCK, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_SH)
    words = os.fdopen(os.dup(2), "w")  # for ourselves: Output takes 2
    dvm = Dvm(Path(directory))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: dvm.stop())
    try:
        dvm.run(library, command)
        code = 0
    except (QfwError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=words, flush=True)
        code = 1
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(code)  # PMIx's threads do not join after their server has gone


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
