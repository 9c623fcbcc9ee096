"""Qiskit's front door: a backend, its jobs, and native primitives.

`from qfw_qiskit import QFWBackend` is what users type; both spellings (`QFW...`, `QFw...`) are there.
"""

from qfw.qpi.adapters.qiskit.backend import QFWBackend
from qfw.qpi.adapters.qiskit.estimator import QFWEstimatorV2
from qfw.qpi.adapters.qiskit.job import QFWJob
from qfw.qpi.adapters.qiskit.kinds import QFWBackendCapability, QFWBackendType
from qfw.qpi.adapters.qiskit.sampler import QFWSamplerV2

__all__ = ["QFWBackend", "QFWBackendCapability", "QFWBackendType", "QFWEstimatorV2", "QFWJob", "QFWSamplerV2"]
