"""Jobs: the handle of circuits under way."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qiskit.providers import JobStatus, JobTimeoutError, JobV1
from qiskit.result import Result

from qfw.program.errors import WaitTimeout
from qfw.qpi.adapters.qiskit import results
from qfw.qpi.adapters.qiskit.batch import Gathering
from qfw.qpi.adapters.qiskit.record import Record

if TYPE_CHECKING:
    from qfw.qpi.adapters.qiskit.backend import QFWBackend


class FinalStateTimeout(WaitTimeout, JobTimeoutError):
    """What `wait_for_final_state` raises: Qiskit's error and ours in one."""


class QFWJob(JobV1):
    """Circuits of one `run`; made by the backend, already submitted.

    `metadata` holds its tags and when it was made. Its id finds it again while the runtime lives and remembers it
    (`QFWBackend.retrieve_job`), in a daemon from other processes too.
    """

    def __init__(self, backend: QFWBackend, job_id: str, batch: Gathering, record: Record) -> None:
        made = datetime.fromtimestamp(record.created, UTC).isoformat()
        super().__init__(backend, job_id, tags=list(record.tags), creation_date=made)
        self._batch = batch
        self._entries = record.entries
        self._record = record
        self._run_options = record.options
        self._result: Result | None = None

    def submit(self) -> None:
        """Nothing to do: a job is submitted when it is made."""

    def status(self) -> JobStatus:
        """QUEUED until a first circuit has ended, RUNNING until all have; then DONE, ERROR or CANCELLED."""
        return batch_status(self._batch)

    def device(self) -> str:
        """Name of the device that it was submitted to."""
        return self._record.device

    def tags(self) -> list[str]:
        """Those of the run option `job_tags`."""
        return list(self._record.tags)

    def queue_position(self, refresh: bool = False) -> int | None:
        """About how many tasks the device runs before this job's first; None once it has begun, as with IBM's.

        Args:
            refresh: without effect: it is always asked for.
        """
        if self._batch.done:
            return None
        found = self.backend().context.jobs(self.job_id())
        return found[0].position or None if found and found[0].state == "queued" else None

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


def batch_status(batch: Gathering) -> JobStatus:
    """Qiskit's status of a batch."""
    if not batch.done:
        return JobStatus.RUNNING if batch.started else JobStatus.QUEUED
    if batch.cancelled:
        return JobStatus.CANCELLED
    return JobStatus.ERROR if batch.errors else JobStatus.DONE
