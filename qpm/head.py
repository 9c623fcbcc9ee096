"""`python -m qfw.qpm.head`: what the daemon's job step begins with, on the quantum component's first node.

It makes the run's directory on this node, says where the step is, and becomes the daemon (or its supervisor), with
what it says and does in the run's log. Its options are those of the daemon, and some of its own.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from qfw.program.errors import QfwError, Unavailable
from qfw.qpm import job as jobs
from qfw.qpm import run as runs
from qfw.simenv.launch import registry

NOT_SHARED = 3  # exit status


class NotShared(Unavailable):
    """The run's directory is not there: it was made on another node, and is not on a shared file system."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns only when it fails: else this process has become the daemon."""
    parser = argparse.ArgumentParser(prog="qfw-head", allow_abbrev=False)
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--step-job", required=True, help="job id of the component that this step belongs to")
    parser.add_argument("--toward", default="", help="a node of the application, to listen where it can reach us")
    parser.add_argument("--listen", default="", help="where to listen, in place of that")
    parser.add_argument("--log", required=True, help="-: as it is, srun takes it to the other side")
    parser.add_argument("--restart", action="store_true")
    args, rest = parser.parse_known_args(argv)
    try:
        become(args, rest)
    except NotShared as error:
        print(f"qfw: {jobs.node_name()}: {error}", file=sys.stderr)
        return NOT_SHARED
    except (QfwError, OSError) as error:
        print(f"qfw: {jobs.node_name()}: {error}", file=sys.stderr)
    return 1


def become(args: argparse.Namespace, rest: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
    """Prepares this node, and replaces this process by the daemon."""
    job = jobs.of(environ)
    if job is None:
        raise Unavailable("not a step of a Slurm job: SLURM_JOB_ID is not set")
    node = jobs.node_name(environ)
    if not (args.run_dir / runs.ALLOCATION).is_file():
        raise NotShared(f"{args.run_dir} is not the directory that qfw_setup.sh wrote: no file system is shared")
    run = runs.Run(args.run_id, args.run_dir, runs.private_dir(job.local_dir(node)))
    lock = runs.take_lock(run)
    os.set_inheritable(lock, True)
    run.sweep()  # what a daemon that was killed left
    record(run, args.step_job, environ)
    module = "qfw.qpm.supervisor" if args.restart else "qfw.qpm.daemon"
    command = [sys.executable, "-P", "-m", module, "--run-id", run.run_id, "--run-dir", str(run.path)]
    command += ["--local-dir", str(run.local), "--lock-fd", str(lock)]
    command += ["--listen", args.listen or own_address(args.toward), *rest]
    if args.log != "-":
        into(Path(args.log))
    # Whatever makes temporary files makes them where they go away with the run.
    os.execve(sys.executable, command, {**environ, "TMPDIR": str(run.local)})


def record(run: runs.Run, step_job: str, environ: Mapping[str, str]) -> None:
    """Writes which step this is into the run's directory, and for the epilog what is to be gone after the job."""
    assert run.local is not None
    node = jobs.node_name(environ)
    step = {"job_id": step_job, "step_id": environ.get("SLURM_STEP_ID", "0"), "node": node, "local": str(run.local)}
    registry.record("qpmd", os.getpid(), [run.local, run.path])
    runs.write_json(run.path / runs.STEP, step)


def own_address(toward: str) -> str:
    """This host's address on the network on which the node `toward` reaches it; its name when that cannot be told.

    The host's name will not do: Debian has it mean 127.0.1.1, and clusters have several networks.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(toward, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # sends nothing: it picks the route
            found = str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()
    return f"[{found}]" if family == socket.AF_INET6 else found


def into(log: Path) -> None:
    """Sends what this process says, and what it becomes, to a file."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(fd, stream)
    os.close(fd)


if __name__ == "__main__":
    raise SystemExit(main())
