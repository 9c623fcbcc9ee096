"""What a run of the example tells: the solution beside the exact one, and where the time went."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from algorithm import History
from problems import Problem, Vector

PARTS = ("convert", "tools", "transfer", "queue", "dispatch", "execute", "return")


class DeviceLog:
    """Counts the circuits of a PennyLane device and the time spent in it."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self.circuits = 0
        self.seconds = 0.0
        self.started = time.perf_counter()
        for name in ("execute", "execute_and_compute_derivatives"):
            setattr(device, name, self._logged(getattr(device, name)))

    def _logged(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(circuits: Any, *arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return method(circuits, *arguments, **options)
            finally:
                self.seconds += time.perf_counter() - started
                self.circuits += len(circuits) if isinstance(circuits, tuple | list) else 1

        return call

    def split(self) -> dict[str, float] | None:
        """Mean microseconds of a circuit by part, where the device is qfw's and keeps timings."""
        timings = getattr(self.device, "timings", None)
        if not timings:
            return None
        circuits = sum(entry.circuits for entry in timings)
        return {part: sum(getattr(e.timing, f"{part}_ns") for e in timings) / circuits / 1000 for part in PARTS}


class Report:
    """The outcome of a run."""

    def __init__(
        self, options: argparse.Namespace, problem: Problem, history: History, solution: Vector, log: DeviceLog
    ) -> None:
        self.problem = problem
        self.history = history
        self.solution = solution
        self.exact = problem.exact()
        self.residual = float(np.linalg.norm(problem.matrix() @ solution - problem.b))
        self.wall = time.perf_counter() - log.started
        self.log = log
        self.split = log.split()
        self.options = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}

    def text(self) -> str:
        """The report for the terminal."""
        log, history = self.log, self.history
        lines = ["interrupted: what follows is the best so far"] if history.interrupted else []
        lines += [
            f"problem    {self.problem.name}: {len(self.problem.terms)} Pauli terms, {2**self.problem.wires} unknowns",
            f"device     {self.options['device']}, {self.options['optimizer']}, {len(history.cost)} iterations",
            f"cost       {history.best:.3e}",
            f"residual   {self.residual:.3e}  (|Ax - b| / |b|)",
            "  i      VQLS     exact",
            *(f"{i:3d}  {x:8.4f}  {y:8.4f}" for i, (x, y) in enumerate(zip(self.solution, self.exact, strict=True))),
            f"circuits   {log.circuits}",
            f"wall time  {self.wall:.3f} s: {1e6 * self.wall / max(log.circuits, 1):.0f} us per circuit, "
            f"{1e6 * log.seconds / max(log.circuits, 1):.0f} of it in the device",
        ]
        if self.split:
            lines.append("per circuit, mean microseconds:")
            lines.append("  " + "".join(f"{part:>10}" for part in (*PARTS, "sum")))
            lines.append("  " + "".join(f"{x:10.1f}" for x in (*self.split.values(), sum(self.split.values()))))
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The report for programs."""
        history = self.history
        return {
            "options": self.options,
            "problem": {"name": self.problem.name, "terms": self.problem.terms},
            "interrupted": history.interrupted,
            "cost": history.cost,
            "seconds": history.seconds,
            "weights": np.asarray(history.weights).tolist(),
            "solution": self.solution.tolist(),
            "exact": self.exact.tolist(),
            "residual": self.residual,
            "circuits": self.log.circuits,
            "wall_s": self.wall,
            "device_s": self.log.seconds,
            "split_us": self.split,
        }

    def save(self, directory: Path) -> list[Path]:
        """Writes vqls.json, and vqls.png where matplotlib is installed."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "vqls.json"
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n")
        try:
            picture = self._plot(directory / "vqls.png")
        except ImportError:
            print("no picture: matplotlib is not installed (pip install matplotlib)")
            return [path]
        return [path, picture]

    def _plot(self, path: Path) -> Path:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 4), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        cost = np.array(self.history.cost)
        left.plot(np.arange(1, cost.size + 1), cost)
        left.set_yscale("log" if cost.size and cost.min() > 0 else "linear")  # shots may give a cost below 0
        left.set(xlabel="iteration", ylabel="cost", title=f"{self.problem.name} on {self.options['device']}")
        outside = 1e6 * (self.wall - self.log.seconds) / max(self.log.circuits, 1)
        parts = self.split or {"device": 1e6 * self.log.seconds / max(self.log.circuits, 1)}
        parts = {"application": outside, **parts}
        right.barh(list(parts), list(parts.values()))
        right.set_xscale("log")
        right.set_xlim(left=0.05)
        right.invert_yaxis()
        right.set(xlabel="microseconds per circuit", title="where the time goes")
        figure.savefig(path, dpi=120)
        return path
