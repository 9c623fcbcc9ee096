"""Runs: where a daemon of this user lives, how it is found, started and ended.

    python -m qfw.qpm.run setup|teardown|env|list

A run is a directory `<base>/qfw/<run id>` (mode 0700) with `lock` (held by the daemon while it lives), `qpmd.json`
(its process), `supervisor.json` (its parent's, with `setup --restart`), `endpoint.json` (where its services are,
present while they are ready), the sockets, `workers/`, `instances/`, and with `setup --tcp` the certificates in `tls/`.
<base> is $XDG_RUNTIME_DIR where that is a directory, else ${TMPDIR:-/tmp}/qfw-<uid>. Logs are apart, in
${XDG_STATE_HOME:-~/.local/state}/qfw/<run id>. The run of a Slurm job lies on the file system that its nodes share
(job.py), with sockets and workers in a directory of the daemon's node; `allocation.json` and `step.json` (step.py) say
what the job has and which step the daemon is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import select
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qfw.program.errors import InvalidArgument, NotFound, PermissionDenied, QfwError, Unavailable
from qfw.qpm import job as jobs

ENDPOINT = "endpoint.json"
LOCK = "lock"
PROCESS = "qpmd.json"
ALLOCATION = "allocation.json"  # in a Slurm job
STEP = "step.json"
DRAIN_SECONDS = 5.0  # for unfinished tasks at a graceful end
MAX_SOCKET_PATH = 100
INSTANCE_NAME = 36  # bytes of the name of an instance's socket, at most
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Process:
    """A process and when it started: a number alone may come to mean another process."""

    pid: int
    start_time: int  # clock ticks since boot, from /proc/<pid>/stat

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process with this number; None where there is none."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = text[text.rindex(")") + 2 :].split()
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def end(self, grace: float) -> bool:
        """SIGTERM, then SIGKILL after `grace` seconds; True when the process is gone. Only ever hits this process."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.alive():  # asked after the descriptor was taken: it now stands for this very process
                return True
            for sig, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, sig)
                if _wait_pidfd(fd, wait):
                    return True
            return False
        finally:
            os.close(fd)


def _wait_pidfd(fd: int, timeout: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(int(timeout * 1000)))


@dataclass(frozen=True)
class Run:
    """One run directory."""

    run_id: str
    path: Path
    local: Path | None = None  # on this node, of a run whose directory is shared by several; only its daemon knows it

    @property
    def endpoint_file(self) -> Path:
        return self.path / ENDPOINT

    @property
    def lock_file(self) -> Path:
        return self.path / LOCK

    @property
    def process_file(self) -> Path:
        return self.path / PROCESS

    @property
    def supervisor_file(self) -> Path:
        return self.path / "supervisor.json"

    @property
    def workers(self) -> Path:
        return (self.local or self.path) / "workers"

    @property
    def instances(self) -> Path:
        """Records and sockets of instances that may outlive a daemon."""
        return (self.local or self.path) / "instances"

    @property
    def logs(self) -> Path:
        return state_dir() / self.run_id

    @property
    def log_file(self) -> Path:
        return self.logs / "qpmd.log"

    def here(self) -> bool:
        """Whether the daemon is, or was, on this node: elsewhere its process numbers mean nothing."""
        return (_read_json(self.process_file) or {}).get("node") in (None, jobs.node_name())

    def live(self) -> bool:
        """Whether a daemon holds the run's lock, or one of another node has its endpoint here."""
        try:
            fd = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            return True
        finally:
            os.close(fd)
        # Not every shared file system shows the locks of other hosts: there the file must do.
        return not self.here() and self.endpoint() is not None

    def endpoint(self) -> dict[str, Any] | None:
        """What endpoint.json says; None while the services are not ready."""
        return _read_json(self.endpoint_file)

    def process(self) -> Process | None:
        """The daemon's process as it recorded itself."""
        return _read_process(self.process_file)

    def supervisor(self) -> Process | None:
        """The process that starts the daemon again when it dies; None where nobody does."""
        return _read_process(self.supervisor_file)

    def drain_seconds(self) -> float:
        """How long the daemon gives unfinished tasks when it is told to end."""
        return float((_read_json(self.process_file) or {}).get("drain", DRAIN_SECONDS))

    def worker_processes(self) -> list[Process]:
        """The worker processes that the daemon recorded and that still run."""
        found = [_read_process(p) for p in sorted(self.workers.glob("*.json"))]
        return [p for p in found if p is not None and p.alive()]

    def socket_dir(self) -> Path:
        """Where the daemon's sockets are: the run directory, or a short one where its path would be too long."""
        recorded = (_read_json(self.process_file) or {}).get("socket_dir")
        return Path(recorded) if recorded else self.path

    def sweep(self) -> None:
        """Removes what a daemon leaves in the directory, but for the lock."""
        sockets = self.socket_dir()
        if self.here() and sockets != self.path and sockets.name.startswith("qfw-") and _owned(sockets):
            shutil.rmtree(sockets, ignore_errors=True)
        left = (self.endpoint_file, self.process_file, self.supervisor_file)
        for file in (*left, *self.path.glob("*.sock"), *(self.local.glob("*.sock") if self.local else ())):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.workers, ignore_errors=True)

    def remove(self) -> None:
        """Removes the directory and the sockets; logs stay, and what a user put into a directory of his own."""
        self.sweep()
        for directory in (self.path / "tls", self.instances, instance_sockets(self)):
            shutil.rmtree(directory, ignore_errors=True)
        for name in (ALLOCATION, STEP):
            (self.path / name).unlink(missing_ok=True)
        if self.local:
            shutil.rmtree(self.local, ignore_errors=True)
        if self.path.parent in (base_dir(), jobs.base_dir()):
            shutil.rmtree(self.path, ignore_errors=True)
            return
        self.lock_file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            self.path.rmdir()


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _read_process(path: Path) -> Process | None:
    found = _read_json(path)
    try:
        return Process(int(found["pid"]), int(found["start_time"])) if found else None
    except (KeyError, ValueError):
        return None


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Writes a private file in one step: readers see the old content or the new, never a part."""
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "w") as file:
            json.dump(content, file)
        os.replace(name, path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def base_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The directory that holds the user's run directories; it may not exist yet."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.path.isdir(runtime):  # batch jobs inherit the variable on nodes that lack the directory
        return Path(runtime) / "qfw"
    return Path(environ.get("TMPDIR") or "/tmp") / f"qfw-{os.getuid()}" / "qfw"


def state_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The directory that holds the logs of all runs."""
    state = environ.get("XDG_STATE_HOME") or os.path.join(
        environ.get("HOME") or os.path.expanduser("~"), ".local/state"
    )
    return Path(state) / "qfw"


def private_dir(path: Path) -> Path:
    """Makes `path` with its parents, mode 0700; raises PermissionDenied when somebody else could get in."""
    for part in (path.parent, path):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part in (path.parent, path) if path.parent.name.startswith("qfw") else (path,):
        info = part.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o022:
            raise PermissionDenied(
                f"{part} has owner {info.st_uid} and mode {info.st_mode & 0o777:o}; it must be a directory of user "
                f"{os.getuid()} that nobody else can write to"
            )
    return path


def _owned(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return path.lstat().st_uid == os.getuid()
    return False


def check_run_id(run_id: str) -> str:
    """The run id itself; raises InvalidArgument for one that cannot name a directory."""
    if not RUN_ID.fullmatch(run_id):
        raise InvalidArgument(f"run id {run_id!r}: letters, digits, '.', '_', '-', at most 64, not starting with '.'")
    return run_id


def run_of(run_id: str) -> Run:
    """The run of that name, whether it exists or not; one of a job where that exists."""
    here, shared = (base / check_run_id(run_id) for base in (base_dir(), jobs.base_dir()))
    return Run(run_id, shared if shared.is_dir() and not here.is_dir() else here)


def run_of_job(job: jobs.Job, environ: Mapping[str, str] = os.environ) -> Run:
    """The run of a Slurm job, whether it exists or not."""
    return Run(check_run_id(job.run_id), jobs.base_dir(environ) / job.run_id)


def run_at(directory: str, run_id: str | None = None) -> Run:
    """The run in a directory of the user's choice, named after it unless `run_id` says otherwise.

    Raises InvalidArgument for a directory that holds other things: a run's directory is emptied at its end.
    """
    path = Path(os.path.abspath(directory))
    run = Run(check_run_id(run_id or path.name), path)
    if path.exists() and not run.lock_file.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InvalidArgument(f"{path} is neither a run's directory nor an empty one")
    return run


def runs() -> list[Run]:
    """All runs of this user on this machine, live or left behind, by name."""
    return _runs_in(base_dir())


def runs_of_jobs() -> list[Run]:
    """All runs of this user's Slurm jobs, live or left behind, by name."""
    return _runs_in(jobs.base_dir())


def _runs_in(base: Path) -> list[Run]:
    try:
        found = sorted(p for p in base.iterdir() if p.is_dir() and RUN_ID.fullmatch(p.name))
    except FileNotFoundError:
        return []
    return [Run(p.name, p) for p in found]


def current(environ: Mapping[str, str] = os.environ) -> Run | None:
    """The run that this environment means: $QFW_ENDPOINT, $QFW_RUN_ID, that of the Slurm job or one named by its number
    where such a run exists, else the only live one of this machine. None when there is none; raises InvalidArgument
    when there are several."""
    if endpoint := environ.get("QFW_ENDPOINT"):
        path = Path(endpoint).parent
        return Run(path.name, path)
    if run_id := environ.get("QFW_RUN_ID"):
        return run_of(run_id)
    if (job := jobs.of(environ)) and RUN_ID.fullmatch(job.run_id):
        for run in (run_of_job(job, environ), run_of(job.job_id)):
            if run.path.is_dir():
                return run
    live = [r for r in runs() if r.live()]
    if len(live) > 1:
        names = ", ".join(r.run_id for r in live)
        raise InvalidArgument(f"several runs are live ({names}): name one, or set QFW_RUN_ID")
    return live[0] if live else None


def new_run_id(environ: Mapping[str, str] = os.environ) -> str:
    """$QFW_RUN_ID, else $SLURM_JOB_ID, else a fresh name."""
    return environ.get("QFW_RUN_ID") or environ.get("SLURM_JOB_ID") or f"run-{secrets.token_hex(3)}"


def take_lock(run: Run, patience: float = 2.0) -> int:
    """Takes the run's lock and returns its file descriptor, which keeps it as long as anybody has it open: a parent
    hands it to the daemon. Raises Unavailable when another keeps it for `patience` seconds (those who only look take
    it for a moment)."""
    end = time.monotonic() + patience
    while True:
        fd = os.open(run.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(run.lock_file)):  # else it was removed in the meantime
                return fd
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(fd)
                raise Unavailable(f"run {run.run_id} has a daemon already ({run.process()})") from None
        except FileNotFoundError:
            private_dir(run.path)
        except OSError as error:
            os.close(fd)
            raise Unavailable(f"{run.lock_file}: no locks on this file system ({error.strerror}); another directory "
                              "for runs: QFW_RUN_BASE_DIR in a Slurm job, else --run-dir") from error  # fmt: skip
        os.close(fd)
        time.sleep(0.01)


def socket_paths(run: Run) -> tuple[Path, Path]:
    """Paths for the runtime's and the control services' sockets; in a short directory where the run's is too long."""
    where = run.local or run.path
    if len(os.fsencode(where / "control.sock")) >= MAX_SOCKET_PATH:
        where = Path(tempfile.mkdtemp(prefix="qfw-", dir="/tmp"))
    return where / "runtime.sock", where / "control.sock"


def instance_sockets(run: Run) -> Path:
    """Where the sockets of instances are, for every daemon of the run; a short path where the run's is too long."""
    if len(os.fsencode(run.instances)) + INSTANCE_NAME < MAX_SOCKET_PATH:
        return run.instances
    digest = hashlib.sha256(os.fsencode(run.path)).hexdigest()[:12]
    return Path(f"/tmp/qfw-{os.getuid()}-{digest}")


def find(run_id: str | None, run_dir: str | None = None) -> Run | None:
    """The run in `run_dir`, else the run named, else the current one."""
    if run_dir:
        return run_at(run_dir, run_id)
    return run_of(run_id) if run_id else current()


def require(run_id: str | None, run_dir: str | None = None) -> Run:
    """As `find`; raises NotFound when it is not live."""
    run = find(run_id, run_dir)
    if run is None:
        raise NotFound(f"no live run in {base_dir()}; start one with qfw_setup.sh")
    if not run.live():
        raise NotFound(f"run {run.run_id} ({run.path}) is not live; start it with qfw_setup.sh")
    return run


def main(argv: list[str] | None = None) -> int:
    """The command line; the exit status is 0 when what was asked for is so."""
    from qfw.qpm import run_cli

    try:
        return run_cli.main(argv)
    except (QfwError, OSError) as error:  # OSError: a directory that cannot be made or written
        print(f"qfw: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
