"""Becomes a command that ends with its parent and runs on given CPUs; what prted, mpiexec and we put before a rank.

    python -I -S tether.py SIGNAL PARENT CPUS COMMAND...

A killed prted or prte leaves its ranks running; the kernel's parent-death signal, here SIGNAL, does not. PARENT is what
the parent is known by, its number or a part of its program's name, or - for any: a parent that died before the kernel
was asked for the signal has left us to another, and then there is nothing to become. CPUS is - or, for every place of
the job, BASE:RANKS:CPU,CPU,... joined by semicolons: its RANKS ranks from BASE share those CPUs, in equal, disjoint
parts, or all have all of them where there are fewer CPUs than ranks. It runs before every rank on every node, so it
imports little and knows nothing of ours.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # prctl(2)
_RANK_VARIABLES = ("PMIX_RANK", "PMI_RANK", "SLURM_PROCID")  # the first that is there


def main(arguments: list[str]) -> int:
    """Returns only when it failed: otherwise this process has become the command."""
    number, parent, places, *command = arguments
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if not is_child_of(parent):
        return 1
    cpus = [] if places == "-" else share(places, rank())
    if cpus:
        pin(cpus)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"cannot execute {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        return 127


def before(
    signal: int, parent: str | int = "-", places: Sequence[tuple[int, tuple[int, ...]]] = (), base: int = 0
) -> list[str]:
    """What to put before a command; `places` are the ranks and CPUs of each, the first rank of the first is `base`."""
    texts = []
    for ranks, cpus in places:
        texts.append(f"{base}:{ranks}:{','.join(map(str, cpus))}")
        base += ranks
    pins = ";".join(texts) if any(cpus for _, cpus in places) else "-"
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(int(signal)), str(parent), pins]


def is_child_of(parent: str) -> bool:
    """Whether our parent still is the one that started us."""
    number = os.getppid()
    if parent == "-" or parent.isdigit():
        return parent in ("-", str(number))
    try:
        with open(f"/proc/{number}/comm") as name:
            return parent in name.read()
    except FileNotFoundError:
        return False


def rank() -> int:
    """This process's rank in its job; 0 where nothing says it."""
    return int(next((os.environ[name] for name in _RANK_VARIABLES if name in os.environ), "0"))


def share(places: str, rank: int) -> list[int]:
    """The CPUs of a rank; none when it is not to be pinned."""
    for place in places.split(";"):
        base, ranks, text = place.split(":")
        cpus = [int(cpu) for cpu in text.split(",") if cpu]
        index, each = rank - int(base), len(cpus) // int(ranks)
        if 0 <= index < int(ranks):
            return cpus[index * each : (index + 1) * each] if each else cpus
    return []


def pin(cpus: list[int]) -> None:
    """Binds this process to CPUs counted among those that it may use; with too few it says so and runs unbound."""
    allowed = sorted(os.sched_getaffinity(0))
    if max(cpus) < len(allowed):
        os.sched_setaffinity(0, [allowed[cpu] for cpu in cpus])
    else:
        print(f"cannot run on the CPUs {cpus} of {len(allowed)}; not pinned", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
