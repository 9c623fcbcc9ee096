"""Qiskit Aer as a provider: its simulation methods, and noise, as options of one device, run in a worker process."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import ClassVar

from qfw.program import gates
from qfw.qpm.plugin import DeviceSpec, Executor, Option, Plugin

METHODS = (
    "automatic",
    "statevector",
    "density_matrix",
    "stabilizer",
    "matrix_product_state",
    "extended_stabilizer",
)
MAX_QUBITS = 63  # Clifford and matrix-product methods; the dense ones are refused by memory

OPTIONS = (
    Option("method", "automatic", "How Aer simulates (not unitary, superop: a task carries no such result).", METHODS),
    Option("precision", "double", "Floating-point precision.", ("double", "single")),
    Option("noise_model", "", "Noise: JSON of NoiseModel.to_dict(serializable=True), or packed; see docs/qiskit.md."),
    Option("device", "CPU", "Where Aer computes.", ("CPU",)),
    Option(
        "max_parallel_threads", 0, "Threads of a circuit; 0: one below 15 qubits, else all.", minimum=0, maximum=4096
    ),
    Option("fusion_enable", True, "Whether Aer fuses gates."),
    Option("matrix_product_state_max_bond_dimension", 0, "0: no limit.", minimum=0, maximum=1 << 30),
    Option("matrix_product_state_truncation_threshold", 1e-16, "Singular values dropped.", minimum=0.0, maximum=1.0),
    Option("extended_stabilizer_approximation_error", 0.05, "Error of the approximation.", minimum=1e-6, maximum=1.0),
)


class AerPlugin(Plugin):
    name: ClassVar[str] = "aer"

    def devices(self) -> Sequence[DeviceSpec]:
        return [
            DeviceSpec(
                name="aer",
                description="Qiskit Aer simulators, methods by option",
                version=_version(),
                max_qubits=MAX_QUBITS,
                capacity=256,
                workers=0,
                gates=(*(g.name for g in gates()), "controlled", "unitary", "measure", "reset", "dynamic"),
                options=OPTIONS,
                split_rows=True,
            )
        ]

    def missing(self) -> str:
        if find_spec("qiskit_aer") is None:
            return "qiskit-aer is not installed: pip install 'qfw[aer]'"
        return ""

    def executor(self, device: str) -> Executor:
        from qfw.qpm.plugins.aer.executor import AerExecutor

        return AerExecutor()


def _version() -> str:
    try:
        return version("qiskit-aer")
    except PackageNotFoundError:
        return ""


plugin = AerPlugin()
