"""Dynamic programs on every device that lists them: against exact distributions, and against Aer's own front end."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator

import branches
import drawn
import pytest

pytest.importorskip("qiskit", reason="qiskit is not installed")
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit.classical import expr

from qfw import qpi
from qfw.program import Affine, Bit, Builder, Program, Var, errors
from qfw.toolchain.formats import load
from qfw_qiskit import QFWBackend, QFWSamplerV2

SHOTS = 20_000
HAVE_AER = importlib.util.find_spec("qiskit_aer") is not None
AER = pytest.mark.skipif(not HAVE_AER, reason="qiskit-aer is not installed (pip install 'qfw[aer]')")
DEVICES = ["statevec", pytest.param("aer", marks=AER)]


@pytest.fixture(scope="module")
def context() -> Iterator[qpi.Context]:
    with qpi.connect("embedded") as made:
        yield made


def counts(context: qpi.Context, device: str, program: Program, seed: int = 7, **what: object) -> dict[str, int]:
    task = qpi.Task(program, shots=SHOTS, seed=seed, **what)
    found = context.mesh(device).run(task, timeout=60).rows[0].counts
    assert sum(found.values()) == SHOTS
    return found


def differences(found: dict[str, int], wanted: dict[str, float], other: int = 0) -> dict[str, tuple[int, float]]:
    """Counts and probabilities that are more than six standard deviations apart; `other`: the probabilities are those
    of as many shots."""
    out = {}
    for key in {*found, *wanted}:
        count, p = found.get(key, 0), wanted.get(key, 0.0)
        variance = max(p * (1 - p), 1 / SHOTS) * (1 / SHOTS + (1 / other if other else 0))
        if abs(count / SHOTS - p) >= 6 * math.sqrt(variance) + 1e-4:
            out[key] = (count, p)
    return out


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(10))
def test_random_circuits(context: qpi.Context, device: str, seed: int) -> None:
    program = load(drawn.dynamic_circuit(seed, arithmetic=False)).program
    assert not differences(counts(context, device, program), branches.of_program(program))


@pytest.mark.parametrize("seed", range(10))
def test_random_circuits_that_compute(context: qpi.Context, seed: int) -> None:
    program = load(drawn.dynamic_circuit(seed, arithmetic=True)).program
    assert not differences(counts(context, "statevec", program), branches.of_program(program))


@AER
@pytest.mark.parametrize("seed", range(4))
def test_as_aer_itself(context: qpi.Context, seed: int) -> None:
    from qiskit_aer import AerSimulator

    circuit = drawn.dynamic_circuit(100 + seed, arithmetic=False)
    theirs = AerSimulator().run(circuit, shots=SHOTS, seed_simulator=11).result().get_counts()
    wanted = {key.replace(" ", ""): count / SHOTS for key, count in theirs.items()}
    assert not differences(counts(context, "statevec", load(circuit).program), wanted, other=SHOTS)


def counter(limit: int) -> Program:
    """Counts to a limit of at most 15 in a loop, and writes the number to four bits."""
    circuit = QuantumCircuit(1, 4)
    number = circuit.add_var("number", drawn.uint(4, 0))
    with circuit.while_loop(expr.less(number, limit)):
        circuit.store(number, expr.add(number, 1))
        circuit.x(0)
    circuit.store(circuit.cregs[0], number)
    return load(circuit).program


def test_a_counter_is_certain(context: qpi.Context) -> None:
    assert counts(context, "statevec", counter(11)) == {"1011": SHOTS}
    if HAVE_AER:
        with pytest.raises(errors.Unsupported, match="'add', which Aer has not"):
            counts(context, "aer", counter(11))


@pytest.mark.parametrize("device", DEVICES)
def test_a_switch_is_certain(context: qpi.Context, device: str) -> None:
    circuit = QuantumCircuit(3, 5)
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    low = ClassicalRegister(bits=circuit.clbits[:2], name="low")
    circuit.add_register(low)
    for _ in range(2):
        with circuit.switch(low) as case:
            with case(0, 1):
                circuit.x(0)
            with case(2):
                circuit.x(2)
                circuit.measure(2, 0)
            with case(case.DEFAULT):
                circuit.reset(2)
                circuit.measure(1, 3)
    circuit.measure(2, 4)
    assert counts(context, device, load(circuit).program) == {"01011": SHOTS}


def irreducible() -> Program:
    """A loop that is entered at either of its two blocks."""
    builder = Builder(1, 3)
    first, stop = builder.variable("bool"), builder.variable("bool")
    one, two, done = (builder.block() for _ in range(3))
    builder.gate("h", 0)
    builder.measure(0, 0)
    builder.compute("copy", first, Bit(0))
    builder.branch(first, two, one)
    builder.enter(one)
    builder.write_bit(1, True)
    builder.branch(stop, done, two)
    builder.enter(two)
    builder.write_bit(2, True)
    builder.compute("copy", stop, True)
    builder.branch(first, done, one)
    builder.enter(done)
    builder.end()
    return builder.finish()


@pytest.mark.parametrize("device", DEVICES)
def test_any_graph_of_blocks(context: qpi.Context, device: str) -> None:
    program = irreducible()
    wanted = branches.of_program(program)
    assert set(wanted) == {"110", "101"}
    assert not differences(counts(context, device, program), wanted)


def test_an_angle_that_is_a_variable(context: qpi.Context) -> None:
    builder = Builder(1, 1)
    angle, count, more = builder.variable("float", 0.1), builder.variable("int"), builder.variable("bool")
    body, done = builder.block(), builder.block()
    builder.jump(body)
    builder.enter(body)
    builder.gate("ry", 0, [Affine(variable=angle, scale=2.0)])
    builder.compute("add", angle, Var(angle), 0.1)
    builder.compute("add", count, Var(count), 1)
    builder.compute("lt", more, Var(count), 4)
    builder.branch(more, body, done)
    builder.enter(done)
    builder.measure(0, 0)
    builder.end()
    program = builder.finish()
    one = math.sin(0.1 + 0.2 + 0.3 + 0.4) ** 2
    assert not differences(counts(context, "statevec", program), {"0": 1 - one, "1": one})


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_seed_gives_the_same_counts(context: qpi.Context, device: str) -> None:
    program = load(drawn.dynamic_circuit(4, arithmetic=False)).program
    first = counts(context, device, program, seed=3)
    assert counts(context, device, program, seed=3) == first != counts(context, device, program, seed=4)


@pytest.mark.parametrize("device", DEVICES)
def test_through_qiskit(device: str) -> None:
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1, "phase"), ClassicalRegister(1, "flip"))
    circuit.add_register(ClassicalRegister(1, "out"))
    circuit.u(0.7, 0.3, -0.2, 0)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test((circuit.cregs[1], 1)):
        circuit.x(2)
    with circuit.if_test((circuit.cregs[0], 1)):
        circuit.z(2)
    circuit.u(-0.7, 0.2, -0.3, 2)
    circuit.measure(2, 2)
    backend = QFWBackend(device=device, endpoint="embedded")
    ready = transpile(circuit, backend, optimization_level=1)
    assert {"if_else"} <= set(ready.count_ops())
    found = backend.run(ready, shots=SHOTS, seed_simulator=5).result(timeout=60).get_counts()
    assert set(found) == {"0 0 0", "0 0 1", "0 1 0", "0 1 1"}
    data = QFWSamplerV2(backend, seed=5).run([ready], shots=1000).result(timeout=60)[0].data
    assert data.out.get_counts() == {"0": 1000} and set(data.flip.get_counts()) == {"0", "1"}
    backend.shutdown()
