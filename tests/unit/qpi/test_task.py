"""What a task refuses at once, with the value and what is allowed."""

from typing import Any

import numpy as np
import pytest

from qfw import qpi
from qfw.qpi.errors import InvalidArgument, LimitExceeded, ParseError

QASM3 = """
OPENQASM 3.0;
include "stdgates.inc";
bit[2] c;
qubit[2] q;
h q[0];
cx q[0], q[1];
c = measure q;
"""


def refused(program: Any, **given: Any) -> str:
    with pytest.raises(InvalidArgument) as caught:
        qpi.Task(program, **given)
    return str(caught.value)


def test_defaults(bell: qpi.Program) -> None:
    task = qpi.Task(bell)
    assert (task.shots, task.outputs, task.bindings, task.seed, task.context) == (1024, ("counts",), None, None, None)
    assert task.convert_ns == 0
    assert "shots=1024" in repr(task)


def test_exact_outputs_take_no_shots_unless_asked(bell: qpi.Program) -> None:
    assert qpi.Task(bell, outputs="statevector").shots == 0
    assert qpi.Task(bell, outputs=("statevector", "memory")).shots == 1024


def test_shots(bell: qpi.Program) -> None:
    assert "-3" in refused(bell, shots=-3)
    assert "at least 1" in refused(bell, shots=0)
    assert "1.5" in refused(bell, shots=1.5)
    assert "'many'" in refused(bell, shots="many")
    assert qpi.Task(bell, shots=np.int64(5)).shots == 5


def test_unknown_outputs_are_listed(bell: qpi.Program) -> None:
    assert refused(bell, outputs=("counts", "energy")) == (
        "unknown output 'energy'; allowed: counts, memory, probabilities, statevector, expectations, gradients"
    )


def test_bindings_of_the_wrong_shape(bell: qpi.Program, rotation: qpi.Program) -> None:
    assert "0 columns; the program has 1 parameters: theta" in refused(rotation)
    assert "2 columns; the program has 1" in refused(rotation, bindings=[[1.0, 2.0]])
    assert "1 columns; the program has 0" in refused(bell, bindings=[[1.0]])
    assert "(1, 1, 1)" in refused(rotation, bindings=[[[1.0]]])
    assert "(0, 1)" in refused(rotation, bindings=np.zeros((0, 1)))
    assert "not an array of numbers" in refused(rotation, bindings=[["a"]])
    with pytest.raises(LimitExceeded, match="16777217 rows; at most 16777216"):
        qpi.Task(rotation, bindings=np.broadcast_to(0.0, ((1 << 24) + 1, 1)))


def test_one_dimension_is_one_row(rotation: qpi.Program) -> None:
    assert qpi.Task(rotation, bindings=[0.5]).bindings.tolist() == [[0.5]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_angles_that_are_not_finite(rotation: qpi.Program, value: float) -> None:
    assert f"bindings[1][0] is {value}" in refused(rotation, bindings=[[0.0], [value]])


def test_text_is_converted_and_timed() -> None:
    task = qpi.Task(QASM3)
    assert task.program.num_qubits == 2
    assert task.convert_ns > 0


def test_text_that_does_not_parse_says_where() -> None:
    with pytest.raises(ParseError) as caught:
        qpi.Task("OPENQASM 3.0;\nqubit q;\nnonsense q;\n")
    assert caught.value.line == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": -1}, "seed is -1; allowed: 0 to 2**64 - 1"),
        ({"seed": 1 << 64}, "allowed: 0 to 2**64 - 1"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"deadline": 0.0}, "deadline is 0.0"),
        ({"deadline": float("nan")}, "deadline is nan"),
        ({"priority": 1 << 40}, "priority is 1099511627776"),
        ({"ranks": -1}, "ranks is -1"),
        ({"ranks": 1 << 32}, "ranks is 4294967296"),
        ({"qubits": (2,), "outputs": ("probabilities",)}, "qubits[0] is 2; the program has 2 qubits"),
        ({"qubits": (1, 1), "outputs": ("probabilities",)}, "qubit 1 is named twice"),
        ({"outputs": ("expectations",)}, "no observables given"),
        ({"observables": (qpi.PauliSum([(1.0, "Z", [0])]),)}, "neither expectations nor gradients are"),
        ({"observables": ("ZZ",), "outputs": ("expectations",)}, "observable 'ZZ'"),
        ({"observables": (qpi.PauliSum([(1.0, "Z", [5])]),), "outputs": ("expectations",)}, "5"),
    ],
)
def test_what_submission_refuses(mesh: qpi.Mesh, bell: qpi.Program, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        mesh.run(qpi.Task(bell, **change))
    assert said in str(caught.value)


def test_changes_made_by_tools_are_checked_too(mesh: qpi.Mesh, bell: qpi.Program) -> None:
    task = qpi.Task(bell)
    task.shots = -1
    with pytest.raises(InvalidArgument, match="shots is -1"):
        mesh.run(task)
    task.shots, task.outputs = 10, ("energy",)
    with pytest.raises(InvalidArgument, match="unknown output 'energy'"):
        mesh.run(task)


def test_a_program_that_measures_nothing_has_no_counts(mesh: qpi.Mesh) -> None:
    builder = qpi.Builder(1)
    builder.gate("h", [0])
    with pytest.raises(InvalidArgument, match="0 classical bits"):
        mesh.run(qpi.Task(builder.finish()))


def test_something_else_where_a_task_is_expected(mesh: qpi.Mesh, bell: qpi.Program) -> None:
    stream = mesh.stream()
    for call in (mesh.run, stream.submit, stream.submit_many):
        with pytest.raises(InvalidArgument, match=r"a qfw\.qpi\.Task is expected, not Program"):
            call(bell)  # type: ignore[operator]
    for many in (mesh.run, stream.submit_many):
        with pytest.raises(InvalidArgument, match="empty batch"):
            many([])  # type: ignore[operator]
        with pytest.raises(InvalidArgument, match="not str"):
            many([qpi.Task(bell), "x"])  # type: ignore[operator]
    stream.close()
