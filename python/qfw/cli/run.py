"""`qfw run`: one program, its counts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from qfw.program.errors import InvalidArgument

if TYPE_CHECKING:
    from qfw.qpi import Result

SHOWN = 32  # lines of counts; --json prints all


def read(file: Path) -> tuple[str, str]:
    """The text of a program file and the name that errors show; `-` is stdin. Raises InvalidArgument."""
    name = "<stdin>" if str(file) == "-" else str(file)
    try:
        data = sys.stdin.buffer.read() if name == "<stdin>" else file.read_bytes()
        return data.decode("utf-8"), name
    except OSError as error:
        raise InvalidArgument(f"{name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{name}: not UTF-8 text (byte {error.start}: {error.reason})") from error


def show(file: Path, *, device: str, shots: int, seed: int | None, as_json: bool, endpoint: str | None) -> None:
    """Run the program in `file` and print the counts, highest first, or the result as JSON."""
    from qfw import qpi
    from qfw.toolchain import formats

    text, name = read(file)
    start = perf_counter_ns()
    program = formats.load(text, name=name).program
    task = qpi.Task(program, shots=shots, seed=seed, convert_ns=perf_counter_ns() - start)
    with qpi.connect(endpoint) as context:
        result = context.mesh(device).run(task)
    if as_json:
        print(json.dumps(as_dict(result), indent=2))
        return
    ordered = sorted(result.counts.items(), key=lambda item: (-item[1], item[0]))
    for key, count in ordered[:SHOWN]:
        print(f"{key} {count}")
    if len(ordered) > SHOWN:
        print(f"... and {len(ordered) - SHOWN} more of {len(ordered)} outcomes (--json prints all)")
    millis = result.timing.total_ns / 1e6
    print(f"{result.device}: {result.shots} shots, seed {result.seed}, {millis:.3f} ms", file=sys.stderr)


def as_dict(result: Result) -> dict[str, Any]:
    """The result in plain values: counts, what gave them, and where the time went."""
    fields = {"device": result.device, "shots": result.shots, "seed": result.seed}
    timing = result.timing.as_dict() | {"total_ns": result.timing.total_ns}
    return {**fields, "counts": result.counts, "timing": timing}
