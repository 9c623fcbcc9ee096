"""Stim as a provider: Clifford programs of thousands of qubits, by the stabilizer formalism, in a worker process."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import ClassVar

from qfw.program import gates
from qfw.qpm.plugin import DeviceSpec, Executor, Plugin

MAX_QUBITS = 4096

# Gates without an angle that are not Clifford. Those with angles are where their matrices are.
NOT_CLIFFORD = frozenset(("t", "tdg", "ch", "cs", "csdg", "csx", "csxdg", "ccx", "ccz", "cswap", "siswap", "siswapdg"))


class StimPlugin(Plugin):
    name: ClassVar[str] = "stim"

    def devices(self) -> Sequence[DeviceSpec]:
        return [
            DeviceSpec(
                name="stim",
                description="stabilizer simulator, for Clifford gates and angles that make gates Clifford",
                version=_version(),
                max_qubits=MAX_QUBITS,
                capacity=64,
                gates=(
                    *(g.name for g in gates() if g.name not in NOT_CLIFFORD),
                    *("controlled", "unitary", "measure", "reset"),
                ),
                outputs=("counts", "memory", "expectations"),
                split_rows=True,
            )
        ]

    def missing(self) -> str:
        return "" if find_spec("stim") else "stim is not installed: pip install 'qfw[stim]'"

    def executor(self, device: str) -> Executor:
        from qfw.qpm.plugins.stim.executor import StimExecutor

        return StimExecutor()


def _version() -> str:
    try:
        return version("stim")
    except PackageNotFoundError:
        return ""


plugin = StimPlugin()
