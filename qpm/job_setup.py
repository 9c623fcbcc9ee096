"""`setup` in a Slurm job: where the daemon goes, its step, and what people are told."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from qfw.qpm import allocation, broadcast, step
from qfw.qpm.run import Run, private_dir

ABORT_SECONDS = 5.0  # for a step that was started to go, when setup is interrupted


def allocated(profile: str | None, group: int | None) -> allocation.Allocation | None:
    """The Slurm job to start in, with `group` as its quantum component; None: on this machine."""
    if profile == "local" or not allocation.in_job():
        if profile == "hybrid":
            print("qfw: warning: no Slurm job here: --profile hybrid starts a run on this machine", file=sys.stderr)
        return None
    return allocation.read(allocation.Commands(), group=group)


def start(
    run: Run, found: allocation.Allocation, options: Sequence[str], *, tls_hours: float | None, timeout: float
) -> subprocess.Popen[bytes]:
    """Starts the daemon as a job step and returns its srun, with `options` for head.py and the daemon.

    Raises Unavailable when it cannot be started; then nothing of it stays behind.
    """
    from qfw.qpm import certificates  # cryptography takes a while to import: only where it is needed

    for old in step.left_behind():
        old.remove()
    run.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    private_dir(run.path)
    step.end(run, grace=0.0)
    run.sweep()  # what a daemon that was killed left
    child: subprocess.Popen[bytes] | None = None
    try:
        valid = certificates.lifetime(tls_hours, {**os.environ, **found.end_time()})
        certificates.issue(run.path, run.run_id, valid)
        child = step.start(run, found, options)
        if step.alone(run, child, timeout):
            child = broadcast.start(run, found, lambda: step.start(run, found, options, log="-"), timeout)
    except BaseException:  # an interrupt as well
        if child is not None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(ABORT_SECONDS)
        run.remove()
        raise
    return child


def places(run: Run, found: allocation.Allocation | None) -> Iterator[str]:
    """Where everything is, for people."""
    for component in found.components if found else ():
        part = f"quantum: {found.why}" if found and component is found.quantum else "application"
        yield f"group {component.group}   {component.text()} ({part})"
    yield f"endpoint  {run.endpoint_file}"
    if daemon := step.of(run):
        yield f"daemon    job step {daemon.name} on {daemon.node}"
    if address := (run.endpoint() or {}).get("runtime_tls"):
        yield f"network   {address} (TLS)"
