"""method="auto": the choice, and that every method gives what the others give."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from qfw import qpi
from qfw.program import PauliSum, Program
from qfw.qpi import errors
from qfw.qpm.run import Run

pytest.importorskip("stim", reason="stim is not installed (pip install 'qfw[stim]')")
pytest.importorskip("qiskit_aer", reason="qiskit-aer is not installed (pip install 'qfw[aer]')")

PATIENCE = 60.0
AUTO = {"method": "auto"}
EXACT_MPS = {"method": "matrix_product_state", "matrix_product_state_truncation_threshold": "1e-28"}


@pytest.fixture(scope="module", params=["embedded", "daemon"])
def context(request: pytest.FixtureRequest) -> Iterator[qpi.Context]:
    where = "embedded" if request.param == "embedded" else request.getfixturevalue("live_run").endpoint_file
    with qpi.connect(where) as ctx:
        yield ctx


@pytest.fixture
def mesh(context: qpi.Context) -> qpi.Mesh:
    return context.mesh("statevec")


def ghz(n: int) -> Program:
    builder = qpi.Builder(n, n)
    builder.gate("h", [0])
    for q in range(n - 1):
        builder.gate("cx", [q, q + 1])
    for q in range(n):
        builder.measure(q, q)
    return builder.finish()


ONE = ("h", "s", "sdg", "x", "y", "z", "sx", "sxdg")
TWO = ("cx", "cy", "cz", "swap", "iswap", "ecr", "dcx")


def clifford(seed: int, n: int, gates: int, measured: bool = True) -> Program:
    rng = np.random.default_rng(seed)
    builder = qpi.Builder(n, n if measured else 0)
    for _ in range(gates):
        a, b = (int(q) for q in rng.permutation(n)[:2])
        kind = rng.integers(3)
        if kind == 0:
            builder.gate(str(rng.choice(ONE)), [a])
        elif kind == 1:
            builder.gate(str(rng.choice(TWO)), [a, b])
        else:
            builder.gate(str(rng.choice(("rx", "ry", "rz", "p"))), [a], [float(rng.integers(-4, 5)) * math.pi / 2])
    if measured:
        for q in range(n):
            builder.measure(q, q)
    return builder.finish()


def chain(n: int, layers: int, seed: int = 0) -> Program:
    """Rotations and gates between neighbours; the bond dimension is at most 2 to the number of layers."""
    rng = np.random.default_rng(seed)
    builder = qpi.Builder(n, 0)
    for _ in range(layers):
        for q in range(n):
            builder.gate("U", [q], [float(x) for x in rng.normal(size=3)])
        for q in range(n - 1):
            if rng.integers(2):
                builder.gate("cx", [q, q + 1])
            else:
                builder.gate("rzz", [q + 1, q], [float(rng.normal())])
    return builder.finish()


def random_observables(seed: int, n: int, count: int) -> list[PauliSum]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        size = int(rng.integers(1, n + 1))
        letters = "".join(rng.choice(list("XYZ"), size))
        made.append(PauliSum([(float(rng.normal()), letters, [int(q) for q in rng.permutation(n)[:size]])]))
    return made


def expectations(mesh: qpi.Mesh, program: Program, wanted: list[PauliSum], options: dict[str, str]) -> Any:
    task = qpi.Task(program, shots=0, outputs=("expectations",), observables=wanted, options=options)
    return mesh.run(task, timeout=PATIENCE)


# ---- the same from all ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_stabilizer_and_state_vector_agree(context: qpi.Context, mesh: qpi.Mesh, seed: int) -> None:
    n = 3 + seed
    program = clifford(seed, n, 12 * n, measured=False)
    wanted = random_observables(seed, n, 40) + [PauliSum([(1.0, "Z", [q])]) for q in range(n)]
    here = expectations(mesh, program, wanted, {}).rows[0].expectations
    there = expectations(context.mesh("stim"), program, wanted, {}).rows[0].expectations
    np.testing.assert_allclose(there, here, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_samples_of_the_stabilizer_simulator_are_of_the_same_distribution(
    context: qpi.Context, mesh: qpi.Mesh, seed: int
) -> None:
    n, shots = 5, 20_000
    program = clifford(100 + seed, n, 60)
    exact = mesh.run(qpi.Task(program, shots=0, outputs=("probabilities",)), timeout=PATIENCE).rows[0].probabilities
    counts = context.mesh("stim").run(qpi.Task(program, shots=shots, seed=seed), timeout=PATIENCE).counts
    found = np.array([counts.get(f"{i:0{n}b}", 0) for i in range(1 << n)])
    assert found[exact < 1e-12].sum() == 0, "what cannot be is not seen"
    likely = exact > 1e-12
    chi2 = (((found - shots * exact) ** 2)[likely] / (shots * exact[likely])).sum()
    assert chi2 < 100.0, (chi2, "of 31 degrees of freedom at most: 1 in 10^9")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("layers", [1, 3])
def test_product_states_and_state_vector_agree(context: qpi.Context, mesh: qpi.Mesh, seed: int, layers: int) -> None:
    n = 12
    program = chain(n, layers, seed)
    wanted = random_observables(seed, n, 20)
    here = expectations(mesh, program, wanted, {}).rows[0].expectations
    there = expectations(context.mesh("aer"), program, wanted, EXACT_MPS).rows[0].expectations
    np.testing.assert_allclose(there, here, atol=1e-10)


# ---- the choice ----------------------------------------------------------------------------------------------------


def test_sixty_qubits_of_a_ghz_state(mesh: qpi.Mesh) -> None:
    result = mesh.run(qpi.Task(ghz(60), shots=1000, seed=1, options=AUTO), timeout=PATIENCE)
    assert (result.device, result.method) == ("stim", "stabilizer")
    assert "every gate is Clifford" in result.method_reason
    assert result.counts.keys() == {"0" * 60, "1" * 60}
    again = mesh.run(qpi.Task(ghz(60), shots=1000, seed=1, options=AUTO), timeout=PATIENCE)
    assert again.counts == result.counts
    with pytest.raises(errors.LimitExceeded, match="60; allowed at most 40"):
        mesh.run(qpi.Task(ghz(60), shots=10), timeout=PATIENCE)


def test_small_ones_stay_where_they_are(mesh: qpi.Mesh) -> None:
    result = mesh.run(qpi.Task(ghz(4), shots=100, seed=3, options=AUTO), timeout=PATIENCE)
    assert (result.device, result.method) == ("statevec", "statevector")
    assert "4 qubits" in result.method_reason
    plain = mesh.run(qpi.Task(ghz(4), shots=100, seed=3), timeout=PATIENCE)
    assert plain.counts == result.counts
    assert plain.method == ""


def test_a_chain_of_fifty_qubits(mesh: qpi.Mesh) -> None:
    wanted = [PauliSum([(1.0, "Z", [0])]), PauliSum([(1.0, "XX", [4, 5])])]
    result = expectations(mesh, chain(50, 2), wanted, AUTO)
    assert (result.device, result.method) == ("aer", "matrix_product_state")
    assert "at most 4" in result.method_reason
    # Qubits 0 to 13 see nothing of what lies more than two layers away: the same from the chain's first part alone.
    rng = np.random.default_rng(0)
    builder = qpi.Builder(14, 0)
    for _ in range(2):
        for q in range(50):
            angles = [float(x) for x in rng.normal(size=3)]
            if q < 14:
                builder.gate("U", [q], angles)
        for q in range(49):
            gate, on = ("cx", [q, q + 1]) if rng.integers(2) else ("rzz", [q + 1, q])
            angles = [] if gate == "cx" else [float(rng.normal())]
            if q < 13:
                builder.gate(gate, on, angles)
    part = expectations(mesh, builder.finish(), wanted, {})
    np.testing.assert_allclose(result.rows[0].expectations, part.rows[0].expectations, atol=1e-10)


def test_what_cannot_be_exact_is_refused_with_the_reasons(mesh: qpi.Mesh) -> None:
    with pytest.raises(errors.LimitExceeded) as caught:
        expectations(mesh, chain(50, 12), [PauliSum([(1.0, "Z", [0])])], AUTO)
    said = str(caught.value)
    assert "gate 'U' on qubit 0 is not Clifford" in said
    assert "2^12" in said


def test_a_sweep_that_is_clifford_in_every_row(mesh: qpi.Mesh) -> None:
    builder = qpi.Builder(50, 0)
    theta = builder.parameter("theta")
    for q in range(50):
        builder.gate("ry", [q], [(theta, 1.0, 0.0)])
    for q in range(0, 50, 2):
        builder.gate("cx", [q, (q + 7) % 50])
    task = qpi.Task(
        builder.finish(),
        bindings=[[k * math.pi / 2] for k in range(4)],
        shots=0,
        outputs=("expectations",),
        observables=[PauliSum([(1.0, "Z", [4])])],
        options=AUTO,
    )
    result = mesh.run(task, timeout=PATIENCE)
    assert result.method == "stabilizer"
    np.testing.assert_allclose([row.expectations[0] for row in result.rows], [1, 0, -1, 0], atol=1e-12)


def test_measurements_in_the_middle_of_many_qubits(mesh: qpi.Mesh) -> None:
    builder = qpi.Builder(60, 60)
    builder.gate("h", [0])
    builder.measure(0, 0)
    for q in range(1, 60):
        builder.gate("cx", [q - 1, q])
    builder.reset(3)
    for q in range(1, 60):
        builder.measure(q, q)
    result = mesh.run(qpi.Task(builder.finish(), shots=200, options=AUTO), timeout=PATIENCE)
    assert result.method == "stabilizer"
    assert result.counts.keys() == {"0" * 60, "1" * 56 + "0" + "111"}


def test_an_unknown_method_is_refused(mesh: qpi.Mesh) -> None:
    with pytest.raises(errors.InvalidArgument, match="method='magic'; allowed: statevector, auto"):
        mesh.run(qpi.Task(ghz(3), shots=1, options={"method": "magic"}), timeout=PATIENCE)


# ---- through the frameworks ----------------------------------------------------------------------------------------


def test_qiskit(live_run: Run) -> None:
    qiskit = pytest.importorskip("qiskit", reason="qiskit is not installed")
    from qfw_qiskit import QFWBackend

    circuit = qiskit.QuantumCircuit(60)
    circuit.h(0)
    for q in range(59):
        circuit.cx(q, q + 1)
    circuit.measure_all()
    backend = QFWBackend(device="statevec", endpoint=str(live_run.endpoint_file), method="auto", num_qubits=60, seed=4)
    try:
        counts = backend.run(qiskit.transpile(circuit, backend), shots=500).result().get_counts()
    finally:
        backend.context.close()
    assert counts.keys() == {"0" * 60, "1" * 60}


def test_pennylane(live_run: Run) -> None:
    qml = pytest.importorskip("pennylane", reason="pennylane is not installed")
    device = qml.device(
        "qfw.device", wires=60, device="statevec", endpoint=str(live_run.endpoint_file), options=dict(AUTO)
    )

    @qml.qnode(device)  # type: ignore[untyped-decorator]
    def circuit() -> Any:
        qml.Hadamard(0)
        for q in range(59):
            qml.CNOT([q, q + 1])
        return qml.expval(qml.Z(0) @ qml.Z(59)), qml.expval(qml.X(7))

    np.testing.assert_allclose(circuit(), [1.0, 0.0], atol=1e-12)
