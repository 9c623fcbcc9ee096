"""Kills the daemon at random moments under a streaming client; scripts/dev/chaos runs it.

    daemon_kills.py [--daemon-kills N] [--seed S] [--restart]

The client keeps two streams full, a sequential one and a parallel one, whose tasks have one right answer each. The
daemon is killed (-9) N times: right after it is ready, while it works, or (with --restart, where a supervisor brings it
back) while it starts. Every task must complete exactly once, with the right result, those of the sequential stream in
order. The last line is the verdict with the seed; the exit status is 0 when all went well.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from streaming_client import PATIENCE, Client, Tally, finish

SUPERVISED_KILLS = 10


class Killer:
    """Ends the daemon of a run and has it back."""

    def __init__(self, run_id: str, rng: random.Random, supervised: bool) -> None:
        from qfw.qpm import run as runs

        self.run = runs.run_of(run_id)
        self.rng = rng
        self.supervised = supervised

    def setup(self) -> None:
        """The public command: starts the run, or revives it."""
        argv = [sys.executable, "-P", "-m", "qfw.cli.launch", "setup", "--run-id", self.run.run_id, "--threads", "2"]
        argv += ["--restart"] if self.supervised else []
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            raise RuntimeError(f"setup failed: {done.stderr.strip()}")

    def kill(self) -> bool:
        """Kills the daemon and waits for its death; False when there was none to kill."""
        process = self.run.process()
        if process is None:
            return False
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return False
        try:
            if not process.alive():
                return False
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if not poll.poll(int(PATIENCE * 1000)):
                raise RuntimeError(f"process {process.pid} does not die")
        finally:
            os.close(fd)
        return True

    def pause(self, client: Client) -> None:
        """A random moment: sooner or later after the daemon is back, often before it has done anything."""
        if not self.supervised or self.rng.random() < 0.7:
            end = time.monotonic() + PATIENCE
            while self.run.endpoint() is None and time.monotonic() < end and client.is_alive():
                time.sleep(0.005)
        time.sleep(self.rng.choice((0.0, 0.03, 0.2, 0.6)) * self.rng.random())

    def rounds(self, kills: int, client: Client) -> int:
        """Kills so often; fewer when the client has ended before."""
        count = 0
        while count < kills and client.is_alive():
            self.pause(client)
            count += self.kill()
            if not self.supervised:
                time.sleep(0.2 * self.rng.random())
                self.setup()
        return count


def play(args: argparse.Namespace) -> tuple[Tally, int, list[str]]:
    """The whole play; returns what the client saw, the kills, and what went wrong."""
    killer = Killer(f"chaos-{os.getpid()}", random.Random(args.seed), args.restart)
    killer.setup()
    client = Client(killer.run.endpoint_file)
    try:
        client.daemon = True
        client.start()
        client.begun.wait(PATIENCE)  # the session, not its beginning, is what survives
        kills = killer.rounds(args.daemon_kills, client)
        finish(client)
    finally:
        subprocess.run(
            [sys.executable, "-P", "-m", "qfw.cli.launch", "teardown", "--run-id", killer.run.run_id],
            capture_output=True,
            timeout=PATIENCE,
        )
    return client.tally, kills, client.verdict()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--daemon-kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    parser.add_argument("--restart", action="store_true", help="a supervisor brings the daemon back, not the commands")
    args = parser.parse_args()
    if args.restart and args.daemon_kills > SUPERVISED_KILLS:
        parser.error(f"with --restart at most {SUPERVISED_KILLS} kills: then the supervisor gives up")
    print(f"seed {args.seed}", flush=True)
    place = Path(tempfile.mkdtemp(prefix="qfwc-", dir="/tmp"))
    for variable in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        os.environ[variable] = str(place / variable[4])
        (place / variable[4]).mkdir(mode=0o700)
    start = time.monotonic()
    try:
        tally, kills, wrong = play(args)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    for words in wrong:
        print(words)
    verdict = "FAILED" if wrong else "passed"
    print(
        f"chaos {verdict}: seed {args.seed}, {kills} kills, {tally.completed} of {tally.submitted} tasks, "
        f"{time.monotonic() - start:.0f} s"
    )
    sys.stdout.flush()
    if wrong:
        os._exit(1)  # a client that hangs does not keep this process
    return 0


if __name__ == "__main__":
    sys.exit(main())
