"""The run of a job whose nodes share no file system: every node gets a directory of its own, by sbcast.

`setup` sends certificates to all nodes, starts the daemon's step, asks its node where the services are, and sends that
to all nodes. `python -m qfw.qpm.broadcast unpack|tell|remove` is what the nodes do.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from qfw.program.errors import QfwError, Unavailable
from qfw.qpm import job as jobs
from qfw.qpm import run as runs
from qfw.qpm import step
from qfw.qpm.allocation import Allocation, Commands, Component
from qfw.simenv.launch import registry

PUBLIC = (runs.ALLOCATION, "tls/ca.pem", "tls/client.pem", "tls/client.key")
SERVER = ("tls/server.pem", "tls/server.key")  # on the quantum component alone
TOLD = (runs.ENDPOINT, runs.STEP, runs.PROCESS)
TELL_SECONDS = 2.0  # that a node waits for the endpoint before it says that there is none yet
NOT_YET = 4  # its exit status then
MARK = "spread"  # in the directory of such a run
COPY_SECONDS = 60.0


def start(
    run: runs.Run, allocation: Allocation, launch: Callable[[], subprocess.Popen[bytes]], timeout: float
) -> subprocess.Popen[bytes]:
    """Starts the daemon's step by `launch` once every node has what it needs; returns it when every node can find it.

    Raises Unavailable when the step ends first or `timeout` seconds pass; then it is ended.
    """
    (run.path / MARK).touch(mode=0o600)
    run.lock_file.touch(mode=0o600)
    for component in allocation.components:
        send(run, allocation, component, [*PUBLIC, *(SERVER if component is allocation.quantum else ())])
    child = launch()
    try:
        for name, content in _told(run, allocation, child, timeout).items():
            runs.write_json(run.path / name, content)
        for component in allocation.components:
            send(run, allocation, component, TOLD)
    except BaseException:
        child.terminate()
        child.wait(COPY_SECONDS)
        remove(run)
        raise
    return child


def _told(
    run: runs.Run, allocation: Allocation, child: subprocess.Popen[bytes], timeout: float
) -> dict[str, dict[str, object]]:
    """What the daemon's node says, as soon as its services are ready."""
    deadline = time.monotonic() + timeout
    while (found := _asked(run, allocation)) is None:
        if (status := child.poll()) is not None:
            raise Unavailable(f"the daemon's job step ended with status {status} before it was ready: {run.log_file}")
        if time.monotonic() > deadline:
            raise Unavailable(f"the daemon was not ready after {timeout:g} s: {run.log_file}")
    return found


def _asked(run: runs.Run, allocation: Allocation) -> dict[str, dict[str, object]] | None:
    """What the daemon's node says; None when its services are not ready yet."""
    quantum = allocation.quantum
    command = on_nodes(run, allocation, quantum, quantum.nodes[:1], "tell")
    done = subprocess.run(command, capture_output=True, text=True, timeout=COPY_SECONDS, check=False)
    if done.returncode == NOT_YET:
        return None
    if done.returncode:
        raise Unavailable(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()}")
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def send(run: runs.Run, allocation: Allocation, component: Component, names: Sequence[str]) -> None:
    """Copies files of the run's directory to every node of a component, each put in place in one step."""
    bundle = run.path / ".bundle.tar"
    target = f"/tmp/.qfw-{secrets.token_hex(16)}.tar"
    try:
        with tarfile.open(bundle, "w") as tar:
            os.chmod(bundle, 0o600)
            for name in names:
                tar.add(run.path / name, name)
        Commands().run("sbcast", f"--jobid={component.job_id}", "--preserve", "--force", str(bundle), target)
        Commands().run(*on_nodes(run, allocation, component, component.nodes, "unpack", target))
    finally:
        bundle.unlink(missing_ok=True)


def remove(run: runs.Run) -> None:
    """Removes the directories of such a run on all nodes of the job that is still there; the epilog does it else."""
    if not (run.path / MARK).exists():
        return
    found = step.allocation_of(run)
    for component in found["components"] if found else ():
        group = [f"--het-group={component['group']}"] if found["heterogeneous"] else []
        command = _step([*group, "--overlap"], component["nodes"]) + _python(run, "remove")
        subprocess.run(command, capture_output=True, timeout=COPY_SECONDS, check=False)


def on_nodes(
    run: runs.Run, allocation: Allocation, component: Component, nodes: Sequence[str], *words: str
) -> list[str]:
    """The srun that has each of the nodes do something."""
    return _step(allocation.srun(component), nodes) + _python(run, *words)


def _step(options: Sequence[str], nodes: Sequence[str]) -> list[str]:
    count = str(len(nodes))
    srun = ["srun", *options, f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1"]
    return [*srun, f"--nodelist={','.join(nodes)}", "--mpi=none", "--cpu-bind=none", "--input=none", "--chdir=/"]


def _python(run: runs.Run, *words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "qfw.qpm.broadcast", str(run.path), *words]


def unpack(directory: Path, bundle: Path) -> None:
    """On a node: makes the run's directory, or renews files in it."""
    runs.private_dir(directory)
    registry.record("run-directory", paths=[directory])
    try:
        with tarfile.open(bundle) as tar:
            for member in tar.getmembers():
                content = tar.extractfile(member) if member.name in (*PUBLIC, *SERVER, *TOLD) else None
                if content is not None:
                    _put(directory / member.name, content.read())
    except FileNotFoundError:  # another node of this host had it
        if not (directory / runs.ALLOCATION).is_file():
            raise
    bundle.unlink(missing_ok=True)
    (directory / runs.LOCK).touch(mode=0o600)


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)


def tell(directory: Path) -> int:
    """On the daemon's node: prints where the services are, as soon as they are ready."""
    deadline = time.monotonic() + TELL_SECONDS
    while not (directory / runs.ENDPOINT).is_file():
        if time.monotonic() > deadline:
            return NOT_YET
        time.sleep(0.02)
    print(json.dumps({name: json.loads((directory / name).read_text()) for name in TOLD}))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """What a node does; the exit status is 0 when it is done."""
    parser = argparse.ArgumentParser(prog="qfw-broadcast")
    parser.add_argument("directory", type=Path)
    parser.add_argument("what", choices=("unpack", "tell", "remove"))
    parser.add_argument("bundle", type=Path, nargs="?")
    args = parser.parse_args(argv)
    try:
        if args.what == "tell":
            return tell(args.directory)
        if args.what == "unpack":
            unpack(args.directory, args.bundle)
        elif args.directory.parent == jobs.local_base():
            shutil.rmtree(args.directory, ignore_errors=True)
        else:
            runs.Run(args.directory.name, args.directory).remove()
    except (QfwError, OSError, tarfile.TarError) as error:
        print(f"qfw: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
