"""One state vector over the ranks of an MPI job (docs/simulator.md, "One state on many ranks").

Every rank runs the same C++ simulation on its slice. Requests go from rank 0 to the others as the bytes of the Program,
the row as little-endian doubles, and JSON for the rest. Rank 0 uses a `Leader`, all others `follow`::

    comm = MPI.COMM_WORLD
    if comm.rank != 0:
        follow(comm)                              # until the leader is closed
    else:
        with Leader(comm) as leader:
            out = leader.run(program, Request(shots=1000, counts=True))
"""

from __future__ import annotations

import json
import struct
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfw import _core
from qfw.program import PauliSum, Program
from qfw.program.errors import InternalError, QfwError
from qfw.simenv.ranks import Ranks, Stopped, Voice, agreed, go_on

__all__ = ["DistributedSimulator", "Leader", "Outcome", "Request", "Traffic", "follow"]

PROGRAMS_KEPT = 32  # planned; the same ones on all ranks
HEADER = struct.Struct("<4sIQQQ")  # magic, kind, bytes of: program, JSON, row
MAGIC, END, RUN = b"qfwR", 0, 1
TAG = 71
# How a rank waits for work: it does not burn its core while nothing comes.
SPIN_SECONDS, LONGEST_NAP_SECONDS = 1e-3, 2e-3

PauliTerms = Sequence[tuple[float, str, Sequence[int]]]


@dataclass(frozen=True)
class Request:
    """One row of a Program; as the arguments of `qfw.simenv.simulate`."""

    row: Sequence[float] | NDArray[np.float64] = ()
    shots: int = 0
    seed: int = 0
    memory: bool = False
    counts: bool = False
    probabilities: bool = False
    statevector: bool = False
    probability_qubits: Sequence[int] = ()
    observables: Sequence[PauliSum | PauliTerms] = ()
    gradients: bool = False
    gradient_parameters: Sequence[int] = ()
    precision: str = "double"
    max_steps: int = 1_000_000

    def arguments(self) -> dict[str, Any]:
        """All but the row, as numbers, strings and lists."""
        plain: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "row"}
        plain["probability_qubits"] = [int(q) for q in self.probability_qubits]
        plain["gradient_parameters"] = [int(p) for p in self.gradient_parameters]
        terms = (o.terms if isinstance(o, PauliSum) else o for o in self.observables)
        plain["observables"] = [[(float(c), p, [int(q) for q in qs]) for c, p, qs in sums] for sums in terms]
        return plain


@dataclass(frozen=True)
class Traffic:
    """What ranks had to say to each other in one run.

    `operations` are those of the plan, after fusion; `crossing` those of them that act on a qubit whose two values lie
    on different ranks while every qubit stays where it is: each of them would be an exchange. Both are 0 where a
    program has branches.
    """

    ranks: int = 1
    exchanges: int = 0  # in which ranks swap parts of their slices
    bytes: int = 0  # of amplitudes, sent by all ranks together
    operations: int = 0
    crossing: int = 0

    @property
    def local_share(self) -> float:
        """Of the operations, those that need no exchange of their own."""
        return 1.0 - self.exchanges / self.operations if self.operations else 1.0


@dataclass(frozen=True)
class Outcome:
    """Arrays by the names of `qfw.simenv.simulate`; on other ranks than 0, expectations and gradients alone."""

    arrays: dict[str, NDArray[Any]]
    traffic: Traffic


class DistributedSimulator:
    """A Program planned for the ranks. All ranks make it, and run it, together and with the same arguments."""

    def __init__(self, program: Program | bytes, ranks: Ranks | Any) -> None:
        self._ranks = ranks if isinstance(ranks, Ranks) else Ranks(ranks)
        self._program = program if isinstance(program, Program) else Program(program)
        self._bits = self._ranks.bits_for(self._program.num_qubits)
        self._part = self._ranks.part(self._bits)
        self._simulator: Any = None
        if self._part is not None:
            self._simulator = _core.simenv.Simulator(self._program.bytes, simd=self._ranks.simd, rank_bits=self._bits)
            self._shares = self._simulator.shares()

    def run(self, request: Request, stopped: Stopped = go_on) -> Outcome:
        """The row's results. Raises on every rank that has a part in it what `qfw.simenv.simulate` raises, and
        Cancelled or DeadlineExceeded where `stopped` says so on one of them. Where a rank fails alone (see `agreed`),
        the others wait for it: end the job."""
        if self._part is None:
            return Outcome({}, Traffic(1 << self._bits))
        voice = Voice(self._part, self._ranks.neighbours, stopped)
        row = [float(v) for v in request.row]
        arrays = self._simulator.run(
            row=row,
            threads=self._ranks.threads,
            comm=voice if self._bits else None,
            **request.arguments(),
        )
        said = Traffic(
            1 << self._bits,
            int(voice.exchanges),
            int(voice.bytes),
            self._shares["operations"],
            self._shares["crossing"],
        )
        return Outcome(arrays, said)


class _Planned:
    """The programs used last, by their hash; kept alike on all ranks, so that rank 0 sends each once."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._kept: OrderedDict[str, DistributedSimulator] = OrderedDict()

    def has(self, name: str) -> bool:
        return name in self._kept

    def run(self, name: str, code: bytes, request: Request, stopped: Stopped = go_on) -> Outcome:
        """Raises what all ranks raise; ends the job where this rank fails alone."""
        try:
            return self._get(name, code).run(request, stopped)
        except BaseException as error:
            if not agreed(error):
                self._ranks.abort(error)
            raise

    def _get(self, name: str, code: bytes) -> DistributedSimulator:
        if name not in self._kept:
            self._kept[name] = DistributedSimulator(code, self._ranks)
            while len(self._kept) > PROGRAMS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return self._kept[name]


class Leader:
    """Rank 0 of a job whose other ranks `follow`. One run at a time, from any thread."""

    def __init__(self, comm: Any, threads: int | None = None) -> None:
        self.ranks = Ranks(comm, threads)
        self._planned = _Planned(self.ranks)
        self._closed = False

    def run(self, program: Program, request: Request, stopped: Stopped = go_on) -> Outcome:
        """See DistributedSimulator.run; `stopped` is asked here alone."""
        if self._closed:
            raise InternalError("the leader of the ranks is closed")
        row = np.asarray(request.row, dtype="<f8")
        rest = json.dumps([program.hash, request.arguments()]).encode()
        code = b"" if self._planned.has(program.hash) else program.bytes
        self._send(HEADER.pack(MAGIC, RUN, len(code), len(rest), row.nbytes))
        if self.ranks.size > 1:
            self.ranks.broadcast(np.frombuffer(code + rest + row.tobytes(), dtype=np.uint8).copy())
        return self._planned.run(program.hash, code, request, stopped)

    def close(self) -> None:
        """Lets the other ranks end."""
        if not self._closed:
            self._closed = True
            self._send(HEADER.pack(MAGIC, END, 0, 0, 0))

    def _send(self, header: bytes) -> None:
        sends = [self.ranks.comm.Isend(header, dest=r, tag=TAG) for r in range(1, self.ranks.size)]
        for send in sends:
            send.Wait()

    def __enter__(self) -> Leader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def follow(comm: Any, threads: int | None = None) -> None:
    """What a rank other than 0 does: its part of every run, until the leader is closed. MPI's launcher ends a job
    whose rank 0 dies."""
    ranks = Ranks(comm, threads)
    planned = _Planned(ranks)
    header = bytearray(HEADER.size)
    while True:
        _wait(ranks.comm)
        ranks.comm.Recv(header, source=0, tag=TAG)
        magic, kind, *sizes = HEADER.unpack(header)
        if magic != MAGIC or kind not in (RUN, END):
            ranks.abort(InternalError(f"rank 0 sent a header {bytes(header)!r}"))
        if kind == END:
            return
        data = np.empty(sum(sizes), dtype=np.uint8)
        ranks.broadcast(data)
        _run_one(ranks, planned, data.tobytes(), sizes)


def _run_one(ranks: Ranks, planned: _Planned, data: bytes, sizes: Sequence[int]) -> None:
    code, rest = data[: sizes[0]], data[sizes[0] : sizes[0] + sizes[1]]
    row = np.frombuffer(data[sizes[0] + sizes[1] :], dtype="<f8")
    with suppress(QfwError):  # rank 0 has it too, and tells who asked
        name, arguments = json.loads(rest)
        planned.run(name, code, Request(row=row, **arguments))


def _wait(comm: Any) -> None:
    begun, nap = time.monotonic(), 0.0
    while not comm.Iprobe(source=0, tag=TAG):
        time.sleep(nap)
        if time.monotonic() - begun > SPIN_SECONDS:
            nap = min(LONGEST_NAP_SECONDS, nap + 1e-5)
