"""What the benchmarks share: interleaved repetitions, machine and versions, targets beside figures, JSON out.

Peers are measured in one run, in turns, so that noise of the machine meets all of them: compare ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "qfw",
    "numpy",
    "pennylane",
    "pennylane-lightning",
    "pennylane-qiskit",
    "qiskit",
    "qiskit-aer",
    "grpcio",
    "ray",
    "qulacs",
    "qsimcirq",
    "pennylane-lightning-kokkos",
)


def machine() -> dict[str, Any]:
    """Where the figures were taken."""
    model = platform.processor()
    memory = 0
    cpuinfo, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    if meminfo.exists():
        memory = int(meminfo.read_text().split(None, 2)[1]) // 2**20
    return {
        "cpu": model,
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": memory,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
    }


def versions() -> dict[str, str]:
    """Versions of what is measured, of those packages that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Figure:
    """Repetitions of one case, in seconds per item."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return median(self.seconds)

    def as_dict(self) -> dict[str, Any]:
        return {"min_us": 1e6 * self.best, "median_us": 1e6 * self.median, "repetitions": len(self.seconds)}


def interleave(cases: Mapping[str, Callable[[], float]], repetitions: int, warm_up: int = 1) -> dict[str, Figure]:
    """Runs the cases in turns; each call gives its own seconds per item."""
    for _ in range(warm_up):
        for case in cases.values():
            case()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repetitions):
        for name, case in cases.items():
            seconds[name].append(case())
    return {name: Figure(tuple(values)) for name, values in seconds.items()}


def timed(work: Callable[[], Any], items: int = 1) -> Callable[[], float]:
    """A case: the wall time of `work`, per item."""

    def case() -> float:
        started = time.perf_counter()
        work()
        return (time.perf_counter() - started) / items

    return case


@dataclass(frozen=True)
class Target:
    """A figure and its goal, in one unit; `lower` is better unless said otherwise."""

    name: str
    found: float
    goal: float
    unit: str
    lower: bool = True

    @property
    def met(self) -> bool:
        return self.found <= self.goal if self.lower else self.found >= self.goal


def report(
    name: str, figures: Mapping[str, Figure], targets: Sequence[Target], output: Path | None, **more: Any
) -> None:
    """Prints a table and writes the JSON, to `output` or to standard output."""
    width = max([len(n) for n in figures], default=0)
    for case, figure in figures.items():
        print(
            f"{case:<{width}}  {1e6 * figure.best:12.1f}  {1e6 * figure.median:12.1f} us (min, median)", file=sys.stderr
        )
    for t in targets:
        sign = "<=" if t.lower else ">="
        verdict = "met" if t.met else "MISSED"
        print(f"target {t.name}: {t.found:.4g} {sign} {t.goal:g} {t.unit}: {verdict}", file=sys.stderr)
    content = {
        "benchmark": name,
        "machine": machine(),
        "versions": versions(),
        "figures": {case: figure.as_dict() for case, figure in figures.items()},
        "targets": [{**vars(t), "met": t.met} for t in targets],
        **more,
    }
    text = json.dumps(content, indent=1) + "\n"
    if output is None:
        print(text, end="")
    else:
        output.mkdir(parents=True, exist_ok=True)
        (output / f"{name}.json").write_text(text)
        print(f"wrote {output / f'{name}.json'}", file=sys.stderr)


def parser(description: str | None, repetitions: int) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--repetitions", type=int, default=repetitions)
    made.add_argument("--output", type=Path, help="directory for the JSON; default: standard output")
    return made


@contextmanager
def local_run(*arguments: str, **more: str) -> Iterator[str]:
    """A daemon of its own, found by nobody else, set up with `arguments` and `more` in its environment: gives the path
    of its endpoint file."""
    with tempfile.TemporaryDirectory(prefix="qfwb-", dir="/tmp") as base:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("QFW_", "SLURM_"))}
        environment |= {"XDG_RUNTIME_DIR": f"{base}/run", "XDG_STATE_HOME": f"{base}/state", **more}
        for name in ("run", "state"):
            Path(base, name).mkdir(mode=0o700)
        command = [sys.executable, "-m", "qfw.qpm.run"]
        setup = [*command, "setup", "--json", *arguments]
        started = subprocess.run(setup, env=environment, check=True, stdout=subprocess.PIPE)
        try:
            yield str(json.loads(started.stdout)["endpoint"])
        finally:
            subprocess.run([*command, "teardown", "--all"], env=environment, check=True, stdout=subprocess.DEVNULL)


def in_child(script: str, threads: int, arguments: Sequence[object]) -> dict[str, Figure]:
    """Figures of `script --child THREADS ARGUMENTS`: most peers read their number of threads once, when they start."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "KOKKOS_NUM_THREADS": str(threads)}
    command = [sys.executable, str(Path(script).resolve()), "--child", str(threads), *map(str, arguments)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    return {name: Figure(tuple(seconds)) for name, seconds in json.loads(done.stdout.splitlines()[-1]).items()}


def from_child(figures: Mapping[str, Figure]) -> None:
    """What such a script prints, on its last line."""
    print(json.dumps({name: figure.seconds for name, figure in figures.items()}))


def native(name: str) -> Path | None:
    """A program of this folder that CMake has built (-DQFW_BENCHMARKS=ON), wherever its build folder is."""
    place = Path(os.environ.get("QFW_BENCHMARKS_DIR", ROOT / "build/dev/benchmarks"))
    return place / name if (place / name).exists() else None
