"""Options of a run: defaults, one call's own, and those of the device."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qfw.program.errors import InvalidArgument, Unsupported
from qfw.qpi.adapters.qiskit.noise import noise_text
from qfw.toolchain.tools.registry import near

DEFAULTS: dict[str, Any] = {
    "shots": 1024,
    "seed": None,
    "seed_simulator": None,
    "memory": False,
    "timeout": None,
    "priority": 0,
    "return_statevector": False,
    "noise_model": None,
    "reservation_id": None,
    "token": None,
    "cancel_on_timeout": False,
    "job_tags": None,
    "lib": None,
}
# Keys of QFw's `properties` that are no options of a device.
_OWN_PROPERTIES = {"backend", "device", "optimization_level", "noise_model", "compiler", "poll_s", "timeout_s"}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Checked options of one run; `timeout` in seconds, None: no limit."""

    shots: int
    seed: int | None
    memory: bool
    timeout: float | None
    priority: int
    return_statevector: bool
    cancel_on_timeout: bool
    device: dict[str, str] = field(default_factory=dict)


def run_options(defaults: Mapping[str, Any], given: Mapping[str, Any], device: Any) -> RunOptions:
    """Merges and checks options.

    Args:
        defaults: the backend's.
        given: of one call; None counts as not given.
        device: its own options are passed on as text.

    Raises:
        InvalidArgument: an unknown name, or a value out of range. Unsupported: noise on a device without.
    """
    known = {*DEFAULTS, *device.options}
    for name in given:
        if name not in known:
            raise InvalidArgument(f"option {name!r} is unknown to device {device.name!r}; {near(name, known)}")
    values = {**DEFAULTS, **defaults, **{k: v for k, v in given.items() if v is not None}}
    seed = values["seed"] if values["seed"] is not None else values["seed_simulator"]
    if given.get("seed_simulator") is not None and given.get("seed") is None:
        seed = given["seed_simulator"]
    own = {k: str(v) for k, v in values.items() if k not in DEFAULTS and v is not None}
    if values["noise_model"] is not None:
        own["noise_model"] = device_noise(values["noise_model"], device)
    return RunOptions(
        shots=whole("shots", values["shots"], 1),
        seed=None if seed is None else whole("seed", seed, 0),
        memory=bool(values["memory"]),
        timeout=seconds(values["timeout"]),
        priority=whole("priority", values["priority"], -(1 << 31)),
        return_statevector=bool(values["return_statevector"]),
        cancel_on_timeout=bool(values["cancel_on_timeout"]),
        device=own,
    )


def device_noise(model: Any, device: Any) -> str:
    """A noise model as the device's option; see `noise_text`. Raises Unsupported for a device without noise."""
    if "noise_model" not in device.options:
        raise Unsupported(
            f"device {device.name!r} takes no noise model; Qiskit Aer does: QFWBackend(provider='aer', noise_model=...)"
        )
    return noise_text(model)


def frozen(fields: Mapping[str, Any], device: Any) -> dict[str, Any]:
    """Defaults to be kept: a noise model is packed once, as it is now; later changes of the object are not seen."""
    kept = dict(fields)
    if kept.get("noise_model") is not None:
        kept["noise_model"] = device_noise(kept["noise_model"], device)
    return kept


def whole(name: str, value: Any, least: int) -> int:
    """An integer of at least `least`; floats without a fraction count as integers."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        number = operator.index(value)
    except TypeError as e:
        raise InvalidArgument(f"{name} {value!r}; an integer expected") from e
    if number < least:
        raise InvalidArgument(f"{name} {number}; at least {least} expected")
    return number


def seconds(value: Any) -> float | None:
    """A number of seconds above zero, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise InvalidArgument(f"timeout {value!r}; a number of seconds above zero, or None, expected")
    return float(value)


def device_properties(properties: Mapping[str, Any], device_options: Iterable[str]) -> dict[str, Any]:
    """QFw's `properties` as run options: those that the device takes, `backend` as its method, `timeout_s`.

    Raises:
        InvalidArgument: a key that neither QFw nor the device knows.
    """
    known = set(device_options)
    made: dict[str, Any] = {}
    for name, value in properties.items():
        if name in known:
            made[name] = value
        elif name == "backend" and "method" in known:
            if "noise_model" in known or value in ("auto", "statevector"):  # else of another simulator of QFw's
                made["method"] = value
        elif name == "timeout_s":
            made["timeout"] = value
        elif name == "noise_model":
            made[name] = value  # a device without noise refuses it
        elif name not in _OWN_PROPERTIES:
            raise InvalidArgument(f"property {name!r} is unknown; {near(name, known | _OWN_PROPERTIES)}")
    return made


def part_seed(seed: int | None, part: int) -> int | None:
    """The seed of one part of a run: the run's own for the first, hashed for the others (sums would collide)."""
    if seed is None or part == 0:
        return seed
    data = (seed & (2**64 - 1)).to_bytes(8, "little") + part.to_bytes(8, "little")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
