"""statevec over the ranks of an MPI job: rank 0 serves tasks, and simulates each with the ranks that `follow` it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from qfw import simenv
from qfw.program import gates
from qfw.program.errors import Cancelled, DeadlineExceeded, QfwError, ResourceExhausted
from qfw.qpm.plugin import OUTPUTS, DeviceSpec, Executor, Kind, Option, Plugin, Row, Task
from qfw.simenv.distributed import Leader, Request
from qfw.simenv.ranks import CANCELLED, GO_ON

MAX_QUBITS = 40  # of the simulator; memory refuses earlier


class RanksPlugin(Plugin):
    """Made on rank 0 of `comm`, while all other ranks call `qfw.simenv.distributed.follow(comm)`."""

    name: ClassVar[str] = "statevec"
    kind: ClassVar[Kind] = "worker"

    def __init__(self, comm: Any, threads: int | None = None) -> None:
        self.leader = Leader(comm, threads)

    def devices(self) -> Sequence[DeviceSpec]:
        return [
            DeviceSpec(
                name="statevec",
                description=f"built-in state-vector simulator on {self.leader.ranks.size} ranks",
                max_qubits=MAX_QUBITS,
                max_ranks=self.leader.ranks.size,
                gates=(*(g.name for g in gates()), "controlled", "unitary", "measure", "reset"),
                outputs=OUTPUTS,
                options=(
                    Option("precision", "double", "of the amplitudes.", values=("double", "single")),
                    Option("max_steps", 1_000_000, "instructions that a shot may execute.", minimum=1),
                ),
            )
        ]

    def executor(self, device: str) -> Executor:
        return RanksExecutor(self.leader)


class RanksExecutor:
    def __init__(self, leader: Leader) -> None:
        self._leader = leader

    def run(self, tasks: Sequence[Task]) -> Sequence[list[Row] | QfwError]:
        return [self._run(task) for task in tasks]

    def close(self) -> None:
        self._leader.close()

    def _run(self, task: Task) -> list[Row] | QfwError:
        rows = []
        for index in range(len(task.bindings)):
            try:
                rows.append(self._row(task, index))
            except (Cancelled, DeadlineExceeded, ResourceExhausted) as error:
                return error
            except QfwError as error:
                rows.append(Row(error=error))
        return rows

    def _row(self, task: Task, index: int) -> Row:
        wanted = task.outputs
        exact = wanted & {"expectations", "gradients"}
        request = Request(
            row=task.bindings[index],
            shots=task.shots,
            seed=simenv.derive_seed(task.seed, task.first_row + index),
            memory="memory" in wanted,
            counts="counts" in wanted,
            probabilities="probabilities" in wanted,
            statevector="statevector" in wanted,
            probability_qubits=task.qubits,
            observables=task.observables if exact else (),
            gradients="gradients" in wanted,
            gradient_parameters=task.gradient_parameters,
            precision=str(task.options["precision"]),
            max_steps=int(task.options["max_steps"]),
        )
        arrays = self._leader.run(task.program, request, lambda: CANCELLED if task.stopped() else GO_ON).arrays
        row = Row()
        for name in wanted & arrays.keys():
            setattr(row, name, arrays[name])
        row.count_keys = arrays.get("count_keys")
        return row
