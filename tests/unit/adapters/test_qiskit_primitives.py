"""`QFWSamplerV2` and `QFWEstimatorV2` beside Qiskit's own state-vector primitives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import manual
import numpy as np
import pytest

pytest.importorskip("qiskit", reason="qiskit is not installed")
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.primitives import BackendSamplerV2, StatevectorEstimator
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.providers import JobStatus
from qiskit.quantum_info import Pauli, SparseObservable, SparsePauliOp, Statevector

from qfw.program import errors
from qfw.qpi.adapters.qiskit import backend as backend_module
from qfw.qpi.adapters.qiskit import observables
from qfw_qiskit import QFWBackend, QFWEstimatorV2, QFWSamplerV2


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Iterator[manual.Context]:
    made = manual.Context()
    monkeypatch.setattr(backend_module.qpi, "connect", lambda endpoint=None, timeout=10.0: made)
    yield made


def ansatz(measure: bool = False) -> QuantumCircuit:
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(3)
    circuit.ry(a, 0)
    circuit.cx(0, 1)
    circuit.rx(a * b, 2)
    circuit.rzz(b + 0.3, 1, 2)
    circuit.ry(2 * b, 1)
    if measure:
        circuit.measure_all()
    return circuit


def test_a_sweep_is_one_task_and_bits_come_packed(context: manual.Context) -> None:
    values = np.random.default_rng(1).uniform(-2, 2, (4, 5, 2))
    result = QFWSamplerV2(QFWBackend(), seed=3).run([(ansatz(measure=True), values)], shots=50).result()[0]
    assert context.messages == [1]
    assert result.data.meas.array.shape == (4, 5, 50, 1)
    assert result.data.meas.num_bits == 3
    assert result.data.shape == (4, 5)
    assert result.metadata["shots"] == 50
    assert result.metadata["seed"] == 3
    assert set(result.metadata["timing"]) >= {"execute_ns", "total_ns"}


def test_the_distribution_is_the_circuit_s(context: manual.Context) -> None:
    circuit = ansatz(measure=True)
    values = [[0.4, 1.1], [-0.7, 0.2]]
    result = QFWSamplerV2(QFWBackend(), seed=5).run([(circuit, values)], shots=40_000).result()[0]
    for i, own in enumerate(values):
        wanted = Statevector(ansatz().assign_parameters(own)).probabilities_dict()
        found = result.data.meas[i].get_counts()
        for key in wanted | found:
            assert abs(found.get(key, 0) / 40_000 - wanted.get(key, 0.0)) < 0.02


def test_registers_of_any_layout(context: manual.Context) -> None:
    circuit = QuantumCircuit(QuantumRegister(12), ClassicalRegister(9, "wide"), ClassicalRegister(3, "b"))
    circuit.add_register(ClassicalRegister(bits=[circuit.clbits[10], circuit.clbits[0]], name="mixed"))
    circuit.x([0, 8, 10])
    circuit.measure(range(12), range(12))
    context.devices()[0].max_qubits = 12
    data = QFWSamplerV2(QFWBackend()).run([circuit], shots=3).result()[0].data
    assert data.wide.get_counts() == {"100000001": 3}
    assert data.b.get_counts() == {"010": 3}
    assert data.mixed.get_counts() == {"11": 3}
    assert data.wide.array.shape == (3, 2)


def test_pubs_differ_in_shots_and_seeds(context: manual.Context) -> None:
    circuit = ansatz(measure=True).assign_parameters([1.0, 2.0])
    job = QFWSamplerV2(QFWBackend(), options={"seed_simulator": 9}).run([(circuit, None, 30), circuit, circuit])
    assert context.messages == [3]
    result = job.result()
    assert [r.data.meas.num_shots for r in result] == [30, 1024, 1024]
    assert result[1].data.meas.array.tobytes() != result[2].data.meas.array.tobytes()
    assert job.status() is JobStatus.DONE
    assert job.done() and job.in_final_state() and not job.running() and not job.cancelled()
    assert len(job.metrics()) == 3


def test_repeated_elements_of_a_constant_circuit_are_independent(context: manual.Context) -> None:
    circuit = QuantumCircuit(8)
    circuit.h(range(8))
    circuit.measure_all()
    bits = QFWSamplerV2(QFWBackend(), seed=1).run([(circuit, BindingsArray({}, shape=(3,)), 20)]).result()[0].data.meas
    assert bits.array.shape == (3, 20, 1)
    assert bits.array[0].tobytes() != bits.array[1].tobytes()


def test_nothing_to_sample(context: manual.Context) -> None:
    sampler = QFWSamplerV2(QFWBackend())
    with pytest.warns(UserWarning, match="PUB 0 has no classical registers"):
        result = sampler.run([QuantumCircuit(1)]).result()[0]
    assert list(result.data.keys()) == []
    empty = sampler.run([(ansatz(measure=True), np.zeros((0, 2)), 7)]).result()[0].data.meas
    assert empty.array.shape == (0, 7, 1)
    for precision in (0.0, 0.1):
        pub = (ansatz(), "ZZZ", np.zeros((0, 2)))
        assert QFWEstimatorV2(QFWBackend()).run([pub], precision=precision).result()[0].data.evs.shape == (0,)
    assert context.messages == []


def test_qiskit_s_own_sampler_over_the_backend(context: manual.Context) -> None:
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(1, "a"), ClassicalRegister(1, "b"))
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    data = BackendSamplerV2(backend=QFWBackend()).run([circuit], shots=7).result()[0].data
    assert data.a.get_counts() == {"0": 7}
    assert data.b.get_counts() == {"1": 7}


OBSERVABLES: list[Any] = [
    SparsePauliOp(["XYZ", "ZZI", "III"], [0.5, -1.0, 0.25]),
    Pauli("IXX"),
    {"ZIZ": 1.5, "IYI": -0.5},
    {"YYI": 2.0, "IIX": -1.0},
]


@pytest.mark.parametrize(
    ("shape", "which"),
    [((2,), 0), ((4, 1, 2), None), ((4, 2), None), ((2,), None), ((30, 2), "zip"), ((3, 30, 2), "zip")],
)
def test_exact_values_agree_with_qiskit(context: manual.Context, shape: tuple[int, ...], which: Any) -> None:
    values = np.random.default_rng(2).uniform(-2, 2, shape)
    wanted_of = OBSERVABLES[0] if which == 0 else OBSERVABLES
    if which == "zip":
        wanted_of = [OBSERVABLES[i % 4] for i in range(30)]
    pub = (ansatz(), wanted_of, values)
    found = QFWEstimatorV2(QFWBackend()).run([pub]).result()[0]
    wanted = StatevectorEstimator().run([pub]).result()[0]
    assert found.data.evs.shape == wanted.data.evs.shape
    assert np.abs(found.data.evs - wanted.data.evs).max() < 1e-10
    assert not found.data.stds.any()
    assert found.metadata["target_precision"] == 0


def test_one_task_for_a_sweep_and_no_parameters(context: manual.Context) -> None:
    circuit = ansatz().assign_parameters([0.3, 0.4])
    sweep = (ansatz(), [[o] for o in OBSERVABLES], np.zeros((10, 2)))
    found = QFWEstimatorV2(QFWBackend()).run([sweep, (circuit, OBSERVABLES)]).result()
    assert context.messages == [2]
    wanted = StatevectorEstimator().run([(circuit, OBSERVABLES)]).result()
    assert np.abs(found[1].data.evs - wanted[0].data.evs).max() < 1e-10
    assert found[0].data.evs.shape == (4, 10)


def test_sampled_values_and_their_errors(context: manual.Context) -> None:
    values = np.random.default_rng(4).uniform(-2, 2, (3, 1, 2))
    pub = (ansatz(), OBSERVABLES, values)
    found = QFWEstimatorV2(QFWBackend(), seed=1).run([pub], precision=0.01).result()[0]
    wanted = StatevectorEstimator().run([pub]).result()[0]
    assert found.metadata["shots"] == 10_000
    assert found.data.evs.shape == (3, 4)
    assert (np.abs(found.data.evs - wanted.data.evs) < 6 * found.data.stds + 1e-9).all()
    assert (found.data.stds < 0.05).all()


@pytest.mark.parametrize("precision", [0.0, 0.02])
def test_projectors(context: manual.Context, precision: float) -> None:
    observable = {"0+r": 2.0, "1-l": -1.0}
    circuit = ansatz().assign_parameters([0.7, 1.9])
    same = SparseObservable.from_list(list(observable.items())).as_paulis().to_sparse_list()
    wanted = StatevectorEstimator().run([(circuit, SparsePauliOp.from_sparse_list(same, 3))]).result()[0]
    found = QFWEstimatorV2(QFWBackend(), seed=1).run([(circuit, observable)], precision=precision).result()[0]
    assert abs(found.data.evs - wanted.data.evs) < 1e-10 + 6 * found.data.stds


def test_a_constant_observable_needs_no_shot(context: manual.Context) -> None:
    found = QFWEstimatorV2(QFWBackend()).run([(QuantumCircuit(2), {"II": 2.5})], precision=0.1).result()[0]
    assert found.data.evs == 2.5
    assert context.messages == []


def test_measured_circuits_are_estimated_before_their_measurement(context: manual.Context) -> None:
    circuit = QuantumCircuit(1)
    circuit.h(0)
    circuit.measure_all()
    for precision in (0.0, 0.05):
        found = QFWEstimatorV2(QFWBackend()).run([(circuit, "X")], precision=precision).result()[0]
        assert abs(found.data.evs - 1.0) < 1e-12


def test_a_device_without_exact_values_is_sampled(context: manual.Context) -> None:
    context.devices()[0].outputs = ("counts", "memory")
    estimator = QFWEstimatorV2(QFWBackend(), seed=2)
    assert estimator.default_precision == 0.015625
    assert estimator.run([(QuantumCircuit(1), "Z")]).result()[0].data.evs == 1.0
    with pytest.raises(errors.InvalidArgument, match="no exact values"):
        estimator.run([(QuantumCircuit(1), "Z")], precision=0.0)


def test_groups_measure_what_agrees_at_once() -> None:
    terms = observables.terms_of({"XXI": 1.0, "IXX": 1.0, "ZII": 1.0, "IZI": 2.0, "III": 3.0, "XIX": 1.0})
    groups = observables.group(terms)
    assert len(groups) == 2
    assert sorted(len(members) for _, members in groups) == [2, 3]
    for basis, members in groups:
        assert all(basis[q] == letter for pauli in members for q, letter in pauli)


@pytest.mark.parametrize("letters", ["Q", "ZI!"])
def test_bad_letters(letters: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="letter"):
        observables.terms_of({letters: 1.0})


def test_failures_and_timeouts(context: manual.Context) -> None:
    context.auto = False
    sampler = QFWSamplerV2(QFWBackend())
    job = sampler.run([ansatz(measure=True).assign_parameters([0, 1])])
    with pytest.raises(errors.WaitTimeout, match="1 of 1"):
        job.result(timeout=0.01)
    context.end(0, errors.DeviceLost("gone", transient=True))
    with pytest.raises(errors.DeviceLost, match="gone") as caught:
        job.result()
    assert caught.value.transient
    assert job.status() is JobStatus.ERROR
    job = sampler.run([ansatz(measure=True).assign_parameters([0, 1])])
    assert job.cancel()
    assert job.cancelled()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda b: QFWSamplerV2(b, options={"default_shot": 1}), "'default_shots'"),
        (lambda b: QFWSamplerV2(b, default_shots=0), "default_shots 0"),
        (lambda b: QFWSamplerV2(3), "a QFWBackend expected"),
        (lambda b: QFWSamplerV2(b).run([]), "no PUB"),
        (lambda b: QFWSamplerV2(b).run([ansatz(measure=True).assign_parameters([0, 0])], shots=0), "shots 0"),
        (lambda b: QFWSamplerV2(b, options={"run_options": {"sots": 1}}).run([QuantumCircuit(1, 1)]), "'shots'"),
        (lambda b: QFWSamplerV2(b).run([(ansatz(measure=True), [float("nan"), 0])]), r"PUB 0 .*nan"),
        (lambda b: QFWEstimatorV2(b).run([(ansatz(), "ZZZ", [float("inf"), 0])]), r"PUB 0 .*inf"),
        (lambda b: QFWEstimatorV2(b, default_precision=-1.0), "precision -1.0"),
        (lambda b: QFWEstimatorV2(b).run([]), "no PUB"),
    ],
)
def test_bad_arguments(context: manual.Context, make: Any, says: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=says):
        make(QFWBackend())
