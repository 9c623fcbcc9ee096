"""What a runtime keeps of a Qiskit job besides its results: enough to make the same Result in another process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from qfw.program.errors import InvalidArgument
from qfw.qpi.adapters.qiskit.options import RunOptions
from qfw.qpi.adapters.qiskit.results import Entry

KIND = "qiskit.run"
MAX_BYTES = 4 << 20  # of a record; circuits' own metadata is left out where it would not fit
_OPTIONS = ("shots", "memory", "timeout", "return_statevector", "cancel_on_timeout")


@dataclass(frozen=True)
class Record:
    """A job as it was submitted."""

    device: str
    entries: tuple[Entry, ...]
    options: RunOptions
    parts: tuple[int, ...] = ()  #: into how many tasks each circuit's sweep was cut
    tags: tuple[str, ...] = ()
    created: float = field(default=0.0)  #: seconds since the epoch

    def pack(self) -> bytes:
        """As JSON; metadata of circuits that JSON cannot hold becomes text."""
        data = self._json()
        if len(data) > MAX_BYTES:
            bare = tuple(replace(e, header={**e.header, "metadata": {}}) for e in self.entries)
            data = replace(self, entries=bare)._json()
        return data

    def _json(self) -> bytes:
        return json.dumps(
            {
                "kind": KIND,
                "device": self.device,
                "headers": [e.header for e in self.entries],
                "options": {name: getattr(self.options, name) for name in _OPTIONS},
                "parts": self.parts,
                "tags": self.tags,
                "created": self.created,
            },
            default=_plain,
            separators=(",", ":"),
        ).encode()


def unpack(job_id: str, data: bytes) -> Record:
    """The record of a job. Raises InvalidArgument for one that no `QFWBackend.run` submitted."""
    try:
        found = json.loads(data)
        if found["kind"] != KIND:
            raise KeyError(found["kind"])
        entries = tuple(Entry(h["name"], h) for h in found["headers"])
        options = RunOptions(seed=None, priority=0, **{name: found["options"][name] for name in _OPTIONS})
        parts = tuple(int(p) for p in found["parts"])
        made = Record(found["device"], entries, options, parts, tuple(found["tags"]), float(found["created"]))
    except (ValueError, TypeError, KeyError) as e:
        raise InvalidArgument(f"job {job_id!r} was not submitted by QFWBackend.run") from e
    if len(made.parts) != len(entries) or min(made.parts, default=1) < 1:
        raise InvalidArgument(f"job {job_id!r}: {len(entries)} circuits, and parts of {len(made.parts)}")
    return made


def is_run(data: bytes) -> bool:
    """Whether a job's metadata is a record."""
    return data.startswith(b'{"kind":"' + KIND.encode() + b'"')


def tags_of(value: Any) -> tuple[str, ...]:
    """The run option `job_tags`. Raises InvalidArgument."""
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(t, str) for t in value):
        raise InvalidArgument(f"job_tags {value!r}; a list of texts expected")
    return tuple(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return repr(value)
