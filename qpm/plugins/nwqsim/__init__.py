"""NWQ-Sim (pnnl/NWQ-Sim) as a provider: an installed `nwq_qasm`, launched once per row; see docs/nwqsim.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from qfw.program import gates
from qfw.program.errors import InvalidArgument
from qfw.qpm.plugin import DeviceSpec, Executor, Option, Plugin
from qfw.qpm.plugins.nwqsim.installed import find

MAX_QUBITS = 34  # of state vectors on one node; the bytes are compared with what is free before a launch

OPTIONS = (
    Option("method", "statevector", "How NWQ-Sim simulates.", ("statevector", "density_matrix")),
    Option("device_profile", "", "Noise for method density_matrix: the JSON of a device as NWQ-Sim reads it."),
    Option("backend", "CPU", "What NWQ-Sim runs on; MPI gives counts and memory alone.", ("CPU", "OpenMP", "MPI")),
    Option("ranks", 1, "Processes of the MPI back end, a power of two.", minimum=1, maximum=1 << 16),
    Option("threads", 1, "Threads of the OpenMP back end.", minimum=1, maximum=4096),
    Option("fusion", True, "Whether NWQ-Sim fuses gates."),
)


class NwqsimPlugin(Plugin):
    name: ClassVar[str] = "nwqsim"

    def devices(self) -> Sequence[DeviceSpec]:
        try:
            version = find().version
        except InvalidArgument:  # `missing` says what is wrong
            version = ""
        return [
            DeviceSpec(
                name="nwqsim",
                description="an installed NWQ-Sim: CPU, OpenMP and MPI back ends by option",
                version=version,
                max_qubits=MAX_QUBITS,
                capacity=8,
                workers=0,
                gates=(*(g.name for g in gates()), "controlled", "unitary", "measure"),
                options=OPTIONS,
            )
        ]

    def missing(self) -> str:
        try:
            find()
        except InvalidArgument as error:
            return str(error)
        return ""

    def executor(self, device: str) -> Executor:
        from qfw.qpm.plugins.nwqsim.executor import NwqsimExecutor

        return NwqsimExecutor(find())


plugin = NwqsimPlugin()
