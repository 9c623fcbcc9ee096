"""`qfw devices`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qfw.qpi import Device

FIELDS = (
    "name",
    "provider",
    "description",
    "version",
    "status",
    "status_reason",
    "simulator",
    "max_qubits",
    "max_shots",
    "capacity",
    "queued",
    "instances",
    "max_ranks",
    "threads",
    "gates",
    "outputs",
    "coupling",
    "options",
)


def show(endpoint: str | None, *, as_json: bool) -> None:
    """Print the devices of an endpoint as a table, or as JSON with all that is known of each."""
    from qfw import qpi

    with qpi.connect(endpoint) as context:
        where = context.endpoint
        found = context.devices()
    if as_json:
        print(json.dumps({"endpoint": where, "devices": [as_dict(d) for d in found]}, indent=2))
        return
    print(f"endpoint: {where}")
    _table(found)


def as_dict(device: Device) -> dict[str, Any]:
    """All that is known of a device, in plain values."""
    return {name: getattr(device, name) for name in FIELDS}


def _table(found: list[Device]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("device", "provider", "kind", "status", "qubits", "outputs", box=None, pad_edge=False)
    for device in found:
        reason = f" ({device.status_reason})" if device.status_reason else ""
        kind = "simulator" if device.simulator else "hardware"
        cells = (device.name, device.provider, kind, device.status + reason, str(device.max_qubits))
        table.add_row(*cells, " ".join(device.outputs))
    Console(highlight=False, markup=False).print(table)
