"""Dynamic programs on the built-in simulator: statistics, exact values, classical arithmetic, limits."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import branches
import numpy as np
import pytest
from dense import expectation

from qfw import simenv
from qfw.program import Affine, Bit, Builder, Program, Var, errors
from tests.unit.simenv.dynamic_programs import random_program

SHOTS = 20000
RARE = 1e-14  # paths less probable than this are not followed


def counts_of(program: Program, **options: Any) -> dict[int, int]:
    out = simenv.simulate(program, **{"shots": SHOTS, "counts": True, **options})
    keys = [int.from_bytes(key.tobytes(), "little") for key in out["count_keys"]]
    return dict(zip(keys, out["counts"].tolist(), strict=True))


def bits_of(program: Program, row: Any = ()) -> dict[int, float]:
    """The exact probability of each number in the bits."""
    return {int(key, 2): p for key, p in branches.of_program(program, row, RARE).items()}


def check_statistics(program: Program, **options: Any) -> None:
    """Counts within six standard deviations of the exact probabilities, and nothing that cannot be."""
    exact = bits_of(program, options.get("row", ()))
    counts = counts_of(program, **options)
    assert sum(counts.values()) == options.get("shots", SHOTS)
    for key in {*exact, *counts}:
        p = min(exact.get(key, 0.0), 1.0)
        mean = p * options.get("shots", SHOTS)
        assert abs(counts.get(key, 0) - mean) <= 6 * math.sqrt(mean * (1 - p)) + 1e-6, (key, counts.get(key, 0), mean)


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_have_the_reference_statistics(seed: int) -> None:
    check_statistics(random_program(seed), row=[0.6], seed=seed)


@pytest.mark.parametrize("seed", range(60))
def test_exact_values_are_means_over_all_outcomes(seed: int) -> None:
    program = random_program(seed)
    sums = [[(0.5, "ZZ", [0, 1]), (1.0, "X", [2]), (0.25, "", [])], [(1.0, "YX", [0, 2]), (-2.0, "Z", [1])]]
    out = simenv.simulate(program, row=[0.6], probabilities=True, probability_qubits=[2, 0], observables=sums)
    states = [(weight, end.amplitudes) for weight, end in branches.ends_of_program(program, [0.6], RARE)]
    assert math.isclose(sum(w for w, _ in states), 1.0, abs_tol=1e-9)
    for found, terms in zip(out["expectations"], sums, strict=True):
        assert math.isclose(found, sum(w * expectation(s, terms) for w, s in states), abs_tol=1e-9)
    index = np.arange(8)
    where = (index >> 2 & 1) | (index & 1) << 1
    wanted = sum(w * np.bincount(where, np.abs(s) ** 2, minlength=4) for w, s in states)
    assert np.allclose(out["probabilities"], wanted, atol=1e-9)


def repeat_until_success() -> Program:
    """Turns the qubit until it reads 0 and counts the tries in bits 1..3 (at most 7)."""
    b = Builder(1, 4)
    tries, more, few = b.variable("int"), b.variable("bool"), b.variable("bool")
    body, count, done = b.block(), b.block(), b.block()
    b.jump(body)
    b.enter(body)
    b.gate("h", 0)
    b.measure(0, 0)
    b.compute("copy", more, Bit(0))
    b.branch(more, count, done)
    b.enter(count)
    b.compute("add", tries, Var(tries), 1)
    b.jump(body)
    b.enter(done)
    for bit in range(3):
        b.compute("shr", tries, Var(tries), 1 if bit else 0)
        b.compute("to_bool", few, Var(tries))
        value = b.variable("int")
        b.compute("and", value, Var(tries), 1)
        b.compute("to_bool", few, Var(value))
        b.write_bit(1 + bit, Var(few))
    b.end()
    return b.finish()


def test_repeat_until_success() -> None:
    counts = counts_of(repeat_until_success(), seed=4)
    for tries in range(6):
        mean = SHOTS * 0.5 ** (tries + 1)
        assert abs(counts.get(tries << 1, 0) - mean) < 6 * math.sqrt(mean) + 0.02 * SHOTS * 0.5**7


def test_teleportation_gives_the_state_back() -> None:
    b = Builder(3, 3)
    flags = [b.variable("bool") for _ in range(2)]
    b.gate("u", 0, [0.7, 0.3, 1.1])
    b.gate("h", 1)
    b.gate("cx", [1, 2])
    b.gate("cx", [0, 1])
    b.gate("h", 0)
    b.measure(0, 0)
    b.measure(1, 1)
    for flag, bit, name in ((flags[1], 1, "x"), (flags[0], 0, "z")):
        then, after = b.block(), b.block()
        b.compute("copy", flag, Bit(bit))
        b.branch(flag, then, after)
        b.enter(then)
        b.gate(name, 2)
        b.jump(after)
        b.enter(after)
    b.gate("u", 2, [-0.7, -1.1, -0.3])
    b.measure(2, 2)
    b.end()
    counts = counts_of(b.finish(), seed=1)
    assert sorted(counts) == [0, 1, 2, 3]
    assert all(abs(c - SHOTS / 4) < 6 * math.sqrt(SHOTS * 3 / 16) for c in counts.values())


CASES: list[tuple[str, str, tuple[Any, ...], Any]] = [
    ("add", "int", ((1 << 63) - 1, 1), -(1 << 63)),
    ("sub", "int", (-(1 << 63), 1), (1 << 63) - 1),
    ("mul", "int", (1 << 62, 4), 0),
    ("mul", "int", (-3, 7), -21),
    ("div", "int", (-7, 2), -3),
    ("div", "int", (-(1 << 63), -1), -(1 << 63)),
    ("mod", "int", (-7, 2), -1),
    ("mod", "int", (7, -2), 1),
    ("mod", "int", (-(1 << 63), -1), 0),
    ("neg", "int", (-(1 << 63),), -(1 << 63)),
    ("not", "int", (5,), -6),
    ("and", "int", (12, 10), 8),
    ("or", "int", (12, 10), 14),
    ("xor", "int", (12, 10), 6),
    ("shl", "int", (1, 63), -(1 << 63)),
    ("shr", "int", (-8, 1), -4),
    ("select", "int", (True, 3, 4), 3),
    ("select", "float", (False, 3.0, 4.0), 4.0),
    ("to_int", "int", (-2.9,), -2),
    ("to_int", "int", (True,), 1),
    ("to_float", "float", (3,), 3.0),
    ("to_bool", "bool", (0.25,), True),
    ("to_bool", "bool", (0,), False),
    ("copy", "bool", (True,), True),
    ("not", "bool", (True,), False),
    ("and", "bool", (True, False), False),
    ("or", "bool", (True, False), True),
    ("xor", "bool", (True, True), False),
    ("add", "float", (0.5, 0.25), 0.75),
    ("sub", "float", (0.5, 0.25), 0.25),
    ("mul", "float", (0.5, 0.5), 0.25),
    ("div", "float", (1.0, 4.0), 0.25),
    ("mod", "float", (-7.5, 2.0), -1.5),
    ("neg", "float", (0.5,), -0.5),
    ("eq", "bool", (2, 2), True),
    ("ne", "bool", (2.0, 2.0), False),
    ("eq", "bool", (True, False), False),
    ("lt", "bool", (-1, 1), True),
    ("le", "bool", (1, 1), True),
    ("gt", "bool", (-1, 1), False),
    ("ge", "bool", (1.5, 2.5), False),
]


@pytest.mark.parametrize(("op", "kind", "operands", "wanted"), CASES)
@pytest.mark.parametrize("literal", [True, False])
def test_computations(op: str, kind: str, operands: tuple[Any, ...], wanted: Any, literal: bool) -> None:
    b = Builder(1, 1)
    dest, good = b.variable(kind), b.variable("bool")
    kinds = {bool: "bool", int: "int", float: "float"}
    given = operands if literal else tuple(Var(b.variable(kinds[type(v)], v)) for v in operands)
    b.compute(op, dest, *given)
    b.compute("eq", good, Var(dest), wanted)
    b.write_bit(0, Var(good))
    assert counts_of(b.finish(), shots=5) == {1: 5}


def div(b: Builder, v: int) -> None:
    b.compute("div", v, 1, Var(v))


def shift(b: Builder, v: int) -> None:
    b.compute("shl", v, 1, 64)


def too_large(b: Builder, v: int) -> None:
    b.compute("to_int", v, 1e300)


def infinite_angle(b: Builder, v: int) -> None:
    x = b.variable("float", 1.0)
    b.compute("div", x, Var(x), 0.0)
    b.gate("rx", 0, [Affine(variable=x)])


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (div, "the integer 1 is divided by 0"),
        (shift, "a shift by 64, must be 0..63"),
        (too_large, "fits no integer"),
        (infinite_angle, "follows variable 1, which is inf"),
    ],
)
def test_what_goes_wrong_while_it_runs(fill: Callable[[Builder, int], None], says: str) -> None:
    b = Builder(1, 1)
    fill(b, b.variable("int"))
    with pytest.raises(errors.InvalidProgram, match=says):
        counts_of(b.finish())


def endless() -> Program:
    b = Builder(1, 1)
    body = b.block()
    b.jump(body)
    b.enter(body)
    b.gate("h", 0)
    b.measure(0, 0)
    b.jump(body)
    return b.finish()


def test_an_endless_loop_ends_at_the_step_limit() -> None:
    with pytest.raises(errors.LimitExceeded, match=r"more than 500 instructions \(max_steps\)"):
        counts_of(endless(), max_steps=500)
    with pytest.raises(errors.LimitExceeded, match=r"more than 1000000 instructions"):
        counts_of(endless(), shots=1)


def test_a_shot_may_take_exactly_max_steps() -> None:
    b = Builder(1, 1)
    after = b.block()
    b.gate("x", 0)
    b.jump(after)
    b.enter(after)
    b.measure(0, 0)
    b.end()
    program = b.finish()  # two instructions, two terminators
    assert counts_of(program, max_steps=4) == {1: SHOTS}
    with pytest.raises(errors.LimitExceeded, match="in block 1"):
        counts_of(program, max_steps=3)


def many_rounds(rounds: int, qubits: int = 4) -> Program:
    """Measures and resets one qubit over and over: 2^rounds outcomes, few states."""
    b = Builder(qubits, rounds)
    for q in range(1, qubits):
        b.gate("h", q)
    for k in range(rounds):
        b.gate("cx", [1 + k % (qubits - 1), 0])
        b.gate("ry", 0, [0.3])
        b.measure(0, k)
        b.reset(0)
    return b.finish()


def test_branches_meet_after_a_reset() -> None:
    """Of 2^40 outcomes; apart, every shot would be followed alone."""
    out = simenv.simulate(many_rounds(40), shots=3000, seed=3, memory=True)
    bits = np.unpackbits(out["memory"], axis=1, bitorder="little")[:, :40]
    assert np.all(np.abs(bits.mean(axis=0) - 0.5) < 6 * 0.5 / math.sqrt(3000))


def test_a_measured_qubit_is_reset_by_hand_and_branches_meet() -> None:
    b = Builder(2, 30)
    flag = b.variable("bool")
    for k in range(30):
        b.gate("h", 0)
        b.gate("cx", [0, 1])
        b.measure(0, k)
        for q in (0, 1):
            then, after = b.block(), b.block()
            b.compute("copy", flag, Bit(k))
            b.branch(flag, then, after)
            b.enter(then)
            b.gate("x", q)
            b.jump(after)
            b.enter(after)
    b.end()
    out = simenv.simulate(b.finish(), shots=2000, observables=[[(1.0, "Z", [0])], [(1.0, "Z", [1])]], memory=True)
    assert np.allclose(out["expectations"], [1.0, 1.0])  # 2^30 outcomes, were each followed by itself
    bits = np.unpackbits(out["memory"], axis=1, bitorder="little")[:, :30]
    assert np.all(np.abs(bits.mean(axis=0) - 0.5) < 6 * 0.5 / math.sqrt(2000))


def test_too_many_outcomes_for_exact_values_are_refused() -> None:
    b = Builder(2, 1)
    for k in range(40):
        b.gate("rx", 0, [0.5 + k / 100])
        b.gate("cx", [0, 1])
        b.gate("ry", 1, [0.3])
        b.measure(0, 0)
        b.gate("rz", 0, [0.1])
        b.gate("rxx", [0, 1], [0.4])
    with pytest.raises(errors.LimitExceeded, match="outcomes to be followed"):
        simenv.simulate(b.finish(), observables=[[(1.0, "Z", [0])]])


def test_measured_qubits_have_lost_their_phases() -> None:
    b = Builder(2, 1)
    b.gate("h", 0)
    b.gate("h", 1)
    b.reset(1)
    b.measure(0, 0)
    out = simenv.simulate(b.finish(), observables=[[(1.0, "X", [0]), (3.0, "Z", [1])]])
    assert np.allclose(out["expectations"], [3.0])


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_bits_on_any_number_of_threads(seed: int) -> None:
    b = Builder(17, 20)
    for q in range(17):
        b.gate("ry", q, [0.1 * q + seed])
    flag = b.variable("bool")
    for k in range(3):
        b.gate("cx", [k, 16])
        b.measure(k, k)
        then, after = b.block(), b.block()
        b.compute("copy", flag, Bit(k))
        b.branch(flag, then, after)
        b.enter(then)
        b.gate("h", 16)
        b.jump(after)
        b.enter(after)
    for q in range(17):
        b.measure(q, 3 + q)
    b.end()
    program = b.finish()
    first, *others = [
        simenv.simulate(program, shots=500, seed=seed, memory=True, threads=threads)["memory"] for threads in (1, 2, 5)
    ]
    assert all(np.array_equal(first, other) for other in others)
    other_seed = simenv.simulate(program, shots=500, seed=seed + 10, memory=True)["memory"]
    assert not np.array_equal(first, other_seed)


def test_an_angle_that_follows_a_variable_follows_it_as_it_changes() -> None:
    b = Builder(1, 3)
    x = b.variable("float", math.pi)
    for bit in range(3):
        b.gate("rx", 0, [Affine(variable=x)])
        b.compute("sub", x, Var(x), math.pi / (bit + 1))
        b.gate("id", 0)
        b.measure(0, bit)
    exact = bits_of(b.finish())
    assert math.isclose(exact[0b111] + exact[0b011], 1.0, abs_tol=1e-9)
    check_statistics(b.finish())


def test_many_threads_share_one_run_safely() -> None:
    program = random_program(5)
    wanted = counts_of(program, row=[0.6], seed=9)
    found: list[dict[int, int]] = []
    workers = [threading.Thread(target=lambda: found.append(counts_of(program, row=[0.6], seed=9))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [wanted] * 4
