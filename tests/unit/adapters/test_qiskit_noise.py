"""Noise models: packed as JSON, unpacked by the Aer plugin, and the same statistics as Aer's own."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qiskit_aer", reason="qiskit-aer is not installed")
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import (
    NoiseModel,
    ReadoutError,
    amplitude_damping_error,
    coherent_unitary_error,
    depolarizing_error,
)

from qfw import qpi
from qfw.program import errors
from qfw.qpi.adapters.qiskit import noise
from qfw.qpm.plugins.aer import noise as plugin
from qfw_qiskit import QFWBackend, QFWEstimatorV2, QFWSamplerV2

SHOTS = 20_000


@pytest.fixture(scope="module")
def model() -> NoiseModel:
    """Pauli, Kraus, unitary and readout errors, for all qubits and for some."""
    made = NoiseModel()
    made.add_all_qubit_quantum_error(depolarizing_error(0.08, 2), "cx")
    made.add_quantum_error(amplitude_damping_error(0.2), ["h", "x"], [0])
    slip = np.array([[np.cos(0.2), -1j * np.sin(0.2)], [-1j * np.sin(0.2), np.cos(0.2)]])
    made.add_quantum_error(coherent_unitary_error(slip), ["rx", "id"], [1])
    made.add_all_qubit_readout_error(ReadoutError([[0.95, 0.05], [0.15, 0.85]]))
    return made


@pytest.fixture(scope="module")
def aer(model: NoiseModel) -> Iterator[QFWBackend]:
    made = QFWBackend(provider="aer", endpoint="embedded", noise_model=model)
    yield made
    made.shutdown()


def ghz(bits: int = 3) -> QuantumCircuit:
    circuit = QuantumCircuit(bits, name="ghz")
    circuit.h(0)
    for q in range(bits - 1):
        circuit.cx(q, q + 1)
    circuit.id(1)
    circuit.rx(0.4, 1)
    return circuit


def distance(a: dict[str, int], b: dict[str, int]) -> float:
    """Total variation of two samples of SHOTS."""
    return sum(abs(a.get(k, 0) - b.get(k, 0)) for k in a | b) / (2 * SHOTS)


def test_counts_are_distributed_as_aer_s(aer: QFWBackend, model: NoiseModel) -> None:
    circuit = ghz().measure_all(inplace=False)
    wanted = AerSimulator(noise_model=model, seed_simulator=5).run(circuit, shots=SHOTS).result().get_counts()
    ideal = AerSimulator(seed_simulator=5).run(circuit, shots=SHOTS).result().get_counts()
    for method in ("automatic", "density_matrix"):  # Aer 0.18 itself fails in trajectories of Kraus and Pauli errors
        found = aer.run(circuit, shots=SHOTS, seed_simulator=6, method=method).result(timeout=60).get_counts()
        assert distance(found, wanted) < 0.02, method
        assert distance(found, ideal) > 0.1, method


def test_trajectories_are_distributed_as_aer_s(aer: QFWBackend) -> None:
    pauli = NoiseModel()
    pauli.add_all_qubit_quantum_error(depolarizing_error(0.1, 2), "cx")
    circuit = ghz().measure_all(inplace=False)
    wanted = AerSimulator(noise_model=pauli, method="statevector", seed_simulator=5).run(circuit, shots=SHOTS).result()
    run = aer.run(circuit, shots=SHOTS, seed_simulator=6, method="statevector", noise_model=pauli)
    assert distance(run.result(timeout=60).get_counts(), wanted.get_counts()) < 0.02


def test_a_run_s_own_model_goes_before_the_backend_s(aer: QFWBackend) -> None:
    flip = NoiseModel()
    flip.add_all_qubit_readout_error(ReadoutError([[0.0, 1.0], [1.0, 0.0]]))
    circuit = QuantumCircuit(2)
    circuit.x(0)
    circuit.measure_all()
    assert aer.run(circuit, shots=50, noise_model=flip).result(timeout=60).get_counts() == {"10": 50}
    as_dict = flip.to_dict(serializable=True)
    for form in (as_dict, json.dumps(as_dict)):
        assert aer.run(circuit, shots=50, noise_model=form).result(timeout=60).get_counts() == {"10": 50}
    mixed = aer.run([circuit, circuit], shots=SHOTS, seed_simulator=1).result(timeout=60).get_counts(1)
    assert 0.6 < mixed["01"] / SHOTS < 0.8


def test_the_sampler_and_the_estimator_are_noisy_too(aer: QFWBackend, model: NoiseModel) -> None:
    p = Parameter("p")
    circuit = ghz()
    circuit.rx(p, 1)
    values = [0.0, 0.7, 2.1]
    measured = circuit.measure_all(inplace=False)
    job = QFWSamplerV2(aer, seed=3).run([(measured, values)], shots=SHOTS)
    simulator = AerSimulator(noise_model=model, method="density_matrix", seed_simulator=9)
    bound = [measured.assign_parameters([v]) for v in values]
    wanted = simulator.run(bound, shots=SHOTS).result().get_counts()
    for i, counts in enumerate(wanted):
        assert distance(job.result(timeout=60)[0].data.meas.get_counts(i), counts) < 0.02

    observable = SparsePauliOp.from_list([("ZZI", 1.0), ("XXX", 0.5), ("IYZ", -0.3)])
    exact = QFWEstimatorV2(aer).run([(circuit, observable, values)]).result(timeout=60)[0].data.evs
    for i, value in enumerate(values):
        dense = circuit.assign_parameters([value])
        dense.save_density_matrix()
        state = simulator.run(dense).result().data(0)["density_matrix"]
        assert abs(exact[i] - state.expectation_value(observable).real) < 1e-9


def test_what_noise_excludes_is_refused(aer: QFWBackend) -> None:
    with pytest.raises(errors.Unsupported, match="no state vector"):
        aer.run(ghz(), return_statevector=True).result(timeout=60)
    with pytest.raises(errors.Unsupported, match="need method density_matrix, not statevector"):
        options = {"run_options": {"method": "statevector"}}
        QFWEstimatorV2(aer, options=options).run([(ghz(), "ZZZ")]).result(timeout=60)
    waits = ghz()
    waits.delay(100, 0)
    waits.measure_all()
    with pytest.raises(errors.Unsupported, match=r"circuit 1 \('ghz'\): delays"):
        aer.run([ghz().measure_all(inplace=False), waits])


def test_seeds_hold(aer: QFWBackend) -> None:
    circuit = ghz().measure_all(inplace=False)
    found = [aer.run(circuit, shots=200, memory=True, seed_simulator=s).result(timeout=60) for s in (4, 4, 5)]
    assert found[0].get_memory() == found[1].get_memory() != found[2].get_memory()


def test_the_text_is_the_model(model: NoiseModel) -> None:
    text = noise.noise_text(model)
    assert text.startswith("zlib:")
    assert plugin.read(text) == model.to_dict(serializable=True)
    assert noise.noise_text(text) == text


def packed(raw: bytes) -> str:
    return "zlib:" + base64.b64encode(zlib.compress(raw)).decode()


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("zlib:???", errors.InvalidArgument, "cannot be unpacked"),
        ("zlib:" + base64.b64encode(b"plain").decode(), errors.InvalidArgument, "cannot be unpacked"),
        (packed(b"{"), errors.InvalidArgument, "not JSON"),
        ("[" * 100_000, errors.InvalidArgument, "not JSON"),
        ("[]", errors.InvalidArgument, "a list 'errors'"),
        ('{"errors": [{"type": "qerror"}]}', errors.InvalidArgument, "error 0 lacks 'instructions'"),
        ('{"errors": [{"type": "import"}]}', errors.InvalidArgument, "error 0 has type 'import'"),
        (packed(b" " * (plugin.MAX_JSON + 1)), errors.LimitExceeded, "when unpacked"),
    ],
)
def test_texts_that_are_no_model(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        plugin.read(text)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (object(), errors.InvalidArgument, "of type object"),
        ({"errors": [np.zeros(2)]}, errors.InvalidArgument, "as JSON"),
        ("zlib:" + "A" * noise.MAX_TEXT, errors.LimitExceeded, "at most 1048576"),
    ],
)
def test_what_cannot_be_packed(given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        noise.noise_text(given)


def test_an_option_is_bounded_at_the_runtime_too(aer: QFWBackend) -> None:
    program = qpi.Builder(1, 1)
    program.measure(0, 0)
    task = qpi.Task(program.finish(), options={"noise_model": " " * (noise.MAX_TEXT + 1)})
    with pytest.raises(errors.LimitExceeded, match="'noise_model' of 1048577 bytes; at most 1048576"):
        aer.context.mesh("aer").run(task, timeout=60)


def test_recent_models_are_remembered() -> None:
    models = plugin.Models()
    texts = [json.dumps({"errors": [], "n": i}) for i in range(plugin.MODELS + 1)]
    first = models.find(texts[0])
    assert models.find(texts[0]) is first
    for text in texts[1:]:
        models.find(text)
    assert models.find(texts[0]) is not first
    assert models.find("") == {}
