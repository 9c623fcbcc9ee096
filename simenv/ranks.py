"""The ranks of one MPI job, and how the C++ simulation on each of them talks to the others."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from qfw import _core
from qfw.program.errors import Cancelled, DeadlineExceeded, InvalidArgument, QfwError

GO_ON, CANCELLED, TOO_LATE = 0, 1, 2
PIECE_BYTES = 1 << 26  # of a broadcast

Stopped = Callable[[], int]  # GO_ON, CANCELLED or TOO_LATE


def go_on() -> int:
    return GO_ON


class Ranks:
    """Communicators of our own over the ranks of `comm`, an mpi4py communicator that all of them pass at once.

    `threads`: of each rank; by default its share of the CPUs that the ranks of its machine may use.
    Raises InvalidArgument on all ranks when their number is not a power of two.
    """

    def __init__(self, comm: Any, threads: int | None = None) -> None:
        from mpi4py import MPI

        self.rank, self.size = int(comm.Get_rank()), int(comm.Get_size())
        if self.size & (self.size - 1):
            raise InvalidArgument(f"a state vector is shared by 1, 2, 4, 8, ... ranks; this job has {self.size}")
        self._undefined = MPI.UNDEFINED
        self.comm = comm.Dup()
        node = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.neighbours = int(node.Get_size())
        self.threads = threads if threads is not None else self._share_of_cpus(node)
        node.Free()
        # Messages hold amplitudes as the kernels lay them out: all ranks use the same ones.
        levels = _core.simenv.simd_levels()
        self.simd = levels[int(_each(self.comm, [levels.index(_core.simenv.best_simd_level())]).min())]
        self._parts: dict[int, Any] = {self.size.bit_length() - 1: self.comm}

    @staticmethod
    def _share_of_cpus(node: Any) -> int:
        cpus = np.zeros(4096, dtype=np.int64)
        cpus[[c for c in os.sched_getaffinity(0) if c < len(cpus)]] = 1
        own = int(cpus.sum())
        together = int((_each(node, cpus).max(axis=0)).sum())
        return max(1, min(own, together // int(node.Get_size())))

    def bits_for(self, qubits: int) -> int:
        """log2 of how many of the ranks share a state of so many qubits: fewer where slices would be too narrow."""
        return min(self.size.bit_length() - 1, int(_core.simenv.most_rank_bits(qubits)))

    def part(self, bits: int) -> Any:
        """The communicator of the first 2^bits ranks, None on the others. All ranks call it together."""
        if bits not in self._parts:
            part = self.comm.Split(0 if self.rank < 1 << bits else self._undefined, self.rank)
            self._parts[bits] = part if self.rank < 1 << bits else None
        return self._parts[bits]

    def broadcast(self, data: NDArray[np.uint8]) -> None:
        """From rank 0, into `data`."""
        for at in range(0, len(data), PIECE_BYTES):
            self.comm.Bcast(data[at : at + PIECE_BYTES], root=0)

    def abort(self, error: BaseException) -> NoReturn:
        """Ends the job: this rank cannot go on, and the others would wait for it for ever."""
        sys.stderr.write(f"rank {self.rank} ends the job: {''.join(traceback.format_exception(error))}")
        sys.stderr.flush()
        self.comm.Abort(1)
        os._exit(1)


class Voice(_core.simenv.Comm):
    """What the simulation says to the other ranks of `part`, for one run. `stopped` is asked again and again, and what
    one rank answers ends the run on all of them, at the same point."""

    def __init__(self, part: Any, neighbours: int, stopped: Stopped) -> None:
        self._part, self._stopped = part, stopped
        super().__init__(part.Get_rank(), part.Get_size().bit_length() - 1, neighbours)

    def swap(self, partner: int, send: memoryview, receive: memoryview) -> None:
        if not len(receive):
            self._part.Send(send, dest=partner)
        elif not len(send):
            self._part.Recv(receive, source=partner)
        else:
            self._part.Sendrecv(send, dest=partner, recvbuf=receive, source=partner)

    def all_gather(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        table = _each(self._part, np.concatenate(([float(self._stopped())], values)))
        why = int(table[:, 0].max())
        if why == CANCELLED:
            raise Cancelled("the task was cancelled while it ran")
        if why == TOO_LATE:
            raise DeadlineExceeded("the task's deadline passed while it ran")
        return np.ascontiguousarray(table[:, 1:]).reshape(-1)


def agreed(error: BaseException) -> bool:
    """Whether an error of a run is raised on every rank: all that follows from the request is, and memory that is
    refused before it begins; memory that the system refuses in the middle is said to be transient."""
    return isinstance(error, QfwError) and not error.transient


def _each(comm: Any, values: Any) -> NDArray[np.float64]:
    """Every rank's numbers, one line for each."""
    mine = np.asarray(values, dtype=np.float64)
    out = np.empty((comm.Get_size(), len(mine)))
    comm.Allgather(mine, out)
    return out
