"""Dynamic circuits through Qiskit's front door: transpiled for the backend's Target, and distributed as Aer's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("qiskit_aer", reason="qiskit-aer is not installed")
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit.classical import expr, types
from qiskit.primitives import BackendSamplerV2
from qiskit_aer import AerSimulator

from qfw_qiskit import QFWBackend, QFWSamplerV2

SHOTS = 8_000


@pytest.fixture(scope="module", params=["statevec", "aer"])
def backend(request: pytest.FixtureRequest) -> Iterator[QFWBackend]:
    with QFWBackend(device=request.param, endpoint="embedded") as made:
        if "dynamic" not in made.device.gates:
            pytest.skip(f"{request.param} runs no dynamic programs")
        yield made


def registers() -> QuantumCircuit:
    return QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(2, "mid"), ClassicalRegister(1, "out"))


def teleport() -> QuantumCircuit:
    c = registers()
    c.ry(0.9, 0)
    c.h(1)
    c.cx(1, 2)
    c.cx(0, 1)
    c.h(0)
    c.measure([0, 1], [0, 1])
    with c.if_test((c.clbits[1], 1)):
        c.x(2)
    with c.if_test((c.clbits[0], 1)):
        c.z(2)
    c.ry(-0.4, 2)
    c.measure(2, 2)
    return c


def loops() -> QuantumCircuit:
    c = registers()
    with c.for_loop(range(3)) as i:
        c.ry(0.3 * i, 0)
        c.cx(0, 1)
    c.measure(0, 0)
    with c.while_loop((c.clbits[0], 1)):
        c.h(1)
        c.measure(1, 1)
        with c.if_test((c.clbits[1], 1)):
            c.break_loop()
        c.ry(1.0, 0)
        c.measure(0, 0)
    c.measure(1, 2)
    return c


def switch() -> QuantumCircuit:
    c = registers()
    c.ry(1.1, 0)
    c.h(1)
    c.measure([0, 1], [0, 1])
    with c.switch(c.cregs[0]) as case:
        with case(0):
            c.x(2)
        with case(1, 2):
            c.h(2)
        with case(case.DEFAULT):
            c.ry(0.7, 2)
    c.measure(2, 2)
    return c


def expressions() -> QuantumCircuit:
    c = registers()
    c.ry(1.1, 0)
    c.ry(0.8, 1)
    c.measure([0, 1], [0, 1])
    odd = expr.bit_xor(c.clbits[0], c.clbits[1])
    with c.if_test(odd) as otherwise:
        c.x(2)
    with otherwise:
        c.h(2)
    with c.if_test(expr.equal(c.cregs[0], expr.lift(3, types.Uint(2)))):
        c.reset(2)
    c.measure(2, 2)
    return c


def transpiled(circuit: QuantumCircuit, backend: QFWBackend, level: int) -> QuantumCircuit:
    try:
        return transpile(circuit, backend, optimization_level=level)
    except AttributeError as e:
        if "'BreakLoopOp' object has no attribute 'blocks'" not in str(e):
            raise
        pytest.skip(f"this Qiskit cannot optimise a loop that is left, for whatever backend: {e}")


@pytest.mark.parametrize("make", [teleport, loops, switch, expressions])
@pytest.mark.parametrize("level", [0, 2])
def test_counts_are_distributed_as_aer_s(backend: QFWBackend, make: Callable[[], QuantumCircuit], level: int) -> None:
    circuit = make()
    wanted = AerSimulator(seed_simulator=3).run(circuit, shots=SHOTS).result().get_counts()
    result = backend.run(transpiled(circuit, backend, level), shots=SHOTS, seed_simulator=4).result(60)
    found = result.get_counts()
    assert sum(found.values()) == SHOTS
    assert sum(abs(found.get(k, 0) - wanted.get(k, 0)) for k in found | wanted) / (2 * SHOTS) < 0.04
    assert result.results[0].header["creg_sizes"] == [["mid", 2], ["out", 1]]
    again = backend.run(circuit, shots=100, memory=True, seed_simulator=5).result(60)
    assert again.get_memory() == backend.run(circuit, shots=100, memory=True, seed_simulator=5).result(60).get_memory()


def test_both_samplers_keep_the_registers(backend: QFWBackend) -> None:
    pubs = [teleport(), switch()]
    ours = QFWSamplerV2(backend, seed=1).run(pubs, shots=SHOTS).result(60)
    theirs = BackendSamplerV2(backend=backend, options={"seed_simulator": 2}).run(pubs, shots=SHOTS).result()
    for one, other in zip(ours, theirs, strict=True):
        assert set(one.data) == set(other.data) == {"mid", "out"}
        for name in one.data:
            a, b = one.data[name].get_counts(), other.data[name].get_counts()
            assert sum(abs(a.get(k, 0) - b.get(k, 0)) for k in a | b) / (2 * SHOTS) < 0.04
