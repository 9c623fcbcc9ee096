"""Kills the daemon at random moments under a streaming client; scripts/dev/chaos runs it.

    daemon_kills.py [--daemon-kills N] [--seed S] [--restart]

The client keeps two streams full, a sequential one and a parallel one, whose tasks have one right answer each. The
daemon is killed (-9) N times: right after it is ready, while it works, or (with --restart, where a supervisor brings it
back) while it starts. Every task must complete exactly once, with the right result, those of the sequential stream in
order. The last line is the verdict with the seed; the exit status is 0 when all went well.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 120.0  # seconds without any progress: a hang
FULL = 48  # tasks outstanding in each stream
BITS = 8
SUPERVISED_KILLS = 10


@dataclass
class Tally:
    """What the client has seen."""

    submitted: int = 0
    completed: int = 0
    wrong: list[str] = field(default_factory=list)

    def check(self, good: bool, words: str) -> None:
        if not good and len(self.wrong) < 10:
            self.wrong.append(words)


class Client(threading.Thread):
    """Streams tasks until told to end, then takes what is outstanding."""

    def __init__(self, endpoint: Path) -> None:
        super().__init__(name="client")
        self.endpoint = endpoint
        self.tally = Tally()
        self.begun = threading.Event()
        self.ending = threading.Event()
        self.error: Exception | None = None
        self.finished = False

    def run(self) -> None:
        from qfw.program.errors import QfwError

        try:
            self._stream()
            self.finished = True
        except QfwError as error:
            self.error = error

    def _stream(self) -> None:
        from qfw import qpi

        with qpi.connect(self.endpoint, reconnect=PATIENCE) as context:
            self.begun.set()
            mesh = context.mesh("statevec")
            done = context.completion_queue()
            streams = [mesh.stream(order=order, completions=done) for order in ("sequential", "parallel")]
            programs = [rotation(), *(flip(n) for n in range(1 << BITS))]
            expected = [0, 0]  # sequential: the next one; parallel: how many so far
            open_tasks: list[set[int]] = [set(), set()]
            while not self.ending.is_set() or any(open_tasks):
                for which, stream in enumerate(streams):
                    if not self.ending.is_set() and len(open_tasks[which]) <= FULL // 2:
                        self._submit(stream, which, programs, open_tasks[which])
                self._take(done, expected, open_tasks)

    def _submit(self, stream: object, which: int, programs: list[object], open_tasks: set[int]) -> None:
        from qfw import qpi

        tasks = []
        for _ in range(FULL - len(open_tasks)):
            number = self.tally.submitted
            self.tally.submitted += 1
            open_tasks.add(number)
            context = (which, number)
            if number % 5 == 0:
                wanted = {"outputs": ["expectations"], "observables": [observable()], "bindings": [[angle(number)]]}
                tasks.append(qpi.Task(programs[0], context=context, **wanted))
            else:
                tasks.append(qpi.Task(programs[1 + number % (1 << BITS)], shots=3, context=context))
        stream.submit_many(tasks)  # type: ignore[attr-defined]

    def _take(self, done: object, expected: list[int], open_tasks: list[set[int]]) -> None:
        from qfw.qpi.errors import ErrorAvailable

        try:
            completions = done.read(1, timeout=PATIENCE)  # type: ignore[attr-defined]
            completions += done.read(2 * FULL, timeout=0)  # type: ignore[attr-defined]
        except ErrorAvailable:
            failed = done.readerr()  # type: ignore[attr-defined]
            completions = [failed]
        for completion in completions:
            which, number = completion.context
            self.tally.completed += 1
            self.tally.check(number in open_tasks[which], f"task {number} completed twice")
            if which == 0:
                self.tally.check(number == min(open_tasks[0], default=-1), f"task {number} came out of order")
            open_tasks[which].discard(number)
            if completion.error is not None:
                self.tally.check(False, f"task {number} failed: {completion.error}")
            else:
                self.tally.check(right(number, completion.result), f"task {number} has a wrong result")


def angle(number: int) -> float:
    return 0.001 * (number % 3001)


def observable() -> object:
    from qfw.program import PauliSum

    return PauliSum([(1.0, "Z", [0])])


def right(number: int, result: object) -> bool:
    row = result.rows[0]  # type: ignore[attr-defined]
    if number % 5 == 0:
        return math.isclose(row.expectations[0], math.cos(angle(number)), abs_tol=1e-9)
    return result.counts == {format(number % (1 << BITS), f"0{BITS}b"): 3}  # type: ignore[attr-defined]


def flip(bits: int) -> object:
    """Prepares and measures a number."""
    from qfw.program import Builder

    builder = Builder(BITS, BITS)
    for qubit in range(BITS):
        if bits >> qubit & 1:
            builder.gate("x", [qubit])
        builder.measure(qubit, qubit)
    return builder.finish()


def rotation() -> object:
    from qfw.program import Affine, Builder

    builder = Builder(1, 0)
    theta = builder.parameter("theta")
    builder.gate("ry", [0], [Affine(theta)])
    return builder.finish()


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


def finish(client: Client) -> None:
    """Lets the client take the rest; a client that makes no progress is left behind."""
    client.ending.set()
    before = -1
    while client.is_alive() and client.tally.completed != before:
        before = client.tally.completed
        client.join(PATIENCE)


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
    wrong = list(client.tally.wrong)
    if client.is_alive():
        wrong.append(f"no progress for {PATIENCE:g} s")
    if client.error is not None:
        wrong.append(f"{type(client.error).__name__}: {client.error}")
    elif not client.finished:
        wrong.append("the client did not finish")
    if client.tally.submitted != client.tally.completed:
        wrong.append(f"{client.tally.submitted - client.tally.completed} tasks never completed")
    return client.tally, kills, wrong


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
