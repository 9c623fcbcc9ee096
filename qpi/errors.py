"""The exceptions of qfw: those of `qfw.program.errors`, and one of reading a queue."""

from __future__ import annotations

from typing import Any, ClassVar

from qfw.program.errors import (
    Cancelled,
    Closed,
    ConnectionLost,
    DeadlineExceeded,
    DeviceError,
    DeviceLost,
    InternalError,
    InvalidArgument,
    InvalidProgram,
    LimitExceeded,
    NotFound,
    ParseError,
    PermissionDenied,
    ProgramError,
    ProtocolError,
    QfwError,
    ResourceExhausted,
    Unavailable,
    UnknownGate,
    Unsupported,
    WaitTimeout,
    from_code,
)

__all__ = [
    "Cancelled",
    "Closed",
    "ConnectionLost",
    "DeadlineExceeded",
    "DeviceError",
    "DeviceLost",
    "ErrorAvailable",
    "InternalError",
    "InvalidArgument",
    "InvalidProgram",
    "LimitExceeded",
    "NotFound",
    "ParseError",
    "PermissionDenied",
    "ProgramError",
    "ProtocolError",
    "QfwError",
    "ResourceExhausted",
    "Unavailable",
    "UnknownGate",
    "Unsupported",
    "WaitTimeout",
]


class ErrorAvailable(QfwError):
    """The next entry of the queue is an error: take it with `CompletionQueue.readerr()`."""

    code: ClassVar[int] = 65  # QPI_EAVAIL


def of_failure(failure: tuple[int, str, bool, float]) -> QfwError:
    """The exception for a native failure (code, message, transient, retry_after)."""
    code, message, transient, retry_after = failure
    return from_code(code, message, transient, retry_after)


def failed_operation(failure: tuple[int, str, bool, float], result: Any) -> QfwError:
    """The exception for a failed operation; `result` (what there is of it) is attached as `.result`."""
    error = of_failure(failure)
    error.result = result  # type: ignore[attr-defined]
    return error


def task_error(native: Any, result: Any) -> QfwError:
    """The exception for a failed native result; `result` (what there is of it) is attached as `.result`."""
    error = of_failure(native.failure)
    error.result = result if len(native) else None  # type: ignore[attr-defined]
    return error
