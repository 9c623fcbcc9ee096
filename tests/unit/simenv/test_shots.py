"""Counts, memory, measurement in the middle, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from qfw import program, simenv
from qfw.program import errors


def counts_of(out: dict[str, NDArray[np.generic]]) -> dict[int, int]:
    keys = [int.from_bytes(bytes(k), "little") for k in out["count_keys"]]
    return dict(zip(keys, (int(c) for c in out["counts"]), strict=True))


def ghz(n: int) -> program.Builder:
    builder = program.Builder(n, n)
    builder.gate("h", [0])
    for q in range(1, n):
        builder.gate("cx", [q - 1, q])
    for q in range(n):
        builder.measure(q, q)
    return builder


@pytest.mark.parametrize("n", [2, 7, 12, 18])
def test_ghz_counts_and_memory_agree(n: int) -> None:
    out = simenv.simulate(ghz(n).finish(), shots=5000, seed=11, counts=True, memory=True)
    counts = counts_of(out)
    assert sorted(counts) == [0, 2**n - 1]
    assert abs(counts[0] - 2500) < 6 * math.sqrt(1250)
    words = [int.from_bytes(bytes(row), "little") for row in out["memory"]]
    assert {k: words.count(k) for k in counts} == counts
    assert words[:200] != sorted(words[:200])  # in random order


def test_only_what_is_measured_is_reported() -> None:
    builder = program.Builder(3, 70)
    builder.gate("x", [0])
    builder.gate("x", [2])
    builder.measure(0, 69)
    builder.measure(1, 3)
    builder.measure(1, 5)
    builder.measure(2, 5)  # the last one wins
    counts = counts_of(simenv.simulate(builder.finish(), shots=10, counts=True))
    assert counts == {1 << 69 | 1 << 5: 10}


def test_measurement_in_the_middle_follows_branches() -> None:
    builder = program.Builder(2, 3)
    builder.gate("h", [0])
    builder.measure(0, 0)
    builder.gate("cx", [0, 1])
    builder.reset(0)
    builder.gate("h", [0])
    builder.measure(0, 1)
    builder.measure(1, 2)
    out = simenv.simulate(builder.finish(), shots=40000, seed=5, counts=True, memory=True)
    counts = counts_of(out)
    assert sorted(counts) == [0b000, 0b010, 0b101, 0b111]
    assert all(abs(c - 10000) < 600 for c in counts.values())
    assert len(out["memory"]) == 40000


def test_reset_before_nothing_but_a_measurement() -> None:
    builder = program.Builder(2, 4)
    builder.gate("h", [0])
    builder.gate("cx", [0, 1])
    builder.measure(0, 0)
    builder.reset(0)
    builder.measure(0, 1)
    builder.reset(1)  # not measured before
    builder.measure(1, 2)
    builder.measure(1, 3)
    builder.reset(1)  # nobody looks
    counts = counts_of(simenv.simulate(builder.finish(), shots=1000, seed=3, counts=True))
    assert sorted(counts) == [0b0000, 0b0001]
    assert abs(counts[0] - 500) < 100


@pytest.mark.parametrize("threads", [1, 3])
def test_branches_of_a_state_of_several_blocks(threads: int) -> None:
    n = 17
    builder = program.Builder(n, n + 1)
    builder.gate("h", [n - 1])
    for q in range(n - 1, 0, -1):
        builder.gate("cx", [q, q - 1])
    builder.measure(n - 1, n)  # all the others follow
    builder.reset(n - 1)
    builder.gate("cx", [0, n - 1])
    builder.gate("ccx", [n - 1, 3, 7])
    for q in range(n):
        builder.measure(q, q)
    counts = counts_of(simenv.simulate(builder.finish(), shots=4000, seed=2, counts=True, threads=threads))
    ones = 2 ** (n + 1) - 1 - 2**7
    assert sorted(counts) == [0, ones]
    assert abs(counts[0] - 2000) < 6 * math.sqrt(1000)


def test_measured_bit_written_again_and_mid_bit_overwritten() -> None:
    builder = program.Builder(1, 1)
    builder.gate("x", [0])
    builder.measure(0, 0)
    builder.gate("x", [0])
    builder.measure(0, 0)
    assert counts_of(simenv.simulate(builder.finish(), shots=7, counts=True)) == {0: 7}


def test_there_is_no_state_vector_after_measurement_in_the_middle() -> None:
    builder = program.Builder(1, 1)
    builder.gate("h", [0])
    builder.measure(0, 0)
    builder.gate("h", [0])
    with pytest.raises(errors.Unsupported, match="middle"):
        simenv.simulate(builder.finish(), statevector=True)


def test_a_reset_before_the_last_measurement_resets() -> None:
    builder = program.Builder(1, 1)
    builder.gate("x", [0])
    builder.reset(0)
    builder.measure(0, 0)
    assert counts_of(simenv.simulate(builder.finish(), shots=9, counts=True)) == {0: 9}


def test_too_large_is_refused_with_bytes() -> None:
    with pytest.raises(errors.ResourceExhausted, match=r"need \d+ bytes; \d+ bytes are available"):
        simenv.simulate(program.Builder(39).finish(), statevector=True)
    with pytest.raises(errors.LimitExceeded, match=r"41.*40"):
        simenv.simulate(program.Builder(41).finish(), statevector=True)


def test_an_empty_program() -> None:
    builder = program.Builder(1)
    builder.global_phase(0.5)
    out = simenv.simulate(builder.finish(), statevector=True, probabilities=True, observables=[[(2.5, "", [])]])
    assert np.allclose(out["statevector"], [np.exp(0.5j), 0])
    assert np.allclose(out["probabilities"], [1.0, 0.0])
    assert np.allclose(out["expectations"], [2.5])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_row_that_is_not_finite_is_refused(value: float) -> None:
    builder = program.Builder(1)
    builder.gate("rx", [0], [program.Affine(builder.parameter())])
    with pytest.raises(errors.InvalidArgument, match="must be finite"):
        simenv.simulate(builder.finish(), row=[value], statevector=True)


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(errors.InvalidArgument, match=r"1 values; the program has 0"):
        simenv.simulate(ghz(2).finish(), row=[1.0], statevector=True)


def test_counts_without_shots_are_refused() -> None:
    with pytest.raises(errors.InvalidArgument, match="at least 1 shot"):
        simenv.simulate(ghz(2).finish(), counts=True)
