"""Jobs: the handle of circuits under way."""

from __future__ import annotations

import contextlib
import math
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qiskit.providers import JobStatus, JobTimeoutError, JobV1
from qiskit.result import Result

from qfw.program.errors import WaitTimeout
from qfw.qpi.adapters.qiskit import results
from qfw.qpi.adapters.qiskit.batch import Batch
from qfw.qpi.adapters.qiskit.options import RunOptions

if TYPE_CHECKING:
    from qfw.qpi.adapters.qiskit.backend import QFWBackend


class FinalStateTimeout(WaitTimeout, JobTimeoutError):
    """What `wait_for_final_state` raises: Qiskit's error and ours in one."""


class QFWJob(JobV1):
    """Circuits of one `run`; made by the backend, already submitted."""

    def __init__(
        self, backend: QFWBackend, batch: Batch, entries: Sequence[results.Entry], options: RunOptions
    ) -> None:
        super().__init__(backend, uuid.uuid4().hex)
        self._batch = batch
        self._entries = tuple(entries)
        self._run_options = options
        self._result: Result | None = None

    def submit(self) -> None:
        """Nothing to do: a job is submitted when it is made."""

    def status(self) -> JobStatus:
        """QUEUED until a first circuit has ended, RUNNING until all have; then DONE, ERROR or CANCELLED."""
        return batch_status(self._batch)

    def cancel(self) -> bool:
        """Cancels the circuits that have not ended, down to the device; False when all had."""
        return self._batch.cancel()

    def result(self, timeout: float | None = None, *, partial: bool = False) -> Result:
        """Waits for all circuits; experiments are in submission order.

        Args:
            timeout: seconds; None: the run's own `timeout` option (None there: no limit).
            partial: give back what there is, failed circuits as experiments with success False.

        Raises:
            WaitTimeout: names the circuits not done. QfwError: what a circuit failed with, in the device's words.
        """
        if self._result is not None:
            return self._result
        limit = self._run_options.timeout if timeout is None else timeout
        try:
            self._batch.wait(limit)
        except WaitTimeout:
            if self._run_options.cancel_on_timeout:
                self._batch.cancel()
            if not partial:
                raise
        if not partial:
            self._batch.raise_failure()
        made = self._make()
        if self._batch.done:
            self._result = made
            self.backend().account(self._batch.results)
        return made

    def wait_for_final_state(
        self, timeout: float | None = None, wait: float = 5, callback: Callable[..., Any] | None = None
    ) -> None:
        """Blocks until every circuit has ended; nothing is polled.

        Args:
            timeout: seconds; None: no limit.
            wait: seconds between calls of `callback`, with (job id, status, job) as in Qiskit; none after the end.

        Raises:
            WaitTimeout: a JobTimeoutError of Qiskit's too.
        """
        end = None if timeout is None else time.monotonic() + timeout
        pause = wait if callback is not None else math.inf
        while not self._batch.done:
            left = math.inf if end is None else end - time.monotonic()
            if left <= 0:
                raise FinalStateTimeout(f"job {self.job_id()} had not ended after {timeout} s")
            if callback is not None:
                callback(self.job_id(), self.status(), self)
            most = min(left, pause)
            with contextlib.suppress(WaitTimeout):
                self._batch.wait(None if most == math.inf else most)

    def _make(self) -> Result:
        want = self._run_options
        experiments = []
        for i, (what, result) in enumerate(zip(self._entries, self._batch.results, strict=True)):
            if result is None:
                experiments.append(results.failed(what, self._batch.errors.get(i), want.shots))
                continue
            for row in result.rows:
                forms = {"counts": bool(what.header["memory_slots"]), "statevector": want.return_statevector}
                forms["memory"] = want.memory and forms["counts"]
                experiments.append(results.experiment(what, result, row, **forms))
        backend = self.backend()
        return Result(
            backend_name=backend.name,
            backend_version=backend.backend_version,
            job_id=self.job_id(),
            success=all(e.success for e in experiments),
            results=experiments,
            status="COMPLETED" if not self._batch.errors else "PARTIAL COMPLETED",
        )

    def metrics(self) -> list[dict[str, Any]]:
        """Per circuit that has ended well: its name, device, seed, shots and nanoseconds by part."""
        self._batch.poll()
        return [
            {"name": e.name, "device": r.device, "seed": r.seed, "shots": r.shots, **results.timing(r)}
            for e, r in zip(self._entries, self._batch.results, strict=True)
            if r is not None
        ]


def batch_status(batch: Batch) -> JobStatus:
    """Qiskit's status of a batch."""
    if not batch.done:
        return JobStatus.RUNNING if batch.started else JobStatus.QUEUED
    if batch.cancelled:
        return JobStatus.CANCELLED
    return JobStatus.ERROR if batch.errors else JobStatus.DONE
