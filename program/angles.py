"""Angles that depend on a parameter."""

from __future__ import annotations

from typing import NamedTuple


class Affine(NamedTuple):
    """The angle ``offset + scale * value`` of a parameter slot, in radians."""

    parameter: int
    scale: float = 1.0
    offset: float = 0.0
