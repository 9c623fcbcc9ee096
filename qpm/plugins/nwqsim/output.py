"""What NWQ-Sim prints and dumps, read strictly: a line that is not expected is an error that quotes it.

The formats are those of NWQ-Sim 1.0: its configuration, then `=====  Measurement (tests=N) =====` and lines
`"BITS" : COUNT`, all on standard output; dumps are doubles, all real parts, then all imaginary ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qfw.program.errors import DeviceError, Unavailable

NEEDED = (
    "qasm_file",
    "qasm_string",
    "shots",
    "backend",
    "sim",
    "disable_fusion",
    "random_seed",
    "dump_file",
    "hw_threads",
)

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OPTION = re.compile(r"^\s+(?:-\w, )?\s*--(\w+)", re.MULTILINE)
_BACKEND = re.compile(r"^- (\w+)$", re.MULTILINE)
_MEASUREMENT = re.compile(r"={15}  Measurement \(tests=(\d+)\) ={16}")
_COUNT = re.compile(r'"([01]+)" : (\d+)')
_QUOTE = 400  # characters of an output in an error message


@dataclass(frozen=True)
class Expected:
    """What a launch must print."""

    shots: int
    bits: int  # of a key
    fusion: bool
    noisy: bool = False  # a density matrix


def quote(text: str) -> str:
    """The end of an output for an error message, without colours."""
    plain = _COLOUR.sub("", text).strip()
    return repr(plain if len(plain) <= _QUOTE else "..." + plain[-_QUOTE:])


def check_interface(text: str) -> None:
    """Whether `--help` shows the interface of NWQ-Sim 1.0.

    Raises:
        Unavailable: it does not; quotes it.
    """
    options = set(_OPTION.findall(text))
    lacking = [name for name in NEEDED if name not in options]
    if lacking or not text.startswith("Usage:"):
        raise Unavailable(
            "unknown version of NWQ-Sim: its --help lacks "
            f"{', '.join('--' + name for name in lacking) or 'its usage line'} of version 1.0; it says {quote(text)}"
        )


def backends(text: str) -> frozenset[str]:
    """The back ends that `--backend_list` names. Raises Unavailable for another text."""
    found = frozenset(_BACKEND.findall(text))
    if not text.startswith("Available backends:\n") or "CPU" not in found:
        raise Unavailable(f"unknown version of NWQ-Sim: its --backend_list says {quote(text)}")
    return found


def counts(text: str, expected: Expected) -> dict[str, int]:
    """The counts of one launch. Raises DeviceError for anything but the output that is expected, whole."""
    lines = [line.rstrip() for line in _COLOUR.sub("", text).splitlines()]
    lines = [line for line in lines if line]
    head = _banner(expected)
    for line, wanted in zip(lines, head, strict=False):
        if re.sub(r"\s+", " ", line) != wanted:
            raise DeviceError(f"NWQ-Sim printed {quote(line)} where {wanted!r} was expected, in {quote(text)}")
    rest = lines[len(head) :]
    title = _MEASUREMENT.fullmatch(rest[0]) if rest else None
    if title is None:
        raise DeviceError(f"NWQ-Sim's output is cut off or unknown before its measurements: {quote(text)}")
    if int(title[1]) != expected.shots:
        raise DeviceError(f"NWQ-Sim says {title[1]} shots where {expected.shots} were asked for: {quote(text)}")
    return _counts(rest[1:], expected, text)


def _banner(expected: Expected) -> tuple[str, ...]:
    return (
        "Running simulation with the following configuration:",
        "Sim Trace: Disabled",
        f"Fusion: {'Enabled' if expected.fusion else 'Disabled'}",
        f"Noise: {'Enabled' if expected.noisy else 'Disabled'}",
        "Tensor Core: Disabled",
        f"Simulation Backend: {'DMSim' if expected.noisy else 'SVSim'}",
    )


def _counts(lines: Sequence[str], expected: Expected, text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in lines:
        match = _COUNT.fullmatch(line)
        if match is None:
            raise DeviceError(f"NWQ-Sim printed {quote(line)} among its counts: {quote(text)}")
        key, number = match[1], int(match[2])
        if len(key) != expected.bits or key in found or number == 0:
            raise DeviceError(
                f"NWQ-Sim printed {quote(line)}, which is no count of {expected.bits} bits: {quote(text)}"
            )
        found[key] = number
    total = sum(found.values())
    if total != expected.shots:
        raise DeviceError(f"NWQ-Sim's counts add up to {total} of {expected.shots} shots: {quote(text)}")
    return found


def amplitudes(fd: int, size: int) -> NDArray[np.complex128]:
    """A dumped state of `size` complex numbers. Raises DeviceError for a dump of another size, or that is no state."""
    found = os.fstat(fd).st_size
    if found != 16 * size:
        raise DeviceError(f"NWQ-Sim dumped {found} bytes of its state where {16 * size} were expected")
    with open(f"/proc/self/fd/{fd}", "rb") as file:  # from its beginning
        raw = np.fromfile(file, dtype=np.float64)
    state = raw[:size] + 1j * raw[size:]
    if not np.isfinite(state).all():
        raise DeviceError("NWQ-Sim dumped a state that is not finite")
    return state
