"""The variational quantum linear solver (Bravo-Prieto et al., arXiv:1909.05820) on any PennyLane device.

The state x(w) = V(w)|0> is trained until A x is parallel to b. The local cost is

    C(w) = 1/2 - 1/(2 n) * sum_{k,l} c_k c_l sum_j mu(k, l, j) / sum_{k,l} c_k c_l beta(k, l),

where beta(k, l) = <x| A_l A_k |x> and mu(k, l, j) = <x| A_l U Z_j U A_k |x>, with U|0> = b. Each number is the outcome
of a Hadamard test: one circuit with one ancilla for its real part, one for its imaginary part.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp
from problems import Problem, Vector
from scipy.optimize import minimize

Progress = Callable[["History"], None]


@dataclass
class History:
    """What a run has done so far."""

    cost: list[float] = field(default_factory=list)  # per evaluation (cobyla) or step (gd)
    seconds: list[float] = field(default_factory=list)
    weights: Any = None  # the best so far
    best: float = float("inf")
    interrupted: bool = False
    started: float = field(default_factory=time.perf_counter)

    def add(self, cost: float, weights: Any) -> None:
        """Notes one evaluation."""
        self.cost.append(cost)
        self.seconds.append(time.perf_counter() - self.started)
        if cost < self.best:
            self.best, self.weights = cost, np.array(weights, dtype=float)


class Solver:
    """VQLS for one problem on one device, which has a wire more than the problem: the ancilla, the last."""

    def __init__(self, problem: Problem, device: Any, shots: int | None = None) -> None:
        self.problem = problem
        self.ancilla = problem.wires
        self.circuits = 0  # QNode calls
        self._test = _with_shots(qml.QNode(self._hadamard_test, device), shots)
        self._probabilities = _with_shots(qml.QNode(self._solution, device), shots)

    def _hadamard_test(self, weights: Any, k: int, l: int, j: int | None, imaginary: bool) -> Any:  # noqa: E741
        """<Z> of the ancilla: Re or Im of mu(k, l, j), of beta(k, l) where j is None."""
        problem, ancilla = self.problem, self.ancilla
        qml.Hadamard(wires=ancilla)
        if imaginary:
            qml.PhaseShift(-np.pi / 2, wires=ancilla)
        problem.ansatz(weights)
        self._controlled_term(k)
        problem.prepare_b()
        if j is not None:
            qml.CZ(wires=[ancilla, j])
        problem.prepare_b()
        self._controlled_term(l)
        qml.Hadamard(wires=ancilla)
        return qml.expval(qml.PauliZ(wires=ancilla))

    def _controlled_term(self, k: int) -> None:
        gates = {"X": qml.CNOT, "Y": qml.CY, "Z": qml.CZ}
        for wire, letter in enumerate(self.problem.terms[k][1]):
            if letter != "I":
                gates[letter](wires=[self.ancilla, wire])

    def _solution(self, weights: Any) -> Any:
        self.problem.ansatz(weights)
        return qml.probs(wires=range(self.problem.wires))

    def _sum(self, weights: Any, j: int | None) -> Any:
        """Sum over the pairs of terms of c_k c_l times mu(k, l, j), or beta(k, l) where j is None."""
        total: Any = 0.0
        terms = self.problem.terms
        for k, (first, _) in enumerate(terms):
            for l, (second, _) in enumerate(terms):  # noqa: E741
                if self.problem.symmetric:
                    if l < k:
                        continue
                    pairs = 1.0 if k == l else 2.0
                    if j is None and k == l:
                        total = total + first * second
                        continue
                    self.circuits += 1
                    total = total + pairs * first * second * self._test(weights, k, l, j, False)
                else:
                    self.circuits += 2
                    real = self._test(weights, k, l, j, False)
                    imaginary = self._test(weights, k, l, j, True)
                    total = total + first * second * (real + 1.0j * imaginary)
        return total

    def cost(self, weights: Any) -> Any:
        """The local cost, 0 at the solution; differentiable."""
        norm = pnp.real(self._sum(weights, None))
        overlap: Any = 0.0
        for j in range(self.problem.wires):
            overlap = overlap + pnp.real(self._sum(weights, j))
        return 0.5 - 0.5 * overlap / (self.problem.wires * norm)

    def solution(self, weights: Any) -> Vector:
        """x with the length that fits b best. Both problems have positive solutions, so the roots of the measured
        probabilities are its entries."""
        self.circuits += 1
        x = np.sqrt(np.clip(np.asarray(self._probabilities(np.asarray(weights)), dtype=float), 0.0, None))
        image = self.problem.matrix() @ x
        return np.asarray(x * (image @ self.problem.b) / (image @ image))

    def run(self, optimizer: str, iterations: int, seed: int | None, progress: Progress | None = None) -> History:
        """Minimises the cost. Ctrl-C ends it early: the history then says `interrupted`."""
        start = np.array(self.problem.start) + 0.1 * np.random.default_rng(seed).standard_normal(
            len(self.problem.start)
        )
        history = History(weights=start)
        try:
            (self._cobyla if optimizer == "cobyla" else self._gradient_descent)(start, iterations, history, progress)
        except KeyboardInterrupt:
            history.interrupted = True
        return history

    def _cobyla(self, start: Vector, iterations: int, history: History, progress: Progress | None) -> None:
        def evaluate(weights: Vector) -> float:
            cost = float(self.cost(weights))
            history.add(cost, weights)
            if progress:
                progress(history)
            return cost

        minimize(evaluate, start, method="COBYLA", options={"maxiter": iterations, "rhobeg": 0.3, "tol": 1e-6})

    def _gradient_descent(self, start: Vector, steps: int, history: History, progress: Progress | None) -> None:
        optimizer = qml.NesterovMomentumOptimizer(self.problem.step_size, self.problem.momentum)
        weights = pnp.array(start, requires_grad=True)
        for _ in range(steps):
            before = weights
            weights, cost = optimizer.step_and_cost(self.cost, weights)
            history.add(float(cost), before)
            if progress:
                progress(history)
        history.add(float(self.cost(np.asarray(weights))), weights)


def _with_shots(node: Any, shots: int | None) -> Any:
    return node if shots is None else qml.set_shots(node, shots)
