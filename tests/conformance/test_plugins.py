"""What every plugin promises, over every plugin: a provider is accepted when it passes."""

import importlib.util
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from qfw import qpi
from qfw.program import Builder, PauliSum, Program
from qfw.program.errors import (
    Cancelled,
    DeadlineExceeded,
    DeviceError,
    DeviceLost,
    InvalidArgument,
    LimitExceeded,
    QfwError,
    Unavailable,
)
from qfw.qpi.errors import ErrorAvailable
from qfw.qpm.run import Run

DEVICES = [
    "statevec",
    pytest.param(
        "aer",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("qiskit_aer") is None,
            reason="qiskit-aer is not installed (pip install 'qfw[aer]')",
        ),
    ),
    pytest.param(
        "stim",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("stim") is None, reason="stim is not installed (pip install 'qfw[stim]')"
        ),
    ),
    "nwqsim",
    "sample",
]


@pytest.fixture(scope="module")
def context(live_run: Run) -> Iterator[qpi.Context]:
    with qpi.connect(str(live_run.endpoint_file)) as ctx:
        yield ctx


@pytest.fixture(params=DEVICES)
def mesh(request: pytest.FixtureRequest, context: qpi.Context) -> qpi.Mesh:
    return context.mesh(request.param)


def needs_any_gate(mesh: qpi.Mesh) -> None:
    if "t" not in mesh.devices[0].gates:
        pytest.skip(f"device {mesh.devices[0].name} runs Clifford gates alone; test_methods.py compares its numbers")


@pytest.fixture
def sample(context: qpi.Context) -> qpi.Mesh:
    return context.mesh("sample")


def ghz(n: int = 3) -> Program:
    builder = Builder(n, n)
    builder.gate("h", [0])
    for q in range(n - 1):
        builder.gate("cx", [q, q + 1])
    for q in range(n):
        builder.measure(q, q)
    return builder.finish()


def entangled(seed: int, n: int = 4) -> tuple[Program, Any]:
    """A random program and the same as a Qiskit circuit."""
    from qiskit import QuantumCircuit

    rng = np.random.default_rng(seed)
    builder, circuit = Builder(n, 0), QuantumCircuit(n)
    for _ in range(20):
        a, b = (int(q) for q in rng.permutation(n)[:2])
        x = float(rng.normal())
        kind = rng.integers(5)
        if kind == 0:
            builder.gate("ry", [a], [x])
            circuit.ry(x, a)
        elif kind == 1:
            builder.gate("U", [a], [x, 2 * x, 3 * x])
            circuit.u(x, 2 * x, 3 * x, a)
        elif kind == 2:
            builder.gate("cx", [a, b])
            circuit.cx(a, b)
        elif kind == 3:
            builder.gate("rzz", [a, b], [x])
            circuit.rzz(x, a, b)
        else:
            builder.gate("iswap", [a, b])
            circuit.iswap(a, b)
    return builder.finish(), circuit


@pytest.mark.parametrize("seed", range(3))
def test_state_probabilities_and_expectations_agree_with_qiskit(mesh: qpi.Mesh, seed: int) -> None:
    needs_any_gate(mesh)
    info = pytest.importorskip("qiskit.quantum_info", reason="qiskit is not installed")
    program, circuit = entangled(seed)
    terms = [("ZXY", [0, 2, 3], 0.5), ("Z", [1], -2.0), ("", [], 0.25)]
    task = qpi.Task(
        program,
        shots=0,
        outputs=("statevector", "probabilities", "expectations"),
        qubits=(2, 0),
        observables=[PauliSum([(c, p, q) for p, q, c in terms])],
    )
    row = mesh.run(task, timeout=60).rows[0]
    state = info.Statevector(circuit)
    operator = info.SparsePauliOp.from_sparse_list(terms, num_qubits=4)
    np.testing.assert_allclose(row.statevector, state.data, atol=1e-9)
    np.testing.assert_allclose(row.probabilities, state.probabilities([2, 0]), atol=1e-9)
    np.testing.assert_allclose(row.expectations, [state.expectation_value(operator).real], atol=1e-9)


def test_counts_and_memory_say_the_same(mesh: qpi.Mesh) -> None:
    result = mesh.run(qpi.Task(ghz(), shots=300, outputs=("counts", "memory"), seed=1), timeout=60)
    assert set(result.counts) == {"000", "111"} and sum(result.counts.values()) == 300
    assert result.rows[0].memory.shape == (300, 1)
    assert int((result.rows[0].memory == 7).sum()) == result.counts["111"]


def test_a_seed_gives_the_same_shots_and_is_reported(mesh: qpi.Mesh) -> None:
    task = [qpi.Task(ghz(), shots=200, outputs=("memory",), seed=s) for s in (7, 8, 7)]
    first, other, again = (mesh.run(t, timeout=60) for t in task)
    assert first.seed == 7 and again.seed == 7
    assert (first.rows[0].memory == again.rows[0].memory).all()
    assert (first.rows[0].memory != other.rows[0].memory).any()
    drawn = mesh.run(qpi.Task(ghz(), shots=200, outputs=("memory",)), timeout=60)
    replayed = mesh.run(qpi.Task(ghz(), shots=200, outputs=("memory",), seed=drawn.seed), timeout=60)
    assert (drawn.rows[0].memory == replayed.rows[0].memory).all()


def test_a_sweep_has_a_row_per_binding(mesh: qpi.Mesh) -> None:
    needs_any_gate(mesh)
    builder = Builder(1, 0)
    theta = builder.parameter("theta")
    builder.gate("ry", [0], [(theta, 1.0, 0.0)])
    values = np.linspace(0, 3, 50)
    task = qpi.Task(
        builder.finish(),
        bindings=values[:, None],
        shots=0,
        outputs=("expectations",),
        observables=[PauliSum([(1, "Z", [0])])],
    )
    found = [row.expectations[0] for row in mesh.run(task, timeout=60).rows]
    np.testing.assert_allclose(found, np.cos(values), atol=1e-9)


def test_many_tasks_keep_their_order(mesh: qpi.Mesh) -> None:
    tasks = []
    for i in range(100):
        builder = Builder(7, 7)
        for q in range(7):
            if i >> q & 1:
                builder.gate("x", [q])
            builder.measure(q, q)
        tasks.append(qpi.Task(builder.finish(), shots=3))
    results = mesh.run(tasks, timeout=60)
    assert [int(next(iter(r.counts)), 2) for r in results] == list(range(100))


def test_nothing_measured(mesh: qpi.Mesh) -> None:
    assert mesh.run(qpi.Task(Builder(2, 2).finish(), shots=5), timeout=60).counts == {"00": 5}
    with pytest.raises(InvalidArgument, match="0 classical bits"):
        mesh.run(qpi.Task(Builder(1, 0).finish(), shots=5), timeout=60)


def test_bad_tasks_fail_alone_and_say_value_and_limit(mesh: qpi.Mesh) -> None:
    limit = mesh.devices[0].max_qubits
    with pytest.raises(LimitExceeded, match=rf"{limit + 1}.*{limit}"):
        mesh.run(qpi.Task(Builder(limit + 1, 1).finish(), shots=1), timeout=60)
    shots = mesh.devices[0].max_shots
    with pytest.raises(LimitExceeded, match=str(shots + 1)):
        mesh.run(qpi.Task(ghz(), shots=shots + 1), timeout=60)
    with pytest.raises(InvalidArgument, match="nonsense"):
        mesh.run(qpi.Task(ghz(), options={"nonsense": "1"}), timeout=60)
    with pytest.raises(QfwError):
        mesh.run(
            qpi.Task(ghz(), shots=1, outputs=("expectations",), observables=[PauliSum([(1, "Z", [9])])]), timeout=60
        )
    assert mesh.run(qpi.Task(ghz(), shots=10), timeout=60).shots == 10


def test_one_bad_task_in_a_batch(mesh: qpi.Mesh, context: qpi.Context) -> None:
    done = context.completion_queue()
    with mesh.stream(completions=done) as stream:
        good = stream.submit(qpi.Task(ghz(), shots=10, context="good"))
        bad = stream.submit(qpi.Task(ghz(), shots=10, options={"nonsense": "1"}, context="bad"))
        seen = {}
        for _ in range(2):
            try:
                (completion,) = done.read(1, timeout=60)
            except ErrorAvailable:
                completion = done.readerr()
            seen[completion.id] = completion
    assert seen[good].result.shots == 10 and seen[good].context == "good"
    assert isinstance(seen[bad].error, InvalidArgument) and seen[bad].context == "bad"


def test_a_device_describes_itself(mesh: qpi.Mesh) -> None:
    device = mesh.devices[0]
    assert device.status == "online" and device.simulator
    assert {"h", "cx", "measure"} <= set(device.gates)
    assert "counts" in device.outputs and device.max_qubits > 0 and device.capacity > 0


def test_option_with_a_value_that_is_not_allowed(context: qpi.Context) -> None:
    with pytest.raises(InvalidArgument, match="option behaviour='dance': not one of work, raise"):
        context.mesh("sample").run(qpi.Task(ghz(), options={"behaviour": "dance"}), timeout=60)


def test_a_plugin_that_raises_fails_its_task_in_its_own_words(sample: qpi.Mesh) -> None:
    with pytest.raises(DeviceError, match="RuntimeError: the vendor's library says no"):
        sample.run(qpi.Task(ghz(), options={"behaviour": "raise"}), timeout=60)
    assert sample.run(qpi.Task(ghz(), shots=4), timeout=60).shots == 4


def test_a_plugin_that_returns_too_little(sample: qpi.Mesh) -> None:
    with pytest.raises(QfwError, match="returned 0 rows for 1 rows of bindings"):
        sample.run(qpi.Task(ghz(), options={"behaviour": "short"}), timeout=60)


def test_a_task_that_kills_three_processes_is_lost_alone_and_the_plugin_works_again(
    sample: qpi.Mesh, context: qpi.Context
) -> None:
    sample.run(qpi.Task(ghz(), shots=4), timeout=60)
    done = context.completion_queue()
    with sample.stream(completions=done) as stream:
        stream.submit(qpi.Task(ghz(), options={"behaviour": "die"}, context="killer"))
        for i in range(5):
            stream.submit(qpi.Task(ghz(), shots=4, context=i))
        survivors = set()
        lost = None
        while lost is None or len(survivors) < 5:
            try:
                survivors |= {c.context for c in done.read(6, timeout=120)}
            except ErrorAvailable:
                assert lost is None, "only one task fails"
                lost = done.readerr()
    assert survivors == set(range(5))
    assert lost.context == "killer"
    assert isinstance(lost.error, DeviceLost)
    assert "exit status 7" in str(lost.error) and "3 instances died" in str(lost.error)
    assert context.mesh("statevec").run(qpi.Task(ghz(), shots=4), timeout=60).shots == 4
    assert sample.run(qpi.Task(ghz(), shots=5), timeout=60).shots == 5


def test_cancel_reaches_the_plugin(sample: qpi.Mesh, context: qpi.Context) -> None:
    done = context.completion_queue()
    with sample.stream(completions=done) as stream:
        task = stream.submit(qpi.Task(ghz(), options={"behaviour": "hang"}))
        stream.cancel(task)
        with pytest.raises(ErrorAvailable):
            done.read(1, timeout=30)
        assert isinstance(done.readerr().error, Cancelled)
    assert sample.run(qpi.Task(ghz(), shots=5), timeout=60).shots == 5, "the plugin is free again"


def test_a_deadline_reaches_the_plugin(sample: qpi.Mesh) -> None:
    sample.run(qpi.Task(ghz(), shots=4), timeout=60)
    with pytest.raises(DeadlineExceeded):
        sample.run(qpi.Task(ghz(), options={"behaviour": "hang"}, deadline=0.2), timeout=60)
    assert sample.run(qpi.Task(ghz(), shots=5), timeout=60).shots == 5


def test_a_task_that_cannot_be_interrupted_does_not_keep_its_device(sample: qpi.Mesh) -> None:
    sample.run(qpi.Task(ghz(), shots=4), timeout=60)
    with pytest.raises(DeadlineExceeded):
        sample.run(qpi.Task(ghz(), options={"behaviour": "stuck"}, deadline=0.2), timeout=60)
    assert sample.run(qpi.Task(ghz(), shots=5), timeout=60).shots == 5


def test_qfws_names_of_nwqsim_and_its_back_ends(live_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    circuits = pytest.importorskip("qiskit.circuit", reason="qiskit is not installed")
    from qfw_qiskit import QFWBackend, QFWBackendType

    monkeypatch.setenv("QFW_STRICT_PROVIDER", "1")
    circuit = circuits.QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    for backend in ("CPU", "OpenMP"):
        names = {"betype": QFWBackendType.QFW_TYPE_NWQSIM, "properties": {"backend": backend, "compiler": "staq"}}
        found = QFWBackend(**names, endpoint=str(live_run.endpoint_file))
        counts = found.run(circuit, shots=100).result(timeout=60).get_counts()
        assert found.device.name == "nwqsim" and set(counts) == {"00", "11"}
    with pytest.raises(InvalidArgument, match="backend='AMDGPU': not one of CPU, OpenMP, MPI"):
        names["properties"] = {"backend": "AMDGPU"}
        QFWBackend(**names, endpoint=str(live_run.endpoint_file)).run(circuit).result(timeout=60)


def test_two_clients_do_not_take_each_others_results(live_run: Run) -> None:
    found: dict[str, list[int]] = {}

    def client(name: str, bit: int) -> None:
        builder = Builder(1, 1)
        if bit:
            builder.gate("x", [0])
        builder.measure(0, 0)
        with qpi.connect(str(live_run.endpoint_file)) as ctx:
            results = ctx.mesh("statevec").run([qpi.Task(builder.finish(), shots=1)] * 50, timeout=60)
        found[name] = [int(next(iter(r.counts))) for r in results]

    threads = [threading.Thread(target=client, args=(str(bit), bit)) for bit in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"0": [0] * 50, "1": [1] * 50}


def test_a_plugin_that_cannot_be_imported_is_listed_with_its_reason(context: qpi.Context) -> None:
    device = context.device("broken")
    assert device.status == "fault" and "this plugin is broken on purpose" in device.status_reason
    with pytest.raises(Unavailable, match="broken on purpose"):
        context.mesh("broken").run(qpi.Task(ghz()), timeout=60)
