"""A hybrid job of a real Slurm on this machine: its set-up to ready, an application of 4 qubits, its teardown, and the
whole script, which takes QFw 4.8 s (21.7 s in its first version) as it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from common import ROOT, Figure, Target, parser, report

STEPS = ("set-up to ready", "application", "teardown")
SCRIPT = """#!/bin/bash
#SBATCH --nodes=2 --partition=compute
#SBATCH hetjob
#SBATCH --nodes=1 --ntasks=1 --partition=quantum --gres=qc:QC:1
times=$EPOCHREALTIME
for command in qfw_setup.sh "qfw_srun.sh -n 1 -N 1 $1" qfw_teardown.sh; do
  $command >&2 || exit 1
  times="$times $EPOCHREALTIME"
done
echo "$times"
"""
APPLICATION = """from qfw import qpi
b = qpi.Builder(4, 4)
for q in range(4): b.gate("h", [q])
for q in range(4): b.measure(q, q)
with qpi.connect() as context:
    assert sum(context.mesh("statevec").run(qpi.Task(b.finish(), shots=100)).counts.values()) == 100
"""


@contextmanager
def cluster(folder: Path) -> Iterator[Mapping[str, str]]:
    """A Slurm of two compute nodes and a quantum one: the environment of its user."""
    tool = str(ROOT / "scripts/dev/slurm-cluster")
    subprocess.run([tool, "up", "--dir", str(folder / "cluster")], check=True, stdout=sys.stderr)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("QFW_", "SLURM_"))}
    path = os.pathsep.join([str(ROOT / "scripts"), str(Path(sys.executable).parent), os.environ["PATH"]])
    try:
        yield {
            **kept, "PATH": path, "SLURM_CONF": str(folder / "cluster/slurm.conf"), "QFW_PYTHON": sys.executable,
            "QFW_RUN_BASE_DIR": str(folder / "runs"), "XDG_STATE_HOME": str(folder / "state"),
        }  # fmt: skip
    finally:
        subprocess.run([tool, "down", "--dir", str(folder / "cluster")], check=True, stdout=sys.stderr)


def job(folder: Path, environment: Mapping[str, str]) -> dict[str, float]:
    """Seconds of each step of one job, and from sbatch to its end."""
    said = folder / "job.out"
    command = ["sbatch", "--wait", f"--output={said}", f"--error={folder}/job.err", str(folder / "job.sh")]
    begun = time.perf_counter()
    done = subprocess.run([*command, str(folder / "app.py")], env=environment, stdout=sys.stderr, cwd=folder)
    whole = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit((folder / "job.err").read_text())
    times = [float(word) for word in said.read_text().split()]
    found = {name: after - before for name, before, after in zip(STEPS, times, times[1:], strict=False)}
    return {**found, "script": times[-1] - times[0], "job, from sbatch to its end": whole}


def main() -> None:
    chosen = parser(__doc__, 5).parse_args()
    missing = [name for name in ("slurmctld", "slurmd", "munged") if not shutil.which(name, path="/usr/sbin:/sbin")]
    if os.getuid() or missing:
        print(f"left out: it needs root and Slurm ({', '.join(missing) or 'which is there'})", file=sys.stderr)
        return
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="qfwb-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "job.sh").write_text(SCRIPT)
        (folder / "app.py").write_text(APPLICATION)
        with cluster(folder) as environment:
            job(folder, environment)  # the first one finds nothing in memory
            for _ in range(chosen.repetitions):
                for step, taken in job(folder, environment).items():
                    seconds.setdefault(step, []).append(taken)
    figures = {step: Figure(tuple(taken)) for step, taken in seconds.items()}
    goals = {"set-up to ready": 2.0, "teardown": 1.0, "script": 4.8}
    report("slurm_job", figures, [Target(n, figures[n].best, goal, "s") for n, goal in goals.items()], chosen.output)


if __name__ == "__main__":
    main()
