"""A client written from docs/protocol.md and docs/program-format.md: of grpcio and the generated messages alone."""

from __future__ import annotations

import hashlib
import queue
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import grpc

from qfw.qpm.api.v1 import runtime_pb2 as wire
from qfw.qpm.api.v1 import runtime_pb2_grpc, task_pb2

PATIENCE = 60.0
COUNTS, MEMORY, PROBABILITIES, STATEVECTOR, EXPECTATIONS = 1, 2, 4, 8, 16


class Ended(Exception):
    """The server ended the session: with a Failure, or (None) without."""

    def __init__(self, failure: Any = None) -> None:
        super().__init__(str(failure))
        self.failure = failure


class Client:
    """One session."""

    def __init__(self, channel: grpc.Channel, greet: bool = True) -> None:
        self._outgoing: queue.SimpleQueue[wire.ClientMessage | None] = queue.SimpleQueue()
        self.call = runtime_pb2_grpc.RuntimeStub(channel).Session(iter(self._outgoing.get, None), timeout=PATIENCE)
        self.welcome: Any = None
        self._arrays: dict[tuple[int, int, int], bytearray] = {}
        self._rows: dict[int, list[Any]] = {}
        self.order: list[int] = []  # of completions
        if greet:
            self.send(hello=wire.Hello(protocol=1, software="a client of the tests"))
            self.welcome = self.expect("welcome")

    def send(self, **kind: Any) -> None:
        self._outgoing.put(wire.ClientMessage(**kind))

    def receive(self) -> wire.ServerMessage:
        try:
            message = next(self.call)
        except StopIteration:
            raise Ended from None
        if message.WhichOneof("kind") == "failure":
            raise Ended(message.failure)
        return message

    def expect(self, kind: str) -> Any:
        message = self.receive()
        assert message.WhichOneof("kind") == kind, message
        return getattr(message, kind)

    def device(self, name: str) -> int:
        return next(d.id for d in self.welcome.devices if d.name == name)

    def open(self, stream: int, *devices: str, sequential: bool = False) -> Any:
        ids = [self.device(d) for d in devices]
        self.send(open_stream=wire.OpenStream(stream=stream, devices=ids, sequential=sequential))
        opened = self.expect("opened")
        assert opened.stream == stream
        return opened

    def put(self, program: bytes, piece: int) -> bytes:
        """Puts a program in pieces and returns its hash."""
        key = hashlib.sha256(program).digest()
        for at in range(0, len(program), piece):
            data = program[at : at + piece]
            self.send(put_program=wire.PutProgram(sha256=key, total=len(program), offset=at, data=data))
        return key

    def submit(self, *tasks: task_pb2.Task, programs: Iterable[bytes] = ()) -> None:
        puts = [wire.PutProgram(sha256=hashlib.sha256(p).digest(), total=len(p), data=p) for p in programs]
        self.send(submit=wire.Submit(tasks=tasks, programs=puts))

    def results(self, count: int) -> dict[int, Any]:
        """The results of the next `count` tasks to complete, their rows put together."""
        found: dict[int, Any] = {}
        while len(found) < count:
            message = self.receive()
            kind = message.WhichOneof("kind")
            if kind == "chunk":
                self._chunk(message.chunk)
            elif kind == "rows":
                rows = self._rows.setdefault(message.rows.task, [])
                assert message.rows.first == len(rows), "blocks of rows come in order"
                rows.extend(message.rows.rows)
            elif kind == "completions":
                for completion in message.completions.completions:
                    found[completion.task] = self._whole(completion)
                    self.order.append(completion.task)
        return found

    def _chunk(self, chunk: wire.ArrayChunk) -> None:
        whole = self._arrays.setdefault((chunk.task, chunk.row, chunk.array), bytearray())
        assert chunk.offset == len(whole), "pieces come in order, without gaps"
        assert len(chunk.data) <= self.welcome.limits.chunk_bytes
        whole += chunk.data
        assert len(whole) <= chunk.total

    def _whole(self, completion: task_pb2.Completion) -> Any:
        result = completion.result
        result.rows.extend(self._rows.pop(completion.task, []))
        for task, row, array in [key for key in self._arrays if key[0] == completion.task]:
            name = wire.ArrayChunk.Array.Name(array).lower()
            while len(result.rows) <= row:
                result.rows.add()
            setattr(result.rows[row], name, bytes(self._arrays.pop((task, row, array))))
        return result

    def bye(self) -> None:
        self.send(bye=wire.Bye())
        self._outgoing.put(None)

    def close(self) -> None:
        self._outgoing.put(None)
        self.call.cancel()


def doubles(data: bytes) -> list[float]:
    return [value for (value,) in struct.iter_unpack("<d", data)]


def counts(row: Any, bits: int) -> dict[str, int]:
    """Counts of a row by outcome, the highest bit left."""
    width = (bits + 7) // 8
    numbers = [n for (n,) in struct.iter_unpack("<Q", row.counts)]
    keys = [row.count_keys[i : i + width] for i in range(0, len(row.count_keys), width)]
    return {f"{int.from_bytes(k, 'little'):0{bits}b}": n for k, n in zip(keys, numbers, strict=True)}


# ---- programs, by hand ----------------------------------------------------------------------------------------------


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def program(qubits: int, bits: int, instructions: Iterable[tuple[int, int, tuple[int, ...], bytes]]) -> bytes:
    """A program of one block. An instruction is (op, gate, operands, values); one with 24 bytes of values is affine."""
    listed = list(instructions)
    records = b"".join(struct.pack("<BBHI", op, len(v) == 24, gate, len(on)) for op, gate, on, v in listed)
    operands = b"".join(struct.pack(f"<{len(on)}I", *on) for _, _, on, _ in listed)
    values = b"".join(v for *_, v in listed)
    parameters = int(any(len(v) == 24 for *_, v in listed))
    block = struct.pack("<8I", len(listed), 0, 0, 0, 0, 0, 0, 0)
    names = struct.pack("<I", 0) * parameters
    body = b"".join(padded(part) for part in (values, records, block, operands, names))
    numbers = (qubits, bits, parameters, 0, 1, 0, len(listed), len(operands) // 4, len(values) // 8, 0)
    return struct.pack("<4sHHQ10Id", b"QFWP", 1, 0, 64 + len(body), *numbers, 0.0) + body


def gate(number: int, *qubits: int) -> tuple[int, int, tuple[int, ...], bytes]:
    return (0, number, qubits, b"")


def turn(number: int, qubit: int) -> tuple[int, int, tuple[int, ...], bytes]:
    """A gate of one angle: the program's only parameter."""
    return (0, number, (qubit,), struct.pack("<ddQ", 0.0, 1.0, 0))


def measure_all(qubits: int) -> Iterator[tuple[int, int, tuple[int, ...], bytes]]:
    return ((2, 0, (q, q), b"") for q in range(qubits))
