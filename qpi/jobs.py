"""Jobs: streams with a name, whose tasks and results outlive the session that submitted them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qfw._core import qpi as native
from qfw.qpi.errors import QfwError, task_error
from qfw.qpi.result import Result

if TYPE_CHECKING:
    from qfw.qpi.context import Context


@dataclass(frozen=True, slots=True)
class JobSpec:
    """The name of a stream to be opened (see `Mesh.stream`)."""

    id: str  #: 1 to 128 letters, digits, '.', '_', '-'
    metadata: bytes = b""  #: given back unread, up to 4 MiB


@dataclass(frozen=True, slots=True)
class JobInfo:
    """What a runtime remembers of a job."""

    id: str
    state: str  #: queued, running, done
    tasks: int
    completed: int  #: of these, failed ones included
    failed: int
    position: int  #: about how many tasks the devices run before its first; 0: it runs, or is done
    created: float  #: seconds since the epoch
    metadata: bytes  #: empty in a list of all jobs

    @classmethod
    def of(cls, found: native.JobInfo) -> JobInfo:
        """A copy of a native one."""
        return cls(
            found.id,
            found.state,
            found.tasks,
            found.completed,
            found.failed,
            found.position,
            found.created_s,
            found.metadata,
        )


@dataclass(frozen=True, slots=True)
class JobEntry:
    """What came of one task of a job."""

    place: int  #: of the task in the order of submission
    result: Any = None
    error: QfwError | None = None


class Job:
    """A job attached to, in a session of its own; made by `Context.attach_job`."""

    def __init__(self, context: Context, job_id: str) -> None:
        self._context = context
        self._native = native.Job.attach(context._native, job_id)
        self.info = JobInfo.of(self._native.info)  #: as it was then

    def read(self, timeout: float | None = None) -> list[JobEntry]:
        """Results that were not read yet, in any order; waits for one. Empty when the time ran out."""
        if not self._native.wait(-1.0 if timeout is None else timeout):
            return []
        return [_entry(place, found) for place, found in self._native.take()]

    def cancel(self) -> None:
        """Cancels what is unfinished; it still completes, as Cancelled."""
        self._native.cancel()

    def close(self) -> None:
        """Stops listening; the job goes on."""
        self._native.close()


def _entry(place: int, found: native.Result) -> JobEntry:
    if not found.failed:
        return JobEntry(place, Result(found))
    result = Result(found) if len(found) else None
    return JobEntry(place, result, task_error(found, result))
