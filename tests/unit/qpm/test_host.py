"""Discovery: whatever a plugin does, it harms nobody else."""

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from qfw.program.errors import InvalidArgument
from qfw.qpm import host
from qfw.qpm.plugin import DeviceSpec, Option, Plugin, spec_of


class Table:
    """Records what a runtime is told."""

    def __init__(self) -> None:
        self.devices: list[dict[str, Any]] = []
        self.status: dict[str, tuple[str, str]] = {}

    def add_statevec(self, name: str = "statevec") -> int:
        self.devices.append({"name": name})
        return len(self.devices) - 1

    def add_workers(
        self, info: dict[str, Any], workers: Sequence[host.Process], policy: Mapping[str, Any] | None = None
    ) -> int:
        self.devices.append({**info, "workers": len(workers)})
        return len(self.devices) - 1

    def set_status(self, device: int, status: str, reason: str) -> None:
        self.status[self.devices[device]["name"]] = (status, reason)


def entry(value: str, name: str = "it") -> EntryPoint:
    return EntryPoint(name, value, host.GROUP)


class Lacking(Plugin):
    name = "lacking"

    def devices(self) -> list[DeviceSpec]:
        return [DeviceSpec(name="lacking")]

    def missing(self) -> str:
        return "vendor-sdk is not installed: pip install vendor-sdk"


class Raising(Plugin):
    def devices(self) -> list[DeviceSpec]:
        raise RuntimeError("no licence")


lacking = Lacking()
raising = Raising()
not_a_plugin = 3


def test_the_built_in_plugins_are_found_first() -> None:
    found = host.discover()
    assert [f.name for f in found][:2] == ["statevec", "aer"]
    assert all(f.plugin is not None for f in found[:2])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no.such.module:plugin", "ModuleNotFoundError"),
        ("qfw.qpm.plugin:nothing", "AttributeError"),
        (f"{__name__}:not_a_plugin", "is a int, not a qfw.qpm.plugin.Plugin"),
        (f"{__name__}:raising", "RuntimeError: no licence"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_a_device_that_says_why(
    value: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType(__name__)
    module.__dict__.update(raising=raising, not_a_plugin=not_a_plugin)
    monkeypatch.setitem(sys.modules, __name__, module)
    table = Table()
    host.Host(table, tmp_path).install(
        [host.load(entry(value, "broken")), host.load(entry(host.BUILTIN["aer"], "aer"))]
    )
    assert [d["name"] for d in table.devices] == ["broken", "aer"]
    status, text = table.status["broken"]
    assert status == "fault" and reason in text


def test_a_missing_package_is_listed_with_how_to_install_it(tmp_path: Path) -> None:
    table = Table()
    found = host.Found("lacking", "x:y", lacking, lacking.missing(), tuple(lacking.devices()))
    host.Host(table, tmp_path).install([found])
    assert table.status["lacking"] == ("offline", "vendor-sdk is not installed: pip install vendor-sdk")


def test_a_second_device_of_the_same_name_is_skipped(tmp_path: Path) -> None:
    table = Table()
    found = host.load(entry(host.BUILTIN["statevec"], "statevec"))
    host.Host(table, tmp_path).install([found, found])
    assert len(table.devices) == 1


def test_options_describe_themselves() -> None:
    assert Option("m", "a", "Kind.", ("a", "b")).describe() == "Kind. One of a, b. Default a."
    assert Option("n", 1, "Count.", minimum=0).describe() == "Count. At least 0. Default 1."
    assert Option("n", 1, "Count.", minimum=0, maximum=4).describe() == "Count. From 0 to 4. Default 1."
    assert Option("f", True, "Flag.").describe() == "Flag. Default true."


def test_a_device_that_the_plugin_does_not_have() -> None:
    with pytest.raises(InvalidArgument, match="has no device 'x'; it has lacking"):
        spec_of(lacking, "x")
