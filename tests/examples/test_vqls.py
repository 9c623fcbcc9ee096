"""The VQLS example: both problems are solved, on every device by the same program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pennylane", reason="PennyLane is not installed")
pytest.importorskip("scipy", reason="SciPy is not installed")
import algorithm  # conftest.py puts the example's folder on the path
import pennylane as qml
import problems
import vqls

FOLDER = Path(vqls.__file__).parent


@pytest.fixture
def device() -> Any:
    return qml.device("qfw.device", wires=4, endpoint="embedded", seed=1)


@pytest.mark.parametrize("name", problems.PROBLEMS)
def test_the_pauli_terms_are_the_matrix(name: str) -> None:
    problem = problems.PROBLEMS[name]()
    matrix = problem.matrix()
    assert np.allclose(matrix, matrix.T)
    again = {word: coefficient for coefficient, word in problems.pauli_terms(matrix)}
    assert again == pytest.approx({word: coefficient for coefficient, word in problem.terms})
    assert np.linalg.norm(problem.b) == pytest.approx(1.0)
    assert (problem.exact() > 0).all()


def test_a_matrix_that_is_not_symmetric_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        problems.pauli_terms(np.array([[0.0, 1.0], [0.0, 0.0]]))


def test_one_evaluation_of_the_paper_s_cost_takes_72_circuits(device: Any) -> None:
    solver = algorithm.Solver(problems.ising(), device)
    reference = algorithm.Solver(problems.ising(), qml.device("default.qubit", wires=4))
    weights = np.array([0.1, -0.4, 0.7])
    assert solver.cost(weights) == pytest.approx(reference.cost(weights), abs=1e-12)
    assert solver.circuits == 72
    assert sum(entry.circuits for entry in device.timings) == 72


@pytest.mark.parametrize(("name", "evaluations", "residual"), [("ising", 30, 0.02), ("poisson", 60, 0.2)])
def test_cobyla_finds_the_solution(device: Any, name: str, evaluations: int, residual: float) -> None:
    problem = problems.PROBLEMS[name]()
    solver = algorithm.Solver(problem, device)
    history = solver.run("cobyla", evaluations, seed=3)
    found = solver.solution(history.weights)
    assert np.linalg.norm(problem.matrix() @ found - problem.b) < residual
    assert len(history.cost) <= evaluations


def test_gradient_descent_goes_down(device: Any) -> None:
    history = algorithm.Solver(problems.ising(), device).run("gd", 2, seed=0)
    assert len(history.cost) == 3
    assert history.cost == sorted(history.cost, reverse=True)
    assert not history.interrupted


def test_ctrl_c_gives_what_there_is(device: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def interrupt(log: Any) -> Any:
        def progress(history: Any) -> None:
            if len(history.cost) == 3:
                raise KeyboardInterrupt

        return progress

    monkeypatch.setattr(vqls, "show_progress", interrupt)
    assert vqls.main(["--endpoint", "embedded", "--iterations", "20"]) == 130
    text = capsys.readouterr().out
    assert "interrupted" in text
    assert "3 iterations" in text


def test_qiskit_remote_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "pennylane_qiskit", missing)  # None: importing it fails
    with pytest.raises(SystemExit, match="pennylane-qiskit==") as caught:
        vqls.main(["--device", "qiskit.remote"])
    assert isinstance(vqls, ModuleType)
    assert ".venv-a" in str(caught.value)


@pytest.mark.parametrize("arguments", [["--problem", "poisson"], ["--shots", "500"], ["--device", "lightning.qubit"]])
def test_the_command_line(arguments: list[str], tmp_path: Path) -> None:
    options = ["--iterations", "6", "--seed", "2", "--output", str(tmp_path), "--endpoint", "embedded"]
    done = subprocess.run(
        [sys.executable, FOLDER / "vqls.py", *options, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "residual" in done.stdout
    content = json.loads((tmp_path / "vqls.json").read_text())
    assert len(content["cost"]) == 6
    assert content["circuits"] > 6 * 72
    if "lightning.qubit" not in arguments:
        split = content["split_us"]
        assert set(split) == {"convert", "tools", "transfer", "queue", "dispatch", "execute", "return"}
        assert split["convert"] > 0
        assert split["execute"] > 0
        assert 1e6 * content["device_s"] / content["circuits"] >= 0.9 * sum(split.values())
    if "wrote" in done.stdout and "vqls.png" in done.stdout:
        assert (tmp_path / "vqls.png").read_bytes().startswith(b"\x89PNG")
