"""The circuits of the benchmarks mean the same to every simulator that they are timed on."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from qfw import simenv

QUBITS = 5


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3] / "benchmarks"))
    return importlib.import_module("peers")


def states(peers: ModuleType, circuit: object) -> dict[str, np.ndarray]:
    """By each peer that is installed, qubit 0 least significant."""
    found = {}
    if (run := peers.aer(circuit)) is not None:
        found["aer"] = np.asarray(run()["statevector"])
    if (run := peers.lightning(circuit)) is not None:
        found["lightning"] = np.asarray(run()).reshape([2] * QUBITS).transpose().reshape(-1)
    if (run := peers.qulacs(circuit)) is not None:
        found["qulacs"] = run().get_vector()
    if (run := peers.qsim(circuit)) is not None:
        found["qsim"] = run().final_state_vector
    return found


@pytest.mark.parametrize("name", ["ghz", "qft", "qv", "hea", "qaoa", "tfim"])
def test_states(peers: ModuleType, name: str) -> None:
    circuit = peers.sys.modules["circuits"].CIRCUITS[name](QUBITS)
    ours = simenv.simulate(circuit.program(), statevector=True)["statevector"]
    found = states(peers, circuit)
    assert found  # Aer and PennyLane are there wherever the tests run
    for peer, state in found.items():
        assert abs(np.vdot(state, ours)) == pytest.approx(1, abs=1e-5 if peer == "qsim" else 1e-10), peer


def test_gradients(peers: ModuleType) -> None:
    circuits = peers.sys.modules["circuits"]
    circuit, cost = circuits.hea(QUBITS), circuits.ising_terms(QUBITS)
    ours = simenv.simulate(circuit.program(parametric=True), row=circuit.angles(), observables=[cost], gradients=True)[
        "gradients"
    ][0]
    run = peers.lightning_adjoint(circuit, cost)
    assert run is not None
    assert np.abs(np.array(run()) - ours).max() < 1e-10
    if (run := peers.qulacs_backprop(circuit, cost)) is not None:  # its angles turn the other way
        assert np.abs(np.array(run()) + ours).max() < 1e-10
