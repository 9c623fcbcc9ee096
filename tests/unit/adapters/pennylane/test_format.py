"""PennyLane tapes become Programs that mean the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pennylane as qml
import pytest

from qfw.program import gates
from qfw.program.errors import InvalidArgument, Unsupported
from qfw.toolchain.formats import load
from qfw.toolchain.formats.pennylane import TapeConverter, accepts, rows, tables

from .conftest import state_of

WIRES: list[list[Any]] = [[0, 1, 2, 3], ["a", "b", 7, (1, 2)]]


def _reference(operations: list[Any], wires: list[Any]) -> Any:
    device = qml.device("default.qubit", wires=wires)
    tape = qml.tape.QuantumScript(operations, [qml.state()])
    return np.asarray(qml.execute([tape], device, diff_method=None)[0]).reshape((2,) * len(wires))


@pytest.mark.parametrize("seed", range(40))
def test_random_tapes_over_the_gate_table(seed: int, random_operations: Callable[..., list[Any]]) -> None:
    wires = WIRES[seed % 2]
    operations = random_operations(seed, wires, 20)
    assert all(accepts(op) for op in operations)
    converter = TapeConverter(wires)
    key, values = converter.structure(operations)
    state = state_of(converter.build(key), rows(values))
    np.testing.assert_allclose(state, _reference(operations, wires), atol=1e-10)


def test_every_named_row_is_a_pennylane_class_or_derived_from_one() -> None:
    names = {cls.__name__ for cls in tables().native} | {"Identity"}
    for gate in gates():
        name = gate.pennylane
        inner = name.removeprefix("Adjoint(").removesuffix(")")
        assert not name or inner in names, name


def test_tapes_of_one_structure_share_a_program() -> None:
    converter = TapeConverter([0, 1])
    keys = []
    for x in (0.1, 0.2):
        key, values = converter.structure([qml.RX(x, 0), qml.CRY(2 * x, [0, 1]), qml.GlobalPhase(x)])
        assert values == [x, 2 * x, x]
        keys.append(key)
    assert keys[0] == keys[1]
    assert converter.build(keys[0]) == converter.build(keys[1])
    other, _ = converter.structure([qml.RX(0.1, 1), qml.CRY(0.2, [0, 1]), qml.GlobalPhase(0.1)])
    assert other != keys[0]


def test_matrices_are_part_of_the_structure() -> None:
    converter = TapeConverter([0])
    first, _ = converter.structure([qml.QubitUnitary(np.diag([1, 1j]), 0)])
    second, _ = converter.structure([qml.QubitUnitary(np.diag([1, -1j]), 0)])
    assert first != second


def test_a_tape_is_loaded_by_itself() -> None:
    tape = qml.tape.QuantumScript([qml.RY(0.3, 1), qml.QFT([0, 1, 2])], [qml.probs(wires=[0, 2])])
    loaded = load(tape)
    assert loaded.bindings is not None
    program = loaded.program
    assert (program.num_qubits, program.num_bits) == (3, 2)
    assert [(i.qubits, i.bits) for i in program.instructions if i.op == "measure"] == [((0,), (0,)), ((2,), (1,))]
    state = state_of(program, loaded.bindings[0])
    np.testing.assert_allclose(state, _reference(tape.operations, [0, 1, 2]), atol=1e-10)


def test_numbers_of_other_libraries_are_read() -> None:
    from pennylane import numpy as pnp

    assert rows([1, pnp.array(0.5), np.float32(0.25)]).tolist() == [1.0, 0.5, 0.25]


def test_a_batch_of_numbers_is_rows() -> None:
    assert rows([np.array([0.1, 0.2]), 0.5]).tolist() == [[0.1, 0.5], [0.2, 0.5]]
    assert rows([np.array([0.1, 0.2]), np.array([3, 4])]).tolist() == [[0.1, 3.0], [0.2, 4.0]]


def test_a_matrix_of_numbers_is_refused_with_its_shape() -> None:
    with pytest.raises(InvalidArgument, match=r"\(2, 2\)"):
        rows([np.eye(2)])


def test_an_unknown_wire_is_named() -> None:
    converter = TapeConverter(["a"])
    key, _ = converter.structure([qml.X("b")])
    with pytest.raises(InvalidArgument, match="'b'"):
        converter.build(key)


def test_what_has_to_be_decomposed_is_named() -> None:
    with pytest.raises(Unsupported, match="QFT on 3 wires"):
        TapeConverter(None, 3).structure([qml.QFT([0, 1, 2])])
