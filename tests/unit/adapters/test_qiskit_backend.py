"""`QFWBackend` and its jobs: order, failures, isolation, status, cancel, timeouts, seeds, options.

The regression cases are numbered as in the list of QFw's defects: 1 order, 2 failures, 3 timeouts, 4 isolation,
5 status and cancel, 11 shutdown, 13 seeds, 14 state vectors.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import manual
import numpy as np
import pytest

pytest.importorskip("qiskit", reason="qiskit is not installed")
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Parameter
from qiskit.providers import BackendV2, JobStatus, JobTimeoutError, JobV1

from qfw.program import errors
from qfw.qpi.adapters.qiskit import backend as backend_module
from qfw.qpi.adapters.qiskit import kinds
from qfw_qiskit import QFWBackend, QFwBackend, QFWBackendCapability, QFWBackendType


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Iterator[manual.Context]:
    made = manual.Context()
    monkeypatch.setattr(backend_module.qpi, "connect", lambda endpoint=None, timeout=10.0: made)
    monkeypatch.setattr(kinds, "_warned", set())
    yield made


def constant(value: int, bits: int = 3, name: str | None = None) -> QuantumCircuit:
    circuit = QuantumCircuit(bits, bits, name=name)
    for q in range(bits):
        if value >> q & 1:
            circuit.x(q)
    circuit.measure(range(bits), range(bits))
    return circuit


def test_it_is_what_qiskit_calls_a_backend(context: manual.Context) -> None:
    backend = QFWBackend()
    assert isinstance(backend, BackendV2)
    assert isinstance(backend.run(constant(1)), JobV1)
    assert (backend.name, backend.backend_version, backend.max_circuits) == ("QFw Backend", "1.0", 1024)
    assert backend.num_qubits == 10 and isinstance(backend.num_qubits, int)
    assert QFwBackend is QFWBackend


def test_the_target_is_made_once_and_has_no_rzz(context: manual.Context) -> None:
    backend = QFWBackend(num_qubits=4)
    assert backend.target is backend.target
    names = set(backend.target.operation_names)
    assert "rzz" not in names
    assert {"u", "cx", "ccx", "rxx", "measure", "reset", "delay"} <= names
    assert backend.target.num_qubits == 4


def test_the_target_has_control_flow_where_the_device_is_dynamic(context: manual.Context) -> None:
    flow = {"if_else", "for_loop", "while_loop", "switch_case", "break_loop", "continue_loop", "box"}
    assert not flow & set(QFWBackend().target.operation_names)
    plain = context.devices()[0]
    context.devices()[0] = manual.Device(gates=(*plain.gates, "dynamic"))
    backend = QFWBackend()
    assert flow <= set(backend.target.operation_names)
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    with circuit.for_loop(range(3)):
        circuit.h(1)
    assert {"if_else", "for_loop"} <= set(transpile(circuit, backend, optimization_level=1).count_ops())


def test_sweeps_beyond_the_device_s_rows_go_out_in_parts(context: manual.Context) -> None:
    context.devices()[0] = manual.Device(max_rows=4)
    p = Parameter("p")
    circuit = QuantumCircuit(1)
    circuit.rx(p, 0)
    circuit.measure_all()
    angles = [np.pi * (i % 2) for i in range(10)]
    job = QFWBackend().run([circuit, constant(1, 1)], parameter_binds=[{p: angles}, {}], shots=5, seed_simulator=3)
    assert context.messages == [4]
    result = job.result()
    assert result.get_counts() == [{str(i % 2): 5} for i in range(10)] + [{"1": 5}]
    assert {r.seed for r in result.results[:10]} == {3}
    assert job.metrics()[0]["total_ns"] == 3 * job.metrics()[1]["total_ns"]


def test_a_part_that_fails_fails_its_circuit(context: manual.Context) -> None:
    context.devices()[0] = manual.Device(max_rows=1)
    context.auto = False
    p = Parameter("p")
    circuit = QuantumCircuit(1, name="sweep")
    circuit.rx(p, 0)
    circuit.measure_all()
    job = QFWBackend().run([circuit, constant(1, 1)], parameter_binds=[{p: [0.0, 1.0]}, {}], shots=5)
    context.end(1, errors.DeviceError("laser off"))
    context.end(0)
    context.end(0)
    with pytest.raises(errors.DeviceError, match=r"circuit 0 \('sweep'\) of 2: laser off"):
        job.result()
    assert [e.success for e in job.result(partial=True).results] == [False, True]


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_transpiled_circuits_run(context: manual.Context, level: int) -> None:
    backend = QFWBackend()
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.rzz(-0.4, 0, 1)
    circuit.mcx([0, 1], 2)
    circuit.measure_all()
    counts = backend.run(transpile(circuit, backend, optimization_level=level), shots=200, seed=3).result().get_counts()
    assert sum(counts.values()) == 200
    assert set(counts) <= {"000", "001", "011", "101", "111"}


def test_1_results_come_in_submission_order_and_in_one_message(context: manual.Context) -> None:
    circuits = [constant(i, name=f"c{i}") for i in range(8)]
    result = QFWBackend().run(circuits, shots=10).result()
    assert result.get_counts() == [{format(i, "03b"): 10} for i in range(8)]
    assert [e.header["name"] for e in result.results] == [f"c{i}" for i in range(8)]
    assert result.get_counts("c5") == {"101": 10}
    assert result.success
    assert context.messages == [8]


def test_2_a_failed_circuit_is_an_error_in_the_device_s_words(context: manual.Context) -> None:
    context.auto = False
    job = QFWBackend().run([constant(i, name=f"c{i}") for i in range(3)], shots=5)
    context.end(1, errors.DeviceError("laser off"))
    context.end(0)
    context.end(0)
    with pytest.raises(errors.DeviceError, match=r"circuit 1 \('c1'\) of 3: laser off"):
        job.result()
    assert job.status() is JobStatus.ERROR
    part = job.result(partial=True)
    assert not part.success
    assert [e.success for e in part.results] == [True, False, True]
    assert "laser off" in part.results[1].status
    assert part.get_counts(2) == {"010": 5}


def test_3_a_timeout_is_typed_and_names_what_is_missing(context: manual.Context) -> None:
    context.auto = False
    job = QFWBackend().run([constant(i, name=f"c{i}") for i in range(3)], shots=5, timeout=0.01)
    context.end(1)
    with pytest.raises(TimeoutError, match=r"2 of 3 not done after 0.01 s: 0 \('c0'\), 2 \('c2'\)"):
        job.result()
    with pytest.raises(errors.WaitTimeout, match=r"after 0\.02 s"):
        job.result(timeout=0.02)
    assert job.result(timeout=0.01, partial=True).get_counts(1) == {"001": 5}
    context.end(0)
    context.end(0)
    assert len(job.result().results) == 3


def test_4_two_jobs_do_not_take_each_other_s_results(context: manual.Context) -> None:
    context.auto = False
    backend = QFWBackend()
    first, second = backend.run(constant(1), shots=5), backend.run(constant(2), shots=5)
    context.end(1)
    assert second.result().get_counts() == {"010": 5}
    assert first.status() is JobStatus.QUEUED
    context.end(0)
    assert first.result().get_counts() == {"001": 5}
    assert first.job_id() != second.job_id()


def test_5_status_and_cancel(context: manual.Context) -> None:
    context.auto = False
    job = QFWBackend().run([constant(1), constant(2)])
    assert job.status() is JobStatus.QUEUED
    context.end(0)
    assert job.status() is JobStatus.RUNNING
    assert job.running()
    assert job.cancel()
    assert job.status() is JobStatus.CANCELLED
    assert job.cancelled()
    assert not job.cancel()
    with pytest.raises(errors.Cancelled, match="circuit 1"):
        job.result()


def test_waiting_for_the_final_state_calls_back(context: manual.Context) -> None:
    context.auto = False
    job = QFWBackend().run(constant(1))
    seen: list[Any] = []
    with pytest.raises(JobTimeoutError, match=job.job_id()) as raised:
        job.wait_for_final_state(timeout=0.02, wait=0.001, callback=lambda *a: seen.append(a))
    assert isinstance(raised.value, errors.WaitTimeout)
    assert seen[0] == (job.job_id(), JobStatus.QUEUED, job)

    def end(*_: Any) -> None:
        context.end(0)

    job.wait_for_final_state(wait=0.001, callback=end)
    assert job.status() is JobStatus.DONE
    job.wait_for_final_state(callback=end)


def test_a_backend_is_a_context_manager(context: manual.Context) -> None:
    with QFWBackend() as backend:
        assert backend.run(constant(1), shots=3).result().get_counts() == {"001": 3}
    assert context.closed


def test_11_shutdown_is_local(context: manual.Context, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = QFWBackend()
    backend.shutdown()
    backend.shutdown()
    assert context.closed
    with pytest.raises(errors.Closed):
        backend.run(constant(1))


@pytest.mark.parametrize("name", ["seed", "seed_simulator"])
def test_13_the_seed_is_used(context: manual.Context, name: str) -> None:
    circuit = QuantumCircuit(3)
    circuit.h(range(3))
    circuit.measure_all()
    backend = QFWBackend()
    runs = [backend.run([circuit, circuit], shots=100, memory=True, **{name: s}).result() for s in (5, 5, 6)]
    assert runs[0].get_memory(0) == runs[1].get_memory(0)
    assert runs[0].get_memory(1) == runs[1].get_memory(1)
    assert runs[0].get_memory(0) != runs[2].get_memory(0)
    assert runs[0].get_memory(0) != runs[0].get_memory(1)
    assert runs[0].results[0].seed == 5


def test_14_state_vectors_only_on_request(context: manual.Context) -> None:
    backend = QFWBackend(capability=QFWBackendCapability.QFW_CAP_STATEVECTOR)
    circuit = QuantumCircuit(1)
    circuit.h(0)
    assert backend.returns_statevector()
    assert "statevector" not in backend.run(constant(0)).result().data(0)
    state = backend.run(circuit, return_statevector=True).result().get_statevector()
    assert abs(state[1] - 2**-0.5) < 1e-12


def test_registers_memory_and_headers(context: manual.Context) -> None:
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "a"), ClassicalRegister(1, "b"))
    circuit.x(2)
    circuit.x(0)
    circuit.measure([0, 1, 2], [0, 1, 2])
    result = QFWBackend().run(circuit, shots=4, memory=True).result()
    assert result.get_counts() == {"1 01": 4}
    assert result.get_memory() == ["1 01"] * 4
    assert result.data(0)["counts"] == {"0x5": 4}
    assert result.results[0].header["creg_sizes"] == [["a", 2], ["b", 1]]
    assert not hasattr(QFWBackend().run(circuit).result().results[0].data, "memory")


def test_registers_that_share_bits_and_bits_in_none(context: manual.Context) -> None:
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(2, "a"))
    circuit.add_register(ClassicalRegister(bits=[circuit.clbits[1]], name="b"))
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    assert QFWBackend().run(circuit, shots=4).result().get_counts() == {"10": 4}


def test_parameter_binds(context: manual.Context) -> None:
    p = Parameter("p")
    circuit = QuantumCircuit(1, 1)
    circuit.rx(p, 0)
    circuit.measure(0, 0)
    backend = QFWBackend()
    result = backend.run([circuit], parameter_binds=[{p: [0.0, 3.141592653589793]}], shots=5).result()
    assert result.get_counts() == [{"0": 5}, {"1": 5}]
    with pytest.raises(errors.InvalidArgument, match=r"circuit 0 .*without a value: p"):
        backend.run(circuit)
    with pytest.raises(errors.InvalidArgument, match="for 2 circuits"):
        backend.run([circuit], parameter_binds=[{p: [0.0]}, {}])


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"shot": 5}, errors.InvalidArgument, "'shots'"),
        ({"shots": 0}, errors.InvalidArgument, "shots 0; at least 1"),
        ({"shots": -3}, errors.InvalidArgument, "shots -3"),
        ({"shots": 1.5}, errors.InvalidArgument, "shots 1.5; an integer"),
        ({"shots": "many"}, errors.InvalidArgument, "'many'"),
        ({"timeout": -1}, errors.InvalidArgument, "timeout -1"),
        ({"seed_simulator": -1}, errors.InvalidArgument, "seed -1"),
        ({"noise_model": object()}, errors.Unsupported, "'statevec' takes no noise model; Qiskit Aer does"),
        ({"thread": 2}, errors.InvalidArgument, "did you mean 'threads'"),
    ],
)
def test_bad_options(context: manual.Context, arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        QFWBackend().run(constant(1), **arguments)


def test_what_the_primitives_send_is_tolerated(context: manual.Context) -> None:
    result = QFWBackend().run([constant(1)], shots=1000.0, memory=True, seed_simulator=None).result()
    assert result.get_counts() == {"001": 1000}


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ([], errors.InvalidArgument, "no circuit"),
        ([constant(1)] * 1025, errors.LimitExceeded, "1025 circuits; at most 1024"),
        ([3], errors.InvalidArgument, "circuit 0 is a int"),
        ([QuantumCircuit(1, name="dumb")], errors.InvalidArgument, r"circuit 0 \('dumb'\): no classical bits"),
    ],
)
def test_bad_circuits(context: manual.Context, given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        QFWBackend().run(given)


def test_a_circuit_that_cannot_be_run_is_named(context: manual.Context) -> None:
    bad = QuantumCircuit(1, name="bad")
    bad.rx(float("nan"), 0)
    with pytest.raises(errors.InvalidArgument, match=r"circuit 1 \('bad'\)"):
        QFWBackend().run([constant(1), bad])
    assert context.messages == []


def test_options_have_defaults_per_backend(context: manual.Context) -> None:
    backend = QFWBackend(shots=7)
    assert sum(backend.run(constant(1)).result().get_counts().values()) == 7
    backend.set_options(shots=9)
    assert sum(backend.run(constant(1)).result().get_counts().values()) == 9
    with pytest.raises(errors.InvalidArgument, match="shotz"):
        backend.set_options(shotz=9)


def test_the_device_s_options_and_qfw_s_properties(context: manual.Context) -> None:
    context.auto = False
    backend = QFWBackend(properties={"backend": "MPI", "compiler": "staq", "timeout_s": 3, "threads": 2})
    backend.run(constant(1))
    assert context.pending[0][0].options == {"threads": "2"}
    assert backend.options.timeout == 3
    assert backend.properties()["compiler"] == "staq"
    with pytest.raises(errors.InvalidArgument, match="'noise_model'"):
        QFWBackend(properties={"noise_modle": 1})
    with pytest.raises(errors.Unsupported, match="takes no noise model"):
        QFWBackend(properties={"noise_model": "{}"})


def test_types_capabilities_and_their_numbers() -> None:
    assert [int(t) for t in QFWBackendType] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert [int(c) for c in QFWBackendCapability] == [1, 2, 4, 8]
    assert int(QFWBackendType.QFW_TYPE_SIMULATOR | QFWBackendType.QFW_TYPE_NWQSIM) == 18


def test_nwqsim_stands_on_the_built_in_simulator_with_one_warning(context: manual.Context) -> None:
    arguments = {
        "betype": QFWBackendType.QFW_TYPE_NWQSIM,
        "capability": QFWBackendCapability.QFW_CAP_STATEVECTOR,
    }
    with pytest.warns(UserWarning, match="'nwqsim' is not installed.*'statevec'") as seen:
        backend = QFWBackend(**arguments)
    assert [w.filename for w in seen] == [__file__]
    assert backend.device.name == "statevec"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        QFWBackend(**arguments)
        QFWBackend(provider="nwqsim")


@pytest.mark.parametrize(("status", "stands_in"), [("online", False), ("busy", False), ("offline", True)])
def test_an_installed_nwqsim_is_used(context: manual.Context, status: str, stands_in: bool) -> None:
    reason = "NWQ-Sim is not installed here" if stands_in else ""
    context.devices().append(manual.Device("nwqsim", "nwqsim", status, status_reason=reason))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        backend = QFWBackend(betype=QFWBackendType.QFW_TYPE_NWQSIM)
        assert QFWBackend(provider="nwqsim").device is backend.device
    assert backend.device.name == ("statevec" if stands_in else "nwqsim")
    assert len(seen) == stands_in


def test_strict_provider_says_how_to_install(context: manual.Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QFW_STRICT_PROVIDER", "1")
    with pytest.raises(errors.NotFound, match=r"'nwqsim'.*available: statevec.*NWQ-Sim"):
        QFWBackend(betype=QFWBackendType.QFW_TYPE_NWQSIM)
    assert context.closed


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"betype": QFWBackendType.QFW_TYPE_TNQVM}, errors.NotFound, "'tnqvm' here; available: statevec"),
        ({"betype": QFWBackendType.QFW_TYPE_IQM}, errors.NotFound, "iqm"),
        ({"betype": QFWBackendType.QFW_TYPE_HARDWARE}, errors.NotFound, "hardware"),
        ({"capability": QFWBackendCapability.QFW_CAP_TENSORNETWORK}, errors.NotFound, "tnqvm"),
        ({"provider": "ionq"}, errors.NotFound, "ionq"),
        ({"provider": "nwqsym"}, errors.InvalidArgument, "did you mean 'nwqsim'.*known providers: aer, .*statevec"),
        ({"provider": "zzz"}, errors.InvalidArgument, "'zzz' is unknown; known providers: aer, .*, test, tnqvm$"),
        ({"device": "nothing"}, errors.NotFound, "'nothing' here; available: statevec"),
        ({"betype": 1 << 20}, errors.InvalidArgument, "betype 1048576"),
        ({"num_qubits": 0}, errors.InvalidArgument, "num_qubits 0"),
        ({"shotz": 1}, errors.InvalidArgument, "shotz"),
    ],
)
def test_devices_that_are_not_there(
    context: manual.Context, arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        QFWBackend(**arguments)
    assert context.closed or not context.asked


def test_devices_by_provider(context: manual.Context) -> None:
    context.devices().append(manual.Device("aer"))
    assert QFWBackend(provider="qiskitaer").device.name == "aer"
    assert QFWBackend(betype=QFWBackendType.QFW_TYPE_QISKITAER).device.name == "aer"
    assert QFWBackend(betype=QFWBackendType.QFW_TYPE_SIMULATOR).device.name == "statevec"
    assert QFWBackend(provider="statevec").device.name == "statevec"
    assert QFWBackend(device="aer", provider="iqm").device.name == "aer"
    context.devices().append(manual.Device("mine", provider="Own"))
    assert QFWBackend(provider="own").device.name == "mine"
    assert QFWBackend(provider="Mine").device.name == "mine"


def test_metrics_and_statistics(context: manual.Context, caplog: pytest.LogCaptureFixture) -> None:
    backend = QFWBackend()
    job = backend.run([constant(1, name="one"), constant(2)], shots=10)
    job.result()
    assert [m["name"] for m in job.metrics()][:1] == ["one"]
    assert job.metrics()[0]["total_ns"] == 7
    assert backend.dump_statistics()["circuits"] == 2
    assert backend.dump_statistics()["shots"] == 20
    with caplog.at_level("INFO", logger="qfw.qiskit"):
        backend.log_statistics()
    assert "'circuits': 2" in caplog.text


def test_a_copy_is_the_same_session(context: manual.Context) -> None:
    backend = QFWBackend()
    assert copy.deepcopy({"mode": backend})["mode"] is backend


def test_names_of_old(context: manual.Context) -> None:
    backend = QFWBackend()
    assert (backend.my_name(), backend.my_version()) == ("QFw Backend", "1.0")
    assert backend.configuration().n_qubits == 10
    assert backend.configuration().max_experiments == 1024
    assert backend.properties() == {}
    assert backend.status().operational
    assert backend.status().status_msg == "online"
