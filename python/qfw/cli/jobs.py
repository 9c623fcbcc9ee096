"""`qfw jobs` and `qfw job`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qfw.qpi import JobInfo


def show_all(endpoint: str | None, *, as_json: bool) -> None:
    """Print the jobs that a runtime remembers, oldest first."""
    from qfw import qpi

    with qpi.connect(endpoint) as context:
        where = context.endpoint
        found = context.jobs()
    if as_json:
        print(json.dumps({"endpoint": where, "jobs": [as_dict(job) for job in found]}, indent=2))
        return
    print(f"endpoint: {where}")
    _table(found)


def show(job_id: str, endpoint: str | None) -> None:
    """Print one job as JSON, its metadata included where it is JSON."""
    from qfw import qpi

    with qpi.connect(endpoint) as context:
        job = _find(context, job_id)
    print(json.dumps({**as_dict(job), "metadata": _metadata(job.metadata)}, indent=2))


def cancel(job_id: str, endpoint: str | None, *, forget: bool) -> None:
    """Cancel what is unfinished of a job; `forget` drops its results too."""
    from qfw import qpi

    with qpi.connect(endpoint) as context:
        job = _find(context, job_id)
        if forget:
            context.forget_job(job_id)
        elif job.completed < job.tasks:
            attached = context.attach_job(job_id)
            attached.cancel()
            attached.close()
    left = job.tasks - job.completed
    print(f"job {job_id}: {left} of {job.tasks} tasks cancelled" + (", results dropped" if forget else ""))


def result(job_id: str, endpoint: str | None, timeout: float | None) -> None:
    """Print what came of a job's tasks as JSON, in the order of submission; waits for what is unfinished."""
    from qfw import qpi
    from qfw.program.errors import WaitTimeout

    with qpi.connect(endpoint) as context:
        _find(context, job_id)
        job = context.attach_job(job_id)
        entries: dict[int, Any] = {}
        while len(entries) < job.info.tasks:
            read = job.read(timeout)
            if not read:
                missing = job.info.tasks - len(entries)
                raise WaitTimeout(f"job {job_id}: {missing} of {job.info.tasks} tasks not done after {timeout} s")
            entries |= {entry.place: _entry(entry) for entry in read}
        job.close()
    print(json.dumps({"id": job_id, "tasks": [entries[place] for place in sorted(entries)]}, indent=2))


def as_dict(job: JobInfo) -> dict[str, Any]:
    """All that is known of a job but its metadata, in plain values."""
    names = ("id", "state", "tasks", "completed", "failed", "position", "created")
    return {name: getattr(job, name) for name in names}


def _find(context: Any, job_id: str) -> JobInfo:
    from qfw.program.errors import NotFound

    found: list[JobInfo] = context.jobs(job_id)
    if not found:
        raise NotFound(f"the runtime at {context.endpoint} remembers no job {job_id!r}")
    return found[0]


def _metadata(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return {"bytes": len(data)}


def _entry(entry: Any) -> dict[str, Any]:
    if entry.error is not None:
        return {"error": type(entry.error).__name__, "message": str(entry.error)}
    found = entry.result
    rows = [{"counts": row.counts} if len(row.count_arrays[1]) else {} for row in found]
    for row, out in zip(found, rows, strict=True):
        out |= {n: v.tolist() for n in ("expectations", "probabilities") if len(v := getattr(row, n))}
    return {"device": found.device, "seed": found.seed, "shots": found.shots, "rows": rows}


def _table(found: list[JobInfo]) -> None:
    """In plain text: an id that is cut short is of no use."""
    width = max([len(job.id) for job in found], default=3)
    print(f"{'job':{width}}  state      tasks    done  failed  position  created")
    for job in found:
        made = datetime.fromtimestamp(job.created, UTC).isoformat(timespec="seconds")
        counts = f"{job.tasks:7}  {job.completed:6}  {job.failed:6}  {job.position:8}"
        print(f"{job.id:{width}}  {job.state:7}  {counts}  {made}")
