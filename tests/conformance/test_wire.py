"""The wire as a client of others sees it, which has the stubs and the page: over the unix socket and over TLS."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import os
import struct
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
import wire_client as w
from wire_client import Client, Ended, wire

from qfw.program import Affine, Builder
from qfw.qpm import run as runs
from qfw.qpm.api.v1 import errors_pb2, job_pb2, task_pb2

X, H, RX, CX = 2, 5, 13, 30
BELL = w.program(2, 2, [w.gate(H, 0), w.gate(CX, 0, 1), *w.measure_all(2)])
TURN = w.program(1, 1, [w.turn(RX, 0), *w.measure_all(1)])
KEY = {p: hashlib.sha256(p).digest() for p in (BELL, TURN)}
SERVICE = "/qfw.qpm.api.v1.Runtime/Session"


@pytest.fixture(scope="module", params=["unix", "tls"])
def channel(request: pytest.FixtureRequest, live_run: runs.Run) -> Iterator[grpc.Channel]:
    endpoint = live_run.endpoint()
    assert endpoint is not None
    options = [("grpc.max_receive_message_length", 80 << 20), ("grpc.max_send_message_length", -1)]
    if request.param == "unix":
        made = grpc.insecure_channel(endpoint["runtime"], options)
    else:
        tls = endpoint["tls"]
        pem = [(live_run.path / tls[name]).read_bytes() for name in ("ca", "key", "certificate")]
        options.append(("grpc.ssl_target_name_override", tls["server_name"]))
        made = grpc.secure_channel(endpoint["runtime_tls"], grpc.ssl_channel_credentials(*pem), options)
    with made as channel:
        yield channel


@pytest.fixture
def client(channel: grpc.Channel) -> Iterator[Client]:
    client = Client(channel)
    yield client
    client.close()


@pytest.fixture
def stream(client: Client) -> Client:
    """A client with stream 1 on the built-in simulator."""
    assert not client.open(1, "statevec").HasField("failure")
    return client


def task(number: int, program: bytes = BELL, **fields: Any) -> task_pb2.Task:
    given = {"stream": 1, "program": KEY.get(program, program), "outputs": w.COUNTS, "shots": 100, **fields}
    columns = int(program == TURN)
    given.setdefault("bindings", task_pb2.Bindings(rows=1, columns=columns, values=struct.pack("<d", 0.5) * columns))
    return task_pb2.Task(id=number, **given)


def endless(number: int) -> task_pb2.Task:
    """Runs for minutes unless it is stopped."""
    rows = 400_000
    return task(number, TURN, shots=10_000, bindings=task_pb2.Bindings(rows=rows, columns=1, values=bytes(8 * rows)))


def code_of(failure: Any) -> str:
    return str(errors_pb2.ErrorCode.Name(failure.code))


# ---- the page's programs -------------------------------------------------------------------------------------------


def test_programs_written_from_the_page_are_those_of_the_builder() -> None:
    builder = Builder(2, 2)
    builder.gate("h", [0])
    builder.gate("cx", [0, 1])
    builder.measure(0, 0)
    builder.measure(1, 1)
    assert builder.finish().bytes == BELL
    turn = Builder(1, 1)
    turn.gate("rx", [0], [Affine(turn.parameter(""), 1.0)])
    turn.measure(0, 0)
    assert turn.finish().bytes == TURN


# ---- a session -----------------------------------------------------------------------------------------------------


def test_welcome_says_what_a_client_needs(client: Client) -> None:
    welcome = client.welcome
    assert welcome.protocol == 1
    assert welcome.window > 0
    assert welcome.clock_ns > 0
    limits = welcome.limits
    assert 0 < limits.inline_bytes < limits.chunk_bytes < limits.message_bytes <= limits.task_bytes
    names = [d.name for d in welcome.devices]
    assert "statevec" in names
    client.send(query_devices=wire.QueryDevices())
    assert [d.name for d in client.expect("devices").devices] == names


def test_a_task_with_its_program(stream: Client) -> None:
    stream.submit(task(7, shots=1000, seed=5), programs=[BELL])
    result = stream.results(1)[7]
    assert not result.HasField("failure"), result.failure
    assert (result.shots, result.num_bits, result.seed, result.device) == (1000, 2, 5, "statevec")
    found = w.counts(result.rows[0], 2)
    assert found.keys() == {"00", "11"}
    assert sum(found.values()) == 1000
    stream.submit(task(7, shots=1000, seed=5))  # by its hash alone; an id is free again when its task has completed
    assert w.counts(stream.results(1)[7].rows[0], 2) == found


@pytest.mark.parametrize(
    "device",
    [
        "statevec",
        "sample",
        pytest.param(
            "aer",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("qiskit_aer") is None, reason="qiskit-aer is not installed"
            ),
        ),
    ],
)
def test_parts_of_a_task_give_the_bits_of_the_whole(client: Client, device: str) -> None:
    client.open(1, device)

    def part(number: int, first: int, rows: int) -> task_pb2.Task:
        bindings = task_pb2.Bindings(rows=rows, columns=1, values=struct.pack(f"<{rows}d", *[0.7] * rows))
        return task(number, TURN, shots=1000, seed=5, bindings=bindings, first_row=first)

    client.submit(part(1, 0, 7), programs=[TURN])
    client.submit(part(2, 0, 3), part(3, 3, 4))
    results = client.results(3)
    whole, first, second = ([w.counts(row, 1) for row in results[i].rows] for i in (1, 2, 3))
    assert first + second == whole
    assert len({str(row) for row in whole}) > 1, "the rows have seeds of their own"


def test_more_ranks_than_the_device_has_are_refused(stream: Client) -> None:
    (device,) = (d for d in stream.welcome.devices if d.name == "statevec")
    assert (device.instances, device.max_ranks) == (1, 1)
    assert device.threads > 0
    stream.submit(task(1, ranks=1), task(2, ranks=2), programs=[BELL])
    results = stream.results(2)
    assert not results[1].HasField("failure")
    assert code_of(results[2].failure) == "UNSUPPORTED"
    assert "ranks 2" in results[2].failure.message
    assert "statevec" in results[2].failure.message


@pytest.mark.parametrize("piece", [1, 16, 1 << 20])
def test_a_program_in_pieces(stream: Client, piece: int) -> None:
    stream.put(BELL, piece)
    stream.submit(task(1))
    assert sum(w.counts(stream.results(1)[1].rows[0], 2).values()) == 100


def test_bindings_in_pieces_and_rows_in_blocks(stream: Client) -> None:
    rows = 60_000
    angles = [i / rows for i in range(rows)]
    values = struct.pack(f"<{rows}d", *angles)
    size = stream.welcome.limits.chunk_bytes & ~7
    assert len(values) > stream.welcome.limits.inline_bytes
    for at in range(0, len(values), min(size, 100_000)):
        data = values[at : at + min(size, 100_000)]
        chunk = wire.ArrayChunk(task=3, array=wire.ArrayChunk.BINDINGS, total=len(values), offset=at, data=data)
        stream.send(chunk=chunk)
    z = task_pb2.PauliSum(coefficients=[1.0], sizes=[1], qubits=[0], paulis=b"\x03")
    bare = w.program(1, 0, [w.turn(RX, 0)])
    wanted = {"outputs": w.EXPECTATIONS, "observables": [z], "shots": 0}
    empty = task_pb2.Bindings(rows=rows, columns=1)
    stream.submit(task(3, hashlib.sha256(bare).digest(), bindings=empty, **wanted), programs=[bare])
    result = stream.results(1)[3]
    assert not result.HasField("failure"), result.failure
    assert len(result.rows) == rows
    found = [w.doubles(row.expectations)[0] for row in result.rows]
    assert max(abs(a - math.cos(b)) for a, b in zip(found, angles, strict=True)) < 1e-12


def test_a_large_array_comes_in_pieces(stream: Client) -> None:
    width = 16
    hadamards = w.program(width, 0, [w.gate(H, q) for q in range(width)])
    stream.submit(task(2, hashlib.sha256(hadamards).digest(), outputs=w.STATEVECTOR, shots=0), programs=[hadamards])
    state = w.doubles(stream.results(1)[2].rows[0].statevector)
    assert len(state) == 2 * 2**width
    assert max(abs(a - 2 ** (-width / 2)) for a in state[::2]) < 1e-12
    assert set(state[1::2]) == {0.0}


def test_memory_and_probabilities(stream: Client) -> None:
    flip = w.program(3, 3, [w.gate(X, 1), *w.measure_all(3)])
    wanted = task(
        4, hashlib.sha256(flip).digest(), outputs=w.MEMORY | w.PROBABILITIES, shots=5, probability_qubits=[1, 0]
    )
    stream.submit(wanted, programs=[flip])
    row = stream.results(1)[4].rows[0]
    assert row.memory == bytes([0b010] * 5)
    assert w.doubles(row.probabilities) == [0.0, 1.0, 0.0, 0.0]  # the first qubit named is the lowest bit


def test_a_sequential_stream_completes_in_order(client: Client) -> None:
    client.open(1, "statevec", sequential=True)
    client.submit(*(task(n, shots=1 + 9999 * (n % 2)) for n in range(40, 0, -1)), programs=[BELL])
    client.results(40)
    assert client.order == list(range(40, 0, -1))


# ---- cancel and close ----------------------------------------------------------------------------------------------


def test_cancel(stream: Client) -> None:
    stream.submit(endless(1), programs=[TURN])
    stream.send(cancel=wire.Cancel(tasks=[1, 99]))  # 99: nothing to cancel, and nothing wrong with that
    assert code_of(stream.results(1)[1].failure) == "CANCELLED"


def test_closing_a_stream_cancels_its_tasks(stream: Client) -> None:
    stream.submit(endless(1), programs=[TURN])
    stream.send(close_stream=wire.CloseStream(stream=1))
    assert code_of(stream.results(1)[1].failure) == "CANCELLED"
    stream.submit(task(2), programs=[BELL])
    assert code_of(stream.results(1)[2].failure) == "NOT_FOUND"


def test_a_deadline(stream: Client) -> None:
    late = endless(1)
    late.deadline_ns = 10_000_000
    stream.submit(late, programs=[TURN])
    assert code_of(stream.results(1)[1].failure) == "DEADLINE_EXCEEDED"


def test_bye_ends_the_session(stream: Client) -> None:
    stream.bye()
    with pytest.raises(Ended) as ended:
        stream.receive()
    assert ended.value.failure is None
    assert stream.call.code() == grpc.StatusCode.OK


# ---- jobs ----------------------------------------------------------------------------------------------------------


def name_stream(client: Client, job: str, metadata: bytes = b"") -> Any:
    spec = job_pb2.JobSpec(id=job, metadata=metadata)
    client.send(open_stream=wire.OpenStream(stream=1, devices=[client.device("statevec")], job=spec))
    return client.expect("opened")


def test_a_job_outlives_its_session_and_is_attached_to(channel: grpc.Channel) -> None:
    job = f"wire-{os.urandom(6).hex()}"
    first = Client(channel)
    assert not name_stream(first, job, b"\0mine").HasField("failure")
    first.submit(*(task(i, seed=i) for i in (3, 5, 4)), programs=[BELL])
    first.bye()  # what was sent before it is read
    with pytest.raises(Ended):
        first.results(3)
        first.receive()
    first.close()
    second = Client(channel)
    second.send(attach_job=wire.AttachJob(stream=9, job=job))
    opened = second.expect("opened")
    assert (opened.stream, opened.job.id, opened.job.metadata) == (9, job, b"\0mine")
    assert list(opened.job.task_ids) == [3, 5, 4]
    results = second.results(3)
    assert {i: r.seed for i, r in results.items()} == {3: 3, 4: 4, 5: 5}
    second.send(query_jobs=wire.QueryJobs(jobs=[job, "unknown"]))
    (found,) = second.expect("jobs").jobs
    assert (found.state, found.tasks, found.completed, found.failed) == (job_pb2.JOB_DONE, 3, 3, 0)
    second.send(query_jobs=wire.QueryJobs())
    assert [j.metadata for j in second.expect("jobs").jobs if j.id == job] == [b""]
    second.send(forget_job=wire.ForgetJob(job=job))
    second.send(attach_job=wire.AttachJob(stream=10, job=job))
    assert code_of(second.expect("opened").failure) == "NOT_FOUND"
    second.close()


def test_names_of_jobs_that_are_refused(client: Client, channel: grpc.Channel) -> None:
    assert code_of(name_stream(client, "a b").failure) == "INVALID_ARGUMENT"
    job = f"wire-{os.urandom(6).hex()}"
    assert not name_stream(client, job).HasField("failure")
    other = Client(channel)
    assert code_of(name_stream(other, job).failure) == "INVALID_ARGUMENT"
    assert code_of(name_stream(other, job + "x", bytes(5 << 20)).failure) == "LIMIT_EXCEEDED"
    assert not name_stream(other, job + "x").HasField("failure")
    other.close()


# ---- what is wrong with a task is its completion -------------------------------------------------------------------

Change = Callable[[task_pb2.Task], Any]


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda t: setattr(t, "program", b""), "INVALID_ARGUMENT", "names no program"),
        (lambda t: setattr(t, "program", bytes(32)), "NOT_FOUND", "not put in this session"),
        (lambda t: setattr(t, "stream", 5), "NOT_FOUND", "5"),
        (lambda t: setattr(t, "outputs", 0), "INVALID_ARGUMENT", "output"),
        (lambda t: setattr(t, "outputs", 1 << 20), "INVALID_ARGUMENT", "output"),
        (lambda t: setattr(t, "shots", 1 << 60), "LIMIT_EXCEEDED", "1152921504606846976"),
        (lambda t: t.options.update(colour="red"), "INVALID_ARGUMENT", "colour"),
        (lambda t: setattr(t.bindings, "values", b"1234"), "INVALID_ARGUMENT", "multiple of 8"),
        (lambda t: setattr(t.bindings, "columns", 3), "INVALID_ARGUMENT", "3"),
        (
            lambda t: t.observables.add(coefficients=[1.0], sizes=[2], qubits=[0], paulis=b"\x03"),
            "INVALID_ARGUMENT",
            "",
        ),
        (
            lambda t: t.observables.add(coefficients=[1.0], sizes=[1], qubits=[0], paulis=b"\x07"),
            "INVALID_ARGUMENT",
            "",
        ),
    ],
)
def test_a_wrong_task_fails_alone(stream: Client, change: Change, code: str, said: str) -> None:
    wrong = task(2)
    change(wrong)
    stream.submit(task(1), wrong, task(3), programs=[BELL])
    found = stream.results(3)
    assert (code_of(found[2].failure), said in found[2].failure.message) == (code, True), found[2].failure
    assert not [n for n in (1, 3) if found[n].HasField("failure")]


@pytest.mark.parametrize(
    ("program", "code"),
    [
        (b"", "INVALID_PROGRAM"),
        (b"QFWP", "INVALID_PROGRAM"),
        (BELL[:-8], "INVALID_PROGRAM"),
        (bytes(200), "INVALID_PROGRAM"),
    ],
)
def test_a_program_that_is_none_fails_its_tasks(stream: Client, program: bytes, code: str) -> None:
    stream.submit(task(1, hashlib.sha256(program).digest()), programs=[program])
    assert code_of(stream.results(1)[1].failure) == "INVALID_PROGRAM"


def test_a_program_under_the_hash_of_another(stream: Client) -> None:
    put = wire.PutProgram(sha256=KEY[BELL], total=len(TURN), data=TURN)
    stream.send(submit=wire.Submit(tasks=[task(1)], programs=[put]))
    assert stream.results(1)[1].HasField("failure")


def test_an_id_that_is_in_use(stream: Client) -> None:
    stream.submit(endless(1), programs=[TURN])
    stream.submit(task(1), programs=[BELL])
    failure = stream.results(1)[1].failure
    assert (code_of(failure), "1" in failure.message) == ("INVALID_ARGUMENT", True)


def test_beyond_the_window_nothing_is_taken(stream: Client) -> None:
    count = stream.welcome.window + 1
    stream.submit(*(task(n) for n in range(count)), programs=[BELL])
    failures = [r.failure for r in stream.results(count).values()]
    assert {(code_of(f), f.transient) for f in failures} == {("RESOURCE_EXHAUSTED", True)}
    stream.submit(task(1))
    assert not stream.results(1)[1].HasField("failure")


def test_streams_on_what_is_not_there(client: Client) -> None:
    client.send(open_stream=wire.OpenStream(stream=1, devices=[4000]))
    assert code_of(client.expect("opened").failure) == "NOT_FOUND"
    client.send(open_stream=wire.OpenStream(stream=1))
    assert client.expect("opened").HasField("failure")
    assert not client.open(1, "statevec").HasField("failure")
    assert client.open(1, "statevec").HasField("failure"), "a number in use"


# ---- what breaks the contract ends the session ---------------------------------------------------------------------


def put(program: bytes = BELL, **changes: Any) -> dict[str, Any]:
    given = {"sha256": KEY[BELL], "total": len(program), "offset": 0, "data": program, **changes}
    return {"put_program": wire.PutProgram(**given)}


def chunk(**changes: Any) -> dict[str, Any]:
    return {"chunk": wire.ArrayChunk(**{"task": 1, "total": 16, "data": bytes(8), **changes})}


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"hello": wire.Hello(protocol=1)}], "PROTOCOL"),
        ([{}], "PROTOCOL"),
        ([put(sha256=b"short")], "PROTOCOL"),
        ([put(offset=8)], "PROTOCOL"),
        ([put(data=BELL[:8]), put(offset=16, data=BELL[16:])], "PROTOCOL"),
        ([put(data=BELL[:8]), put(offset=8, data=BELL[8:], sha256=bytes(32))], "PROTOCOL"),
        ([put(data=b"")], "PROTOCOL"),
        ([put(offset=2**64 - 1)], "PROTOCOL"),
        ([put(total=1 << 40)], "LIMIT_EXCEEDED"),
        ([chunk(array=wire.ArrayChunk.STATEVECTOR)], "PROTOCOL"),
        ([chunk(offset=8)], "PROTOCOL"),
        ([chunk(), chunk(offset=0)], "PROTOCOL"),
        ([chunk(total=1 << 40)], "LIMIT_EXCEEDED"),
        ([{"submit": wire.Submit(tasks=[task(1, b"short")])}], "PROTOCOL"),
    ],
)
def test_a_breach_of_the_contract_ends_the_session(client: Client, messages: list[dict[str, Any]], code: str) -> None:
    for message in messages:
        client.send(**message)
    with pytest.raises(Ended) as ended:
        client.receive()
    assert (code_of(ended.value.failure), bool(ended.value.failure.message)) == (code, True), ended.value.failure
    with pytest.raises(Ended):
        client.receive()


@pytest.mark.parametrize(
    "first",
    [
        {"hello": wire.Hello(protocol=2)},
        {"hello": wire.Hello()},
        {"hello": wire.Hello(protocol=1, weight=math.nan)},
        {"hello": wire.Hello(protocol=1, weight=-1)},
        {"query_devices": wire.QueryDevices()},
        {"submit": wire.Submit()},
        {"cancel": wire.Cancel(tasks=[1])},
        put(),
        chunk(),
    ],
)
def test_hello_comes_first(channel: grpc.Channel, first: dict[str, Any]) -> None:
    client = Client(channel, greet=False)
    client.send(**first)
    with pytest.raises(Ended) as ended:
        client.receive()
    assert code_of(ended.value.failure) == "PROTOCOL"
    client.close()


# ---- bytes ---------------------------------------------------------------------------------------------------------


def raw(channel: grpc.Channel, *messages: bytes) -> Any:
    """Sends bytes as they are."""
    call = channel.stream_stream(SERVICE, response_deserializer=wire.ServerMessage.FromString)
    return call(iter(messages), timeout=w.PATIENCE)


HELLO = wire.ClientMessage(hello=wire.Hello(protocol=1)).SerializeToString()
LATER = b"\xfa\x07\x03\x01\x02\x03"  # field 127, of a later version: three bytes


def test_fields_of_a_later_version_are_skipped(channel: grpc.Channel) -> None:
    hello = wire.Hello(protocol=1).SerializeToString() + LATER
    answers = raw(channel, b"\x0a" + bytes([len(hello)]) + hello + LATER)
    assert next(answers).WhichOneof("kind") == "welcome"


def test_a_message_of_a_later_version_ends_the_session(channel: grpc.Channel) -> None:
    answers = raw(channel, HELLO, LATER)
    assert next(answers).WhichOneof("kind") == "welcome"
    assert code_of(next(answers).failure) == "PROTOCOL"


@pytest.mark.parametrize("garbage", [b"\xff" * 40, b"\x0a\x7f\x01", b"\x32\x04\x0a\x02\xff\xff"])
def test_bytes_that_are_no_message(channel: grpc.Channel, garbage: bytes) -> None:
    answers = raw(channel, HELLO, garbage)
    assert next(answers).WhichOneof("kind") == "welcome"
    found = list(answers)
    assert not [m for m in found if m.WhichOneof("kind") != "failure"]
    again = Client(channel)  # and the daemon is as before
    assert again.welcome.window
    again.close()


def test_a_message_beyond_the_limit(client: Client, channel: grpc.Channel) -> None:
    size = client.welcome.limits.message_bytes
    client.send(chunk=wire.ArrayChunk(task=1, total=size + 8, data=bytes(size + 8)))
    with pytest.raises(grpc.RpcError) as refused:
        while True:
            client.receive()
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    again = Client(channel)
    assert again.welcome.window
    again.close()
