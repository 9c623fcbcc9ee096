"""The names that users of QFw import, in both of its spellings; see `qfw.qpi.adapters.qiskit`."""

from qfw.qpi.adapters.qiskit import (
    QFWBackend,
    QFWBackendCapability,
    QFWBackendType,
    QFWEstimatorV2,
    QFWJob,
    QFWSamplerV2,
)

QFwBackend = QFWBackend
QFwBackendCapability = QFWBackendCapability
QFwBackendType = QFWBackendType
QFwEstimatorV2 = QFWEstimatorV2
QFwJob = QFWJob
QFwSamplerV2 = QFWSamplerV2

__all__ = [
    "QFWBackend",
    "QFWBackendCapability",
    "QFWBackendType",
    "QFWEstimatorV2",
    "QFWJob",
    "QFWSamplerV2",
    "QFwBackend",
    "QFwBackendCapability",
    "QFwBackendType",
    "QFwEstimatorV2",
    "QFwJob",
    "QFwSamplerV2",
]
