"""`python -m qfw.qpm.supervisor`: the parent of a daemon that starts it again when it dies (`qfw_setup.sh --restart`).

It holds the run's lock as long as it lives, so that clients know that somebody brings the daemon back, and passes its
own arguments on. It ends with a daemon that ends by itself, and gives up one that dies again and again.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from qfw.qpm import run as runs
from qfw.qpm import run_cli

log = logging.getLogger("qfw.qpm.supervisor")


@dataclass
class Backoff:
    """How long to wait before the next start: longer from one early death to the next."""

    first: float = 0.1
    longest: float = 5.0
    healthy: float = 30.0  # a daemon that lived so long counts as a fresh beginning
    limit: int = 10  # early deaths in a row
    deaths: int = 0

    def died(self, lived: float) -> float | None:
        """Seconds to wait after a daemon that lived `lived` seconds; None: it is given up."""
        self.deaths = 1 if lived >= self.healthy else self.deaths + 1
        if self.deaths > self.limit:
            return None
        return min(self.longest, self.first * 2.0 ** (self.deaths - 1))


class Supervisor:
    """One daemon after another, for one run."""

    def __init__(self, run: runs.Run, lock: int, argv: Sequence[str], backoff: Backoff | None = None) -> None:
        self.run = run
        self.lock = lock
        self.argv = [sys.executable, "-m", "qfw.qpm.daemon", *argv]
        self.backoff = backoff or Backoff()
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def stop(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Ends the daemon, and this with it; a signal handler."""
        self._stopping.set()
        if self._child is not None:
            self._child.send_signal(signal.SIGTERM)

    def serve(self) -> int:
        """Until the daemon ends by itself or is given up; its exit status."""
        while True:
            began = time.monotonic()
            self._record()
            self._child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, cwd="/", pass_fds=(self.lock,))
            if self._stopping.is_set():  # told so before there was a daemon to tell
                self._child.send_signal(signal.SIGTERM)
            status = self._child.wait()
            if status == 0 or self._stopping.is_set() or not self.run.path.is_dir():
                return max(status, 0)
            wait = self.backoff.died(time.monotonic() - began)
            if wait is None or (status > 0 and self.backoff.deaths == 1 and not self.run.endpoint_file.exists()):
                log.error("the daemon ended with status %d and is not started again", status)
                run_cli.clean(self.run, grace=0.0)
                return 1
            log.warning("the daemon ended with status %d; it is started again in %.1f s", status, wait)
            run_cli.end_processes(self.run, grace=0.0)  # its workers
            self.run.sweep()
            self._record()
            self._stopping.wait(wait)
            if self._stopping.is_set():
                self.run.remove()
                return 0

    def _record(self) -> None:
        process = runs.Process.of(os.getpid())
        assert process is not None
        runs.write_json(self.run.supervisor_file, asdict(process))


def main(argv: Sequence[str] | None = None) -> int:
    """Starts the daemon with these arguments, again and again."""
    given = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--local-dir", type=Path)
    parser.add_argument("--lock-fd", type=int, required=True)
    args, _ = parser.parse_known_args(given)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    supervisor = Supervisor(runs.Run(args.run_id, args.run_dir, args.local_dir), args.lock_fd, given)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.stop)
    return supervisor.serve()


if __name__ == "__main__":
    raise SystemExit(main())
