"""Kills instances, what carries them, and the daemon at random moments under a streaming client.

    instance_kills.py [--kills N] [--seed S] [--launcher prte|local] [--slots N]

A victim is drawn for every kill (-9): a rank of an instance, the DVM's `prte` or the process that holds it, or the
daemon, which the public command then starts again. Every task of the client must complete exactly once, with the right
result, those of the sequential stream in order; at the end all slots can be used again, and after the teardown no
process and no directory is left. The last line is the verdict with the seed; the exit status is 0 when all went well.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from streaming_client import PATIENCE, Client, finish

WEIGHTS = {"instance": 6, "dvm": 2, "daemon": 2}


class Tree:
    """The processes below the daemon, by the part they play. Numbers are kept with start times."""

    def __init__(self) -> None:
        self.seen: dict[object, str] = {}  # every process there ever was: its part

    def parts(self, root: int) -> dict[str, list[object]]:
        """The processes below `root`, and `root`, now."""
        from qfw.qpm.run import Process

        found: dict[str, list[object]] = {part: [] for part in WEIGHTS}
        for pid in [root, *descendants(root)]:
            process = Process.of(pid)
            part = "daemon" if pid == root else part_of(pid)
            if process is not None and part:
                found[part].append(process)
                self.seen[process] = part
        return found

    def left(self) -> list[str]:
        """Those that still run."""
        return [f"{part} {process}" for process, part in self.seen.items() if process.alive()]  # type: ignore[attr-defined]


def descendants(root: int) -> list[int]:
    """Process numbers below `root`; those whose parent has died are not among them."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            below.setdefault(int(stat[stat.rindex(")") + 2 :].split()[1]), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        children = below.get(todo.pop(), [])
        found += children
        todo += children
    return found


def part_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    if b"qfw.qpm.worker" in words:
        return "instance"
    return "dvm" if words[0].endswith(b"prte") or any(b"dvm" in word for word in words[:5]) else ""


class Play:
    """One run, its client and its kills."""

    def __init__(self, args: argparse.Namespace) -> None:
        from qfw.qpm import run as runs

        self.args = args
        self.rng = random.Random(args.seed)
        self.run = runs.run_of(f"chaos-{os.getpid()}")
        self.tree = Tree()
        self.kills: Counter[str] = Counter()

    def setup(self) -> None:
        """The public command: starts the run, or revives it."""
        self._launch("setup", "--threads", "2", "--launcher", self.args.launcher, "--slots", str(self.args.slots))

    def _launch(self, name: str, *options: str) -> None:
        argv = [sys.executable, "-P", "-m", "qfw.cli.launch", name, "--run-id", self.run.run_id, *options]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr.strip()}")

    def kill(self) -> None:
        """One kill, of a part that is there."""
        daemon = self.run.process()
        if daemon is None or not daemon.alive():
            return self.setup()
        parts = {part: some for part, some in self.tree.parts(daemon.pid).items() if some}
        part = self.rng.choices(list(parts), [WEIGHTS[p] for p in parts])[0]
        if kill(self.rng.choice(parts[part])):
            self.kills[part] += 1
        if part == "daemon":
            time.sleep(0.5 * self.rng.random())
            self.setup()

    def rounds(self, client: Client) -> None:
        while self.kills.total() < self.args.kills and client.is_alive():
            self.pause(client)
            self.kill()
            if self.kills.total() % 20 == 0:
                print(f"{self.kills.total()} kills, {client.tally.completed} tasks", file=sys.stderr, flush=True)

    def pause(self, client: Client) -> None:
        """A random moment: mostly after some more tasks, at times before anything was done."""
        time.sleep(0.5 * self.rng.random())
        wanted = client.tally.completed + self.rng.choice((0, 1, 100, 1000))
        end = time.monotonic() + PATIENCE
        while client.tally.completed < wanted and client.is_alive() and time.monotonic() < end:
            time.sleep(0.005)

    def whole(self) -> str:
        """Whether all slots can be used at once: "" or what is wrong."""
        from qfw import qpi

        with qpi.connect(self.run.endpoint_file) as context:
            mesh = context.mesh("statevec")
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                mesh.run([qpi.Task(layered(18), shots=1) for _ in range(32 * self.args.slots)])
                if context.device("statevec").instances >= self.args.slots:
                    return ""
            return f"{context.device('statevec').instances} instances at the end, of {self.args.slots} slots"

    def play(self) -> list[str]:
        """The whole play; what went wrong."""
        self.setup()
        client = Client(self.run.endpoint_file)
        wrong = []
        try:
            client.daemon = True
            client.start()
            client.begun.wait(PATIENCE)
            self.rounds(client)
            finish(client)
            wrong += client.verdict()
            wrong += [self.whole()] if client.finished else []
            if (daemon := self.run.process()) is not None:
                self.tree.parts(daemon.pid)
        finally:
            self._launch("teardown")
        self.tally = client.tally
        wrong += [f"still there: {words}" for words in self.tree.left()]
        left = [str(p) for p in Path(tempfile.gettempdir()).iterdir()]
        return [*filter(None, wrong), *(f"left behind: {path}" for path in left if not path.endswith(("/r", "/s")))]


def layered(qubits: int) -> object:
    """Takes a simulator milliseconds."""
    from qfw.program import Builder

    builder = Builder(qubits, 1)
    for layer in range(20):
        for qubit in range(qubits):
            builder.gate("ry", [qubit], [0.1 * (1 + layer + qubit)])
            builder.gate("cx", [qubit, (qubit + 1) % qubits])
    builder.measure(0, 0)
    return builder.finish()


def kill(process: object) -> bool:
    """SIGKILL to this very process; False when it has ended already."""
    try:
        fd = os.pidfd_open(process.pid)  # type: ignore[attr-defined]
    except ProcessLookupError:
        return False
    try:
        if not process.alive():  # type: ignore[attr-defined]
            return False
        signal.pidfd_send_signal(fd, signal.SIGKILL)
    finally:
        os.close(fd)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    parser.add_argument("--launcher", choices=("prte", "local"), default="prte")
    parser.add_argument("--slots", type=int, default=2)
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    place = Path(tempfile.mkdtemp(prefix="qfwc-", dir="/tmp"))
    for variable, name in (("XDG_RUNTIME_DIR", "r"), ("XDG_STATE_HOME", "s"), ("TMPDIR", "t")):
        os.environ[variable] = str(place / name)
        (place / name).mkdir(mode=0o700)
    tempfile.tempdir = None  # the new one
    start = time.monotonic()
    play = Play(args)
    try:
        wrong = play.play()
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print("\n".join(wrong) or "nothing wrong")
    kinds = ", ".join(f"{count} {part}" for part, count in sorted(play.kills.items()))
    print(
        f"chaos {'FAILED' if wrong else 'passed'}: seed {args.seed}, {play.kills.total()} kills ({kinds}), "
        f"{play.tally.completed} of {play.tally.submitted} tasks, {time.monotonic() - start:.0f} s"
    )
    sys.stdout.flush()
    if wrong:
        os._exit(1)  # a client that hangs does not keep this process
    return 0


if __name__ == "__main__":
    sys.exit(main())
