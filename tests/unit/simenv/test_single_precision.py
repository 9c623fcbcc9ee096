"""Single precision: results within 1e-5 of double precision, of the same types, and the same bits on any threads."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qfw import program, simenv
from qfw.program.errors import InvalidArgument

_spec = importlib.util.spec_from_file_location("simenv_circuits", Path(__file__).with_name("circuits.py"))
assert _spec is not None and _spec.loader is not None
circuits = importlib.util.module_from_spec(_spec)
sys.modules["simenv_circuits"] = circuits
_spec.loader.exec_module(circuits)

LEVELS = simenv.simd_levels()
CLOSE = 1e-5


def sums(qubits: int) -> list[list[tuple[float, str, list[int]]]]:
    """One with few terms of each X mask, one with many."""
    pairs = [(q, (q + 1) % qubits) for q in range(qubits)] if qubits > 1 else []
    one = [(0.3, "", []), *((0.1 * q - 0.4, "XYZ"[q % 3], [q]) for q in range(qubits))]
    return [one, [(0.5, "Z", [q]) for q in range(qubits)] + [(0.2, "ZZ", list(p)) for p in pairs if qubits > 2]]


def both(built: program.Program, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return simenv.simulate(built, **kwargs), simenv.simulate(built, precision="single", **kwargs)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), qubits=st.integers(1, 12), length=st.integers(0, 60), level=st.sampled_from(LEVELS))
def test_random_circuits(seed: int, qubits: int, length: int, level: str) -> None:
    built, row = circuits.random_circuit(seed, qubits, length).build(parametric=True)
    double, single = both(
        built, row=row, statevector=True, probabilities=True, observables=sums(qubits), gradients=True, simd=level
    )
    for name, values in double.items():
        assert single[name].dtype == values.dtype, name
        assert single[name].shape == values.shape, name
        if values.size:
            assert np.abs(single[name] - values).max() < CLOSE * (1 if name != "gradients" else 10), name


@pytest.mark.parametrize("names", [["ry", "rz", "cx"], ["h", "cp", "swap"], ["rzz", "rx", "cz", "p"], None])
def test_states_of_several_blocks(names: list[str] | None) -> None:
    built, row = circuits.random_circuit(3, 17, 120, names, max_controls=1).build(parametric=True)
    wish: dict[str, Any] = {"row": row, "observables": sums(17), "gradients": True}
    double, single = both(built, statevector=True, **wish)
    for name, values in double.items():
        assert np.abs(single[name] - values).max() < CLOSE, name
    again = simenv.simulate(built, precision="single", statevector=True, threads=3, **wish)
    for name, values in single.items():
        assert np.array_equal(again[name], values), name


@pytest.mark.parametrize("qubits", [3, 12, 17])
def test_shots(qubits: int) -> None:
    """Many shots of a state that is known: each outcome as often as its probability says."""
    circuit = circuits.random_circuit(7, qubits, 40, ["ry", "cx", "h", "p"])
    built, _ = circuit.build(measure=True)
    expected = simenv.simulate(built, probabilities=True)["probabilities"]
    found = simenv.simulate(built, shots=200_000, seed=5, counts=True, precision="single")
    index = found["count_keys"].astype(np.uint64) @ (256 ** np.arange(found["count_keys"].shape[1], dtype=np.uint64))
    assert found["counts"].sum() == 200_000
    assert expected[index].min() > 1e-9  # nothing impossible
    often = expected > 1e-3
    share = np.zeros(len(expected))
    share[index] = found["counts"] / 200_000
    assert np.abs(share - expected)[often].max() < 6 * np.sqrt(0.25 / 200_000)


def test_measurements_in_the_middle() -> None:
    builder = program.Builder(3, 3)
    builder.gate("ry", [0], [1.1])
    builder.measure(0, 0)
    builder.gate("cx", [0, 1])
    builder.reset(0)
    builder.gate("h", [2])
    builder.measure(1, 1)
    builder.measure(2, 2)
    found = simenv.simulate(builder.finish(), shots=100_000, seed=3, counts=True, precision="single")
    shares = dict(zip(found["count_keys"][:, 0].tolist(), (found["counts"] / 100_000).tolist(), strict=True))
    one = np.sin(0.55) ** 2
    assert set(shares) == {0, 3, 4, 7}
    assert shares[3] + shares[7] == pytest.approx(one, abs=0.01)
    assert shares[4] + shares[7] == pytest.approx(0.5, abs=0.01)


def test_unknown_precision() -> None:
    with pytest.raises(InvalidArgument, match="precision is 'half'; allowed: double, single"):
        simenv.simulate(program.Builder(1).finish(), statevector=True, precision="half")
