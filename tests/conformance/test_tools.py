"""What every tool must keep, whatever it does to a program: the distribution of counts, expectation values, states.

A tool from elsewhere passes when `TOOLS` with it in it passes, as `rows` does, a package that pip installs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import branches
import dense
import numpy as np
import pytest

from qfw import qpi
from qfw.program import Bit, Builder, PauliSum, errors, gates
from qfw.toolchain import tools


@dataclass
class Task:
    program: Any
    bindings: Any = None
    outputs: tuple[str, ...] = ("counts",)
    observables: tuple[Any, ...] = ()
    qubits: tuple[int, ...] = ()


@dataclass
class Device:
    name: str = "ideal"
    max_qubits: int = 5
    gates: tuple[str, ...] = (*(g.name for g in gates()), "unitary", "measure", "reset")
    coupling: tuple[tuple[int, int], ...] = ()


@dataclass
class Row:
    statevector: Any = None
    distribution: Any = None
    expectations: Any = None


@dataclass
class Result:
    rows: list[Row] = field(default_factory=list)
    shots: int = 10


def run(task: Task) -> Result:
    """Runs a task exactly; refuses nothing."""
    rows = []
    for values in np.atleast_2d(task.bindings) if task.bindings is not None else [()]:
        row = Row()
        if "statevector" in task.outputs:
            row.statevector = dense.statevector(task.program, values)
            row.expectations = [dense.expectation(row.statevector, o.terms) for o in task.observables]
        else:
            row.distribution = dense.distribution(task.program, values)
        rows.append(row)
    return Result(rows)


LINE = Device(
    "line", 5, ("u", "cz", "measure", "reset"), ((0, 1), (1, 2), (2, 3), (3, 4), (1, 0), (2, 1), (3, 2), (4, 3))
)
TOOLS: list[Any] = [
    pytest.param(("fuse",), None, id="fuse"),
    pytest.param(("transpile",), None, id="transpile anywhere"),
    pytest.param(
        (("transpile", {"optimization_level": 0, "basis_gates": ["rz", "sx", "cx"]}),), None, id="transpile O0"
    ),
    pytest.param((("transpile", {"optimization_level": 1}),), LINE, id="transpile line"),
    pytest.param((("transpile", {"optimization_level": 3}),), LINE, id="transpile line O3"),
    pytest.param(("fuse", ("transpile", {"optimization_level": 1}), "fuse"), LINE, id="three"),
    pytest.param(("rows",), None, id="rows from a package"),
    pytest.param(("transpile", ("rows", {"at_once": 2}), "fuse"), LINE, id="rows between others"),
]

pytestmark = pytest.mark.usefixtures("installed_tool")


def through(specs: Any, device: Any, task: Task) -> Any:
    pipe = tools.pipeline(*specs)
    parts, state = pipe.expand(task, device)
    return pipe.reduce([run(part) for part in parts], state)


def needs_qiskit(specs: Any) -> None:
    if any("transpile" in str(spec) for spec in specs):
        pytest.importorskip("qiskit", reason="qiskit is not installed")


@pytest.mark.parametrize(("specs", "device"), TOOLS)
@pytest.mark.parametrize("seed", range(3))
def test_states_and_expectations(specs: Any, device: Any, seed: int) -> None:
    needs_qiskit(specs)
    program = dense.random_program(seed, ends="")
    rng = np.random.default_rng(seed)
    observables = (
        PauliSum([(0.5, "XY", [0, 2]), (-1.0, "Z", [3]), (0.25, "", [])]),
        PauliSum([(1.0, "ZZZ", [1, 2, 3])]),
    )
    task = Task(program, rng.uniform(-3, 3, (2, 2)), ("statevector", "expectations"), observables)
    wanted, found = run(task), through(specs, device, task)
    for a, b in zip(wanted.rows, found.rows, strict=True):
        assert np.abs(a.statevector - b.statevector).max() < 1e-9
        assert np.abs(np.array(a.expectations) - b.expectations).max() < 1e-9
    assert found.shots == 10


@pytest.mark.parametrize(("specs", "device"), TOOLS)
@pytest.mark.parametrize("ends", ["measure", "middle"])
def test_counts(specs: Any, device: Any, ends: str) -> None:
    needs_qiskit(specs)
    program = dense.random_program(11, ends=ends, length=24)
    task = Task(program, np.array([[0.3, -1.2]]))
    wanted, found = run(task), through(specs, device, task)
    assert np.abs(wanted.rows[0].distribution - found.rows[0].distribution).max() < 1e-9


@pytest.mark.parametrize(("specs", "device"), TOOLS)
def test_registers_stay_and_the_task_is_not_changed(specs: Any, device: Any) -> None:
    needs_qiskit(specs)
    program = dense.random_program(3)
    task = Task(program, np.zeros((1, 2)))
    parts, _ = tools.pipeline(*specs).expand(task, device)
    assert task.program is program
    assert [list(map(tuple, part.program.registers)) for part in parts] == [[("first", 0, 2), ("rest", 2, 2)]] * len(
        parts
    )


@pytest.mark.parametrize(("specs", "device"), TOOLS)
def test_the_same_twice(specs: Any, device: Any) -> None:
    needs_qiskit(specs)
    task = Task(dense.random_program(4), np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]))
    first, second = (tools.pipeline(*specs).expand(task, device)[0] for _ in range(2))
    if specs != ("transpile",):  # Qiskit picks anew among decompositions of equal cost where every gate is allowed
        assert [part.program.hash for part in first] == [part.program.hash for part in second]
    assert [np.array(part.bindings).tolist() for part in first] == [np.array(part.bindings).tolist() for part in second]


@pytest.mark.parametrize(("specs", "device"), TOOLS)
def test_dynamic_programs_are_kept_or_refused(specs: Any, device: Any) -> None:
    needs_qiskit(specs)
    builder = Builder(1, 1)
    again, done, more = builder.block(), builder.block(), builder.variable("bool")
    builder.jump(again)
    builder.enter(again)
    builder.gate("h", 0)
    builder.measure(0, 0)
    builder.compute("not", more, Bit(0))
    builder.branch(more, again, done)
    builder.enter(done)
    builder.end()
    task = Task(builder.finish())
    if "transpile" in str(specs):
        with pytest.raises(errors.Unsupported, match="dynamic"):
            tools.pipeline(*specs).expand(task, device)
        return
    parts, _ = tools.pipeline(*specs).expand(task, device)
    for part in parts:
        assert branches.of_program(part.program) == pytest.approx({"1": 1.0}, abs=1e-5)


@pytest.mark.parametrize(("specs", "device"), TOOLS)
def test_every_row_comes_back_in_its_place(specs: Any, device: Any) -> None:
    needs_qiskit(specs)
    values = np.random.default_rng(3).uniform(-3, 3, (5, 2))
    task = Task(dense.random_program(8, ends=""), values, ("statevector",))
    wanted, found = run(task), through(specs, device, task)
    assert len(found.rows) == 5
    for a, b in zip(wanted.rows, found.rows, strict=True):
        assert np.abs(a.statevector - b.statevector).max() < 1e-9


def test_a_package_s_tool_is_found_by_name_and_its_options_are_checked() -> None:
    assert {"rows", "fuse", "transpile"} <= set(tools.names())
    assert tools.create("rows", {"at_once": 3}).name == "rows"
    with pytest.raises(errors.InvalidArgument, match="did you mean 'at_once'"):
        tools.create("rows", {"atonce": 3})
    with pytest.raises(errors.InvalidArgument, match="at_once 0; at least 1"):
        tools.create("rows", {"at_once": 0})
    with pytest.raises(errors.NotFound, match="did you mean 'rows'"):
        tools.create("row")


@pytest.mark.parametrize("level", [0, 1])
def test_the_device_s_gates_and_coupling_are_kept_to(level: int) -> None:
    pytest.importorskip("qiskit", reason="qiskit is not installed")
    task = Task(dense.random_program(5), np.zeros((1, 2)))
    (part,), _ = tools.pipeline(("transpile", {"optimization_level": level})).expand(task, LINE)
    for item in part.program.instructions:
        if item.op == "gate":
            assert item.name in ("U", "cz", "gphase")
            assert len(item.qubits) < 2 or tuple(item.qubits) in LINE.coupling


@pytest.mark.parametrize(("specs", "device"), TOOLS)
def test_on_a_real_stream(specs: Any, device: Any) -> None:
    needs_qiskit(specs)
    program = dense.random_program(23, ends="")
    values = np.array([[0.3, -1.2], [1.0, 2.0]])
    observables = (PauliSum([(0.5, "XY", [0, 2]), (-1.0, "Z", [3])]),)
    if device is not None:
        specs = [(s, {}) if isinstance(s, str) else s for s in specs]
        line = {"coupling": list(device.coupling), "basis_gates": ["U", "cz"]}
        specs = [(name, {**options, **line}) if name == "transpile" else (name, options) for name, options in specs]
    with qpi.connect("embedded") as context:
        outputs = ("statevector", "expectations")
        task = qpi.Task(program, bindings=values, outputs=outputs, observables=observables, shots=0, context="mine")
        queue = context.completion_queue()
        mesh = context.mesh("statevec")
        with mesh.stream(completions=queue, pipeline=context.tool_pipeline(*specs)) as stream:
            stream.submit(task)
            (done,) = queue.read(1, timeout=60)
        assert done.context == "mine"
        for row, own in zip(done.result.rows, values, strict=True):
            state = dense.statevector(program, own)
            assert np.abs(row.statevector - state).max() < 1e-9
            assert abs(row.expectations[0] - dense.expectation(state, observables[0].terms)) < 1e-9
        assert done.result.timing.tools_ns > 0
        counted = dense.random_program(22)
        run_one = qpi.Task(counted, bindings=values[:1], shots=20_000, seed=5)
        found = mesh.run(run_one, timeout=60, pipeline=context.tool_pipeline(*specs)).rows[0].counts
        wanted = dense.distribution(counted, values[0])
        for key, count in found.items():
            assert abs(count / 20_000 - wanted[int(key, 2)]) < 0.03


def test_a_failure_of_qiskit_s_transpiler_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    qiskit = pytest.importorskip("qiskit")

    def broken(*_: Any, **__: Any) -> None:
        raise TypeError("no parameter is left")

    monkeypatch.setattr(qiskit, "transpile", broken)
    task = qpi.Task(dense.random_program(1), bindings=[[0.1, 0.2]])
    with pytest.raises(errors.Unsupported, match="level 3: no parameter is left; a lower level may do"):
        tools.create("transpile", {"optimization_level": 3}).expand(task, LINE)
