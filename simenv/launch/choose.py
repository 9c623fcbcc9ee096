"""Which launcher: by name, or the best that works here, with the reasons why better ones do not."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence

from qfw.program.errors import InvalidArgument, NotFound, QfwError
from qfw.simenv.launch import pmix
from qfw.simenv.launch.launcher import Launcher, Node
from qfw.simenv.launch.local import LocalLauncher
from qfw.simenv.launch.prte import PrteLauncher, find_prte
from qfw.simenv.launch.reach import Reach, Steps, inside_slurm, reach_of
from qfw.simenv.launch.slurm import SlurmLauncher

NAMES = ("prte", "slurm", "local")  # the best first

log = logging.getLogger("qfw.simenv.launch")


def launcher_named(
    name: str, hosts: Sequence[Node], *, reach: Reach | None = None, oversubscribe: bool = False
) -> Launcher:
    """The launcher `name` of NAMES over `hosts`, started; "auto" is the first of `choices` that has no reason against.
    `reach` is found by `reach_of` where it is not given.

    Raises InvalidArgument for another name or more hosts than it can use, NotFound and DeviceError as it does.
    """
    if name == "auto":
        name = best(hosts)
    if name == "prte":
        return PrteLauncher(hosts, reach=reach or reach_of(hosts), oversubscribe=oversubscribe)
    if name == "slurm":
        steps = reach or reach_of(hosts)
        return SlurmLauncher(hosts, steps if isinstance(steps, Steps) else None, oversubscribe=oversubscribe)
    if name == "local":
        if len(hosts) != 1:
            raise InvalidArgument(f"the launcher local is for one host, not {len(hosts)}")
        host = hosts[0]
        return LocalLauncher(host.slots, node=host.name, memory_bytes=host.memory_bytes, oversubscribe=oversubscribe)
    raise InvalidArgument(f"launcher {name!r}; there are {', '.join(NAMES)} and auto")


def best(hosts: Sequence[Node]) -> str:
    """The name of the first launcher that can be used. Raises NotFound when none can, with all reasons."""
    reasons = choices(hosts)
    name = next((name for name in NAMES if not reasons[name]), "")
    text = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason)
    if not name:
        raise NotFound(f"no launcher for {len(hosts)} hosts: {text}")
    log.info("launcher %s%s", name, f" ({text})" if text else "")
    return name


def choices(hosts: Sequence[Node]) -> dict[str, str]:
    """Every launcher with the reason why it cannot be used here; empty where it can."""
    return {"prte": _prte(), "slurm": _slurm(), "local": "" if len(hosts) == 1 else "it starts on this host only"}


def _prte() -> str:
    try:
        import cffi  # noqa: F401

        pmix.find_library(find_prte())
    except ImportError:
        return "the Python package cffi is missing: pip install 'qfw[cluster]'"
    except QfwError as error:
        return str(error)
    return ""


def _slurm() -> str:
    if not inside_slurm():
        return "not inside a Slurm job"
    return "" if shutil.which("srun") else "no srun on PATH"
