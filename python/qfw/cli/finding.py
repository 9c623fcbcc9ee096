"""What `qfw doctor` finds: one line of its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Finding:
    """One line of the report. A "note" is something absent that qfw can do without."""

    topic: str
    status: Status
    text: str
    hint: str = ""
