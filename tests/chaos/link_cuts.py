"""Cuts the link to a second host under a streaming client; the hosts are network namespaces, so it needs root.

    link_cuts.py [--cuts SECONDS,...] [--hosts n1:1,n2:1]

The daemon runs on n1 and its instances on the hosts named. For every duration the link of n2 is cut and mended while
the client streams; after each the client must get results again. At the end every task has completed exactly once,
with the right result, and after the teardown nothing runs on either host. The exit status is 0 when all went well.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from streaming_client import PATIENCE, Client, finish

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))
from namespaces import Hosts, missing

HOSTS = ("n1", "n2")


class Play:
    """A run on this host, n1, with instances on hosts of a DVM."""

    def __init__(self, hosts: Hosts, place: Path, where: str) -> None:
        from qfw.qpm import run as runs

        self.hosts = hosts
        self.where = where
        self.agent = hosts.agent(place)
        self.run = runs.run_of(f"cuts-{hosts.number}")

    def launch(self, name: str, *options: str) -> None:
        argv = [sys.executable, "-P", "-m", "qfw.cli.launch", name, "--run-id", self.run.run_id, *options]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
        print(done.stdout, end="", flush=True)
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr.strip()}")

    def play(self, cuts: list[float]) -> list[str]:
        """The whole play; what went wrong."""
        self.launch("setup", "--tcp", "n1", "--launcher", "prte", "--hosts", self.where, "--agent", str(self.agent))
        client = Client(self.run.endpoint_file, PATIENCE + max(cuts))
        try:
            client.daemon = True
            client.start()
            client.begun.wait(PATIENCE)
            wait_for(client, 500)
            for seconds in cuts:
                self.cut(client, seconds)
            finish(client)
        finally:
            self.launch("teardown")
        print(f"{client.tally.completed} of {client.tally.submitted} tasks")
        return client.verdict()

    def cut(self, client: Client, seconds: float) -> None:
        """One cut; returns when the client has had results after it."""
        self.hosts.cut("n2")
        before = client.tally.completed
        time.sleep(seconds)
        during = client.tally.completed - before
        self.hosts.mend("n2")
        mended = time.monotonic()
        wait_for(client, client.tally.completed + 500)
        back = time.monotonic() - mended
        print(f"cut for {seconds:g} s: {during} tasks meanwhile, 500 more {back:.1f} s after it was mended", flush=True)


def wait_for(client: Client, completed: int) -> None:
    """Until the client has so many results, or none came for long."""
    end = time.monotonic() + PATIENCE
    while client.tally.completed < completed and client.is_alive() and time.monotonic() < end:
        time.sleep(0.01)


def inside(args: argparse.Namespace) -> list[str]:
    """On n1: what went wrong."""
    with tempfile.TemporaryDirectory(prefix="qfwh-", dir="/tmp") as name:
        place = Path(name)
        for variable, part in (("XDG_RUNTIME_DIR", "r"), ("XDG_STATE_HOME", "s"), ("TMPDIR", "t")):
            os.environ[variable] = str(place / part)
            (place / part).mkdir(mode=0o700)
        wrong = Play(Hosts(HOSTS, args.inside), place, args.hosts).play(args.cuts)
        for log in (place / "s").rglob("*.log") if wrong else ():
            print(log.read_text()[-4000:])
        return wrong


def outside(argv: list[str]) -> list[str]:
    """Makes the hosts and goes to n1; what went wrong."""
    with Hosts(HOSTS) as hosts:
        again = [sys.executable, __file__, *argv, "--inside", str(hosts.number)]
        status = subprocess.run(hosts.command("n1", again)).returncode
        end = time.monotonic() + 10.0
        while hosts.processes() and time.monotonic() < end:
            time.sleep(0.05)
        left = [f"still there: process {pid}" for pid in hosts.processes()]
    return [*([f"exit status {status}"] if status else []), *left]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=durations, default=[5.0, 30.0, 120.0], metavar="SECONDS,...")
    parser.add_argument("--hosts", default="n1:1,n2:1", help="where instances may run")
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if why := missing():
        parser.error(why)
    wrong = outside(sys.argv[1:]) if args.inside is None else inside(args)
    for words in wrong:
        print(words)
    if args.inside is None:
        print(f"cuts {'FAILED' if wrong else 'passed'}: {', '.join(f'{s:g}' for s in args.cuts)} s")
    sys.stdout.flush()
    if wrong:
        os._exit(1)  # a client that hangs does not keep this process
    return 0


def durations(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
