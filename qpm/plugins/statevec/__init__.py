"""The built-in state-vector simulator: C++ inside the runtime, described by the runtime itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from qfw.qpm.plugin import DeviceSpec, Kind, Plugin


class StatevecPlugin(Plugin):
    name: ClassVar[str] = "statevec"
    kind: ClassVar[Kind] = "native"

    def devices(self) -> Sequence[DeviceSpec]:
        return [DeviceSpec(name="statevec", description="built-in state-vector simulator, double precision")]

    def on_ranks(self, comm: Any) -> Plugin:
        from qfw.qpm.plugins.statevec.ranks import RanksPlugin

        return RanksPlugin(comm)


plugin = StatevecPlugin()
