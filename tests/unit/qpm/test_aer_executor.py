"""The Aer executor in this process, without a runtime: against a plain reference, gate by gate and method by method."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("qiskit_aer", reason="qiskit-aer is not installed")

from qfw.program import Builder, PauliSum, Program, gate, gates
from qfw.program.errors import DeviceError, InvalidArgument, ResourceExhausted, Unsupported
from qfw.qpm.plugin import batch_runner, spec_of
from qfw.qpm.plugins.aer import METHODS, plugin
from qfw.qpm.plugins.aer.convert import controlled

run = batch_runner(spec_of(plugin, "aer"), lambda: plugin.executor("aer"))


def task(program: Program, **changes: Any) -> dict[str, Any]:
    raw = {
        "program": program,
        "bindings": np.zeros((1, program.num_parameters)),
        "shots": 100,
        "outputs": ("counts",),
        "qubits": (),
        "observables": (),
        "gradient_parameters": (),
        "seed": 5,
        "options": {},
    }
    return {**raw, **changes}


def one(program: Program, **changes: Any) -> dict[str, Any]:
    (result,) = run([task(program, **changes)])
    assert isinstance(result, dict), result
    return result["rows"][0]


def state_of(program: Program) -> np.ndarray:
    """By tensor contraction of the gate table's own matrices."""
    n = program.num_qubits
    state = np.zeros(1 << n, complex)
    state[0] = 1
    for item in program.instructions:
        if item.op not in ("gate", "unitary"):
            continue
        if item.op == "gate":
            matrix = gate(item.name).matrix([offset for offset, _, _ in item.angles], item.controls)
        else:
            matrix = controlled(item.matrix, item.controls)
        k = len(item.qubits)
        axes = [n - 1 - q for q in reversed(item.qubits)]
        moved = np.tensordot(matrix.reshape((2,) * (2 * k)), state.reshape((2,) * n), axes=(range(k, 2 * k), axes))
        state = np.moveaxis(moved, range(k), axes).reshape(-1)
    return state * np.exp(1j * program.global_phase)


def ghz(n: int) -> Program:
    builder = Builder(n, n)
    builder.gate("h", [0])
    for q in range(n - 1):
        builder.gate("cx", [q, q + 1])
    for q in range(n):
        builder.measure(q, q)
    return builder.finish()


@pytest.mark.parametrize("name", [g.name for g in gates()])
@pytest.mark.parametrize("controls", [0, 1, 2])
def test_every_gate_with_controls_gives_the_tables_state(name: str, controls: int) -> None:
    rng = np.random.default_rng(7)
    row = gate(name)
    n = row.qubits + controls + 1
    builder = Builder(n, 0)
    for q in range(n):
        builder.gate("U", [q], [float(x) for x in rng.normal(size=3)])
    places = [int(q) for q in rng.permutation(n)[: row.qubits + controls]]
    builder.gate(name, places, [float(x) for x in rng.normal(size=row.params)], controls=controls)
    builder.global_phase(0.3)
    program = builder.finish()
    for method in ("statevector", "matrix_product_state"):
        found = one(program, outputs=("statevector",), options={"method": method})["statevector"]
        np.testing.assert_allclose(found, state_of(program), atol=1e-9, err_msg=method)


def test_unitary_with_controls() -> None:
    rng = np.random.default_rng(3)
    matrix = np.linalg.qr(rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4)))[0]
    builder = Builder(4, 0)
    for q in range(4):
        builder.gate("ry", [q], [0.3 + q])
    builder.unitary(matrix, [2, 0, 3], controls=1)
    program = builder.finish()
    np.testing.assert_allclose(one(program, outputs=("statevector",))["statevector"], state_of(program), atol=1e-12)


@pytest.mark.parametrize("name", ["dcx", "dcxdg", "iswap", "p", "rx", "ry", "rzz"])
def test_clifford_methods_get_the_gates_they_lack(name: str) -> None:
    row = gate(name)
    builder = Builder(2, 0)
    builder.gate("h", [0])
    builder.gate("cx", [0, 1])
    builder.gate("s", [1])
    builder.gate(name, list(range(row.qubits)), [np.pi / 2] * row.params)
    program = builder.finish()
    observables = [PauliSum([(1.0, a + b, [0, 1])]) for a in "IXYZ" for b in "IXYZ"]
    wanted = {"outputs": ("expectations",), "observables": observables}
    exact = one(program, **wanted)["expectations"]
    np.testing.assert_allclose(
        one(program, **wanted, options={"method": "stabilizer"})["expectations"], exact, atol=1e-9
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_samples(method: str) -> None:
    row = one(ghz(3), shots=400, options={"method": method}, outputs=("counts", "memory"))
    assert row["count_keys"].tolist() == [[0], [7]]
    assert row["counts"].sum() == 400
    assert row["memory"].shape == (400, 1)
    assert (row["memory"] == 7).sum() == row["counts"][1]


def test_bits_are_packed_little_endian_beyond_a_word() -> None:
    builder = Builder(3, 70)
    builder.gate("x", [1])
    builder.measure(1, 69)
    builder.measure(0, 0)
    row = one(builder.finish(), outputs=("counts", "memory"), shots=3)
    assert row["count_keys"].tolist() == [[0] * 8 + [1 << 5]]
    assert row["memory"].tolist() == [[0] * 8 + [1 << 5]] * 3


def test_probabilities_of_chosen_qubits_and_expectations() -> None:
    builder = Builder(3, 1)
    builder.gate("ry", [0], [0.7])
    builder.gate("cx", [0, 2])
    builder.gate("x", [1])
    builder.measure(0, 0)
    program = builder.finish()
    observables = [PauliSum([(0.5, "Z", [0]), (2.0, "XZX", [0, 1, 2])]), PauliSum([(3.0, "", [])])]
    row = one(program, outputs=("probabilities", "expectations"), qubits=(1, 0), observables=observables, shots=0)
    p1 = np.sin(0.35) ** 2
    np.testing.assert_allclose(row["probabilities"], [0, 1 - p1, 0, p1], atol=1e-12)
    np.testing.assert_allclose(row["expectations"], [0.5 * np.cos(0.7) - 2.0 * np.sin(0.7), 3.0], atol=1e-12)


def test_rows_are_bound_by_value() -> None:
    builder = Builder(1, 0)
    theta = builder.parameter("theta")
    builder.gate("ry", [0], [(theta, 2.0, 0.1)])
    program = builder.finish()
    (result,) = run(
        [
            task(
                program,
                bindings=np.array([[0.0], [0.5]]),
                outputs=("expectations",),
                observables=[PauliSum([(1.0, "Z", [0])])],
            )
        ]
    )
    values = [row["expectations"][0] for row in result["rows"]]
    np.testing.assert_allclose(values, [np.cos(0.1), np.cos(1.1)], atol=1e-12)


def test_a_seed_gives_the_same_shots_wherever_its_task_stands_in_a_batch() -> None:
    mid = Builder(2, 2)
    mid.gate("h", [0])
    mid.measure(0, 0)
    mid.gate("h", [0])
    mid.measure(0, 1)
    for program in (ghz(2), mid.finish()):
        wanted = {"outputs": ("memory",), "shots": 200}
        alone = one(program, seed=9, **wanted)["memory"]
        batch = run([task(program, seed=s, **wanted) for s in (1, 2, 9, 9)])
        found = [r["rows"][0]["memory"] for r in batch]
        assert (found[2] == alone).all() and (found[3] == alone).all()
        assert (found[0] != found[1]).any()
        # neighbouring seeds share nothing: Aer alone would give shot i + 1 of the one as shot i of the other
        assert (found[0][1:] != found[1][:-1]).any()


def test_rows_of_one_task_have_seeds_of_their_own() -> None:
    (result,) = run([task(ghz(1), bindings=np.zeros((2, 0)), outputs=("memory",), shots=200)])
    first, second = (row["memory"] for row in result["rows"])
    assert (first != second).any()


def test_nothing_measured_leaves_all_bits_zero() -> None:
    assert one(Builder(1, 3).finish(), outputs=("counts", "memory"), shots=4)["counts"].tolist() == [4]
    empty = one(Builder(1, 0).finish(), outputs=("counts", "memory"), shots=4)
    assert empty["count_keys"].shape == (1, 0) and empty["memory"].shape == (4, 0) and empty["counts"].tolist() == [4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "'magic': not one of automatic"),
        ({"shots_per_second": "1"}, "has no option 'shots_per_second'; it has device"),
        ({"fusion_enable": "perhaps"}, "not a truth value"),
        ({"max_parallel_threads": "-1"}, "outside 0 to 4096"),
        ({"max_parallel_threads": "two"}, "not a int"),
        ({"matrix_product_state_truncation_threshold": "nan"}, "outside 0.0 to 1.0"),
    ],
)
def test_a_bad_option_is_its_tasks_error_alone(options: dict[str, str], message: str) -> None:
    bad, good = run([task(ghz(2), options=options), task(ghz(2))])
    assert isinstance(bad, InvalidArgument) and message in str(bad)
    assert isinstance(good, dict)


def test_what_a_method_cannot_do_is_said_in_aers_words() -> None:
    builder = Builder(1, 0)
    builder.gate("rz", [0], [0.1])
    row = one(builder.finish(), outputs=("statevector",), options={"method": "stabilizer"})
    assert isinstance(row["error"], DeviceError) and "Aer: " in str(row["error"])
    builder = Builder(1, 0)
    builder.gate("U", [0], [0.1, 0.2, 0.3])
    (result,) = run([task(builder.finish(), options={"method": "stabilizer"})])
    assert isinstance(result, Unsupported) and "stabilizer has no gate 'U'" in str(result)


def test_more_qubits_than_memory_is_refused_before_aer_tries() -> None:
    (result,) = run([task(Builder(50, 0).finish(), options={"method": "statevector"}, outputs=("statevector",))])
    assert isinstance(result, ResourceExhausted) and str(16 << 50) in str(result)


def test_state_of_a_program_with_measurement_in_its_middle_is_refused() -> None:
    builder = Builder(1, 1)
    builder.measure(0, 0)
    builder.gate("x", [0])
    (result,) = run([task(builder.finish(), outputs=("statevector",))])
    assert isinstance(result, Unsupported)
