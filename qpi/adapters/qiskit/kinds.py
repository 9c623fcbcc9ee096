"""Which device a QFw type, capability or provider name means. The numbers are QFw's, so that masks agree."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from enum import IntFlag
from typing import Any

from qfw.program.errors import InvalidArgument, NotFound
from qfw.toolchain.tools.registry import near

STRICT = "QFW_STRICT_PROVIDER"


class QFWBackendType(IntFlag):
    """Kinds of simulator and hardware."""

    QFW_TYPE_HARDWARE = 1
    QFW_TYPE_SIMULATOR = 2
    QFW_TYPE_QB = 4
    QFW_TYPE_TNQVM = 8
    QFW_TYPE_NWQSIM = 16
    QFW_TYPE_IQM = 32
    QFW_TYPE_QISKITAER = 64
    QFW_TYPE_QTENSOR = 128
    QFW_TYPE_IONQ = 256
    QFW_TYPE_IBMQ = 512


class QFWBackendCapability(IntFlag):
    """What a backend works with."""

    QFW_CAP_TENSORNETWORK = 1
    QFW_CAP_STATEVECTOR = 2
    QFW_CAP_SUPERCONDUCTING = 4
    QFW_CAP_IONTRAP = 8


# Names of providers -> names of devices.
_DEVICES = {
    "statevec": "statevec",
    "nwqsim": "nwqsim",
    "aer": "aer",
    "qiskitaer": "aer",
    "tnqvm": "tnqvm",
    "qb": "qb",
    "iqm": "iqm",
    "fake-iqm": "fake-iqm",
    "shim": "shim",
    "qtensor": "qtensor",
    "ionq": "ionq",
    "ibmq": "ibmq",
}
_TYPES = {
    QFWBackendType.QFW_TYPE_NWQSIM: "nwqsim",
    QFWBackendType.QFW_TYPE_QISKITAER: "aer",
    QFWBackendType.QFW_TYPE_TNQVM: "tnqvm",
    QFWBackendType.QFW_TYPE_QB: "qb",
    QFWBackendType.QFW_TYPE_IQM: "iqm",
    QFWBackendType.QFW_TYPE_QTENSOR: "qtensor",
    QFWBackendType.QFW_TYPE_IONQ: "ionq",
    QFWBackendType.QFW_TYPE_IBMQ: "ibmq",
}
_STAND_IN = "statevec"
_STATE_VECTOR = ("nwqsim", "aer")  # what the built-in state-vector simulator may stand in for
_INSTALL = {
    "nwqsim": "build NWQ-Sim (pnnl/NWQ-Sim) and set $QFW_NWQSIM to its nwq_qasm, see docs/nwqsim.md",
    "aer": "pip install 'qfw[aer]'",
}
_warned: set[str] = set()


def wanted_device(
    devices: Sequence[Any], betype: int, capability: int, provider: str | None, device: str | None
) -> str | None:
    """The name of the device that the arguments ask for; None: any simulator.

    Args:
        devices: those there are: their own names and providers count as names of providers.

    Raises:
        InvalidArgument: an unknown provider, or a number outside the flags.
    """
    if device is not None:
        return device
    if provider is not None:
        return _of_provider(provider, devices)
    kind = QFWBackendType(_mask(betype, QFWBackendType, "betype"))
    caps = QFWBackendCapability(_mask(capability, QFWBackendCapability, "capability"))
    if betype != -1:
        for flag, name in _TYPES.items():
            if flag in kind:
                return name
        if kind == QFWBackendType.QFW_TYPE_HARDWARE:
            return "hardware"
    if capability != -1 and QFWBackendCapability.QFW_CAP_STATEVECTOR not in caps:
        return "tnqvm" if QFWBackendCapability.QFW_CAP_TENSORNETWORK in caps else "hardware"
    return None


def _of_provider(provider: str, devices: Sequence[Any]) -> str:
    name = provider.lower()
    if name in _DEVICES:
        return _DEVICES[name]
    here = {d.provider.lower(): d.name for d in reversed(devices)} | {d.name.lower(): d.name for d in devices}
    if name in here:
        return str(here[name])
    known = sorted({*_DEVICES, *here})
    guess = near(name, known)
    advice = f"{guess} " if guess.startswith("did") else ""
    raise InvalidArgument(f"provider {provider!r} is unknown; {advice}known providers: {', '.join(known)}")


def _mask(value: int, flags: type[IntFlag], what: str) -> int:
    every = sum(flags)
    if value == -1:
        return every
    if value <= 0 or value & ~every:
        raise InvalidArgument(
            f"{what} {value}; -1 (any) or a mask of {', '.join(f.name or '' for f in flags)} expected"
        )
    return int(value)


def choose(devices: Sequence[Any], wanted: str | None) -> Any:
    """The device to use, of those that a context offers; the built-in simulator stands in where it can.

    Raises:
        NotFound: nothing fits; the message names what is there.
    """
    by_name = {device.name: device for device in devices}
    if wanted is None:
        return (
            by_name.get(_STAND_IN) or next((d for d in devices if d.simulator), None) or _missing("simulator", by_name)
        )
    if wanted in by_name and (by_name[wanted].status != "offline" or wanted not in _STATE_VECTOR):
        return by_name[wanted]
    if wanted == "hardware":
        return next((d for d in devices if not d.simulator), None) or _missing("hardware", by_name)
    if wanted in _STATE_VECTOR and _STAND_IN in by_name and os.environ.get(STRICT, "0") in ("", "0"):
        _warn_once(wanted)
        return by_name[_STAND_IN]
    return _missing(wanted, by_name)


def _missing(wanted: str, by_name: dict[str, Any]) -> Any:
    advice = f"; to install it: {_INSTALL[wanted]}" if wanted in _INSTALL else ""
    there = ", ".join(sorted(n for n, d in by_name.items() if d.status != "offline")) or "none"
    why = by_name[wanted].status_reason if wanted in by_name else ""
    raise NotFound(f"no device for {wanted!r} here{why and f' ({why})'}; available: {there}{advice}")


def _warn_once(wanted: str) -> None:
    if wanted not in _warned:
        _warned.add(wanted)
        warnings.warn(
            f"{wanted!r} is not installed here: the built-in simulator {_STAND_IN!r} runs its circuits instead "
            f"({STRICT}=1 makes this an error)",
            UserWarning,
            stacklevel=4,
        )
