"""One circuit on many ranks, from an application: asked for, chosen by itself, and refused with numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from launching import carrying, eventually

from qfw import qpi, simenv
from qfw.program import Affine, Builder, PauliSum, Program
from qfw.program.errors import DeadlineExceeded, QfwError, Unsupported
from qfw.qpm import instance_records, run_cli
from qfw.qpm import run as runs
from qfw.qpm.launch_options import LaunchOptions

QUBITS = 12


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[runs.Run]:
    """A run with four slots of this machine. At the end no process is left that it started."""
    base = Path(os.environ["XDG_RUNTIME_DIR"]) / f"t{os.urandom(3).hex()}"
    with pytest.MonkeyPatch.context() as patch:
        for name, variable in (("r", "XDG_RUNTIME_DIR"), ("s", "XDG_STATE_HOME")):
            (base / name).mkdir(mode=0o700, parents=True)
            patch.setenv(variable, str(base / name))
        patch.setenv("QFW_TEST_MARK", str(base))
        found = runs.run_of("ranks")
        run_cli.start(found, launch=LaunchOptions("local", slots=4), log_level="info")
        yield found
        for one in runs.runs():
            run_cli.clean(one, grace=10.0)
        eventually(lambda: not carrying(f"QFW_TEST_MARK={base}"), "no process is left")


@pytest.fixture
def mesh(run: runs.Run) -> Iterator[qpi.Mesh]:
    with qpi.connect(run.endpoint_file) as context:
        yield context.mesh("statevec")


def ansatz() -> Program:
    builder = Builder(QUBITS, QUBITS)
    for layer in range(3):
        for q in range(QUBITS):
            builder.gate("ry", [q], [Affine(builder.parameter())])
        for q in range(QUBITS):
            builder.gate("cx", [q, (q + 1 + layer) % QUBITS])
    for q in range(QUBITS):
        builder.measure(q, q)
    return builder.finish()


PROGRAM = ansatz()
BINDINGS = np.random.default_rng(1).uniform(-3, 3, (3, PROGRAM.num_parameters))
SUM = PauliSum([(0.5, "Z", [QUBITS - 1]), (1.5, "XX", [0, QUBITS - 1]), (-0.25, "YZX", [1, 5, 9])])


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_results_do_not_depend_on_the_ranks(run: runs.Run, mesh: qpi.Mesh, ranks: int) -> None:
    drawn = qpi.Task(PROGRAM, bindings=BINDINGS, shots=300, seed=5, ranks=ranks)
    exact = qpi.Task(PROGRAM, bindings=BINDINGS, outputs=("expectations", "gradients"), observables=[SUM], ranks=ranks)
    shots, means = mesh.run([drawn, exact])
    for index, values in enumerate(BINDINGS):
        seed = simenv.derive_seed(5, index)
        expected = simenv.simulate(
            PROGRAM, row=values, shots=300, seed=seed, counts=True, observables=[SUM], gradients=True
        )
        keys = [int.from_bytes(bytes(key), "little") for key in expected["count_keys"]]
        counts = dict(zip(keys, expected["counts"].tolist(), strict=True))
        assert {int(key, 2): count for key, count in shots.rows[index].counts.items()} == counts
        assert np.allclose(means.rows[index].expectations, expected["expectations"], rtol=0, atol=1e-12)
        assert np.allclose(means.rows[index].gradients, expected["gradients"], rtol=0, atol=1e-12)
    assert ranks in {sum(p.ranks for p in r.places) for r in instance_records.read(run.instances)}


def test_ranks_are_told_and_bounded(mesh: qpi.Mesh) -> None:
    assert mesh.devices[0].max_ranks == 4
    with pytest.raises(QfwError, match="ranks"):
        mesh.run(qpi.Task(PROGRAM, bindings=BINDINGS[:1], shots=1, ranks=8))
    with pytest.raises(Unsupported, match="3 ranks|power of two"):
        mesh.run(qpi.Task(PROGRAM, bindings=BINDINGS[:1], shots=1, ranks=3))


def test_what_fits_nowhere_is_refused_with_the_bytes(mesh: qpi.Mesh) -> None:
    with pytest.raises(QfwError, match="qubits"):
        mesh.run(qpi.Task(Builder(39).finish(), outputs=("expectations",), observables=[PauliSum([(1.0, "Z", [38])])]))


def test_a_deadline_stops_all_ranks_and_leaves_them_to_the_next_task(run: runs.Run, mesh: qpi.Mesh) -> None:
    builder = Builder(22)  # a minute of work
    for layer in range(300):
        for q in range(22):
            builder.gate("ry", [q], [0.1 + layer])
            builder.gate("cx", [q, (q + 1) % 22])
    small = qpi.Task(PROGRAM, bindings=BINDINGS[:1], shots=10, ranks=2)
    assert mesh.run(small).shots == 10
    with pytest.raises(DeadlineExceeded):
        mesh.run(qpi.Task(builder.finish(), outputs=("expectations",), observables=[SUM], ranks=2, deadline=1.0))
    assert mesh.run(small).shots == 10
