"""The handle of a primitive's PUBs under way."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from qiskit.primitives import BasePrimitiveJob, PrimitiveResult
from qiskit.providers import JobStatus

from qfw.qpi.adapters.qiskit import results
from qfw.qpi.adapters.qiskit.batch import Gathering
from qfw.qpi.adapters.qiskit.job import batch_status


class QFWPrimitiveJob(BasePrimitiveJob):
    """Already submitted when it is made; nothing runs on threads of its own."""

    def __init__(
        self, batch: Gathering, finish: Callable[[Sequence[Any]], PrimitiveResult], timeout: float | None
    ) -> None:
        super().__init__(uuid.uuid4().hex)
        self._batch = batch
        self._finish = finish
        self._timeout = timeout
        self._result: PrimitiveResult | None = None

    def result(self, timeout: float | None = None) -> PrimitiveResult:
        """Waits for all PUBs.

        Raises:
            WaitTimeout: names what is not done. QfwError: what a PUB failed with, in the device's words.
        """
        if self._result is None:
            self._batch.wait(self._timeout if timeout is None else timeout)
            self._batch.raise_failure()
            self._result = self._finish(self._batch.results)
        return self._result

    def status(self) -> JobStatus:
        """As `QFWJob.status`."""
        return batch_status(self._batch)

    def done(self) -> bool:
        """Whether it has ended well."""
        return self.status() is JobStatus.DONE

    def running(self) -> bool:
        """Whether some but not all tasks have ended."""
        return self.status() is JobStatus.RUNNING

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.status() is JobStatus.CANCELLED

    def in_final_state(self) -> bool:
        """Whether every task has ended."""
        return self._batch.done

    def cancel(self) -> bool:
        """Cancels what has not ended; False when everything had."""
        return self._batch.cancel()

    def metrics(self) -> list[dict[str, Any]]:
        """Per task that has ended well: its name, device, seed, shots and nanoseconds by part."""
        self._batch.poll()
        return [
            {"name": name, "device": r.device, "seed": r.seed, "shots": r.shots, **results.timing(r)}
            for name, r in zip(self._batch.names, self._batch.results, strict=True)
            if r is not None
        ]
