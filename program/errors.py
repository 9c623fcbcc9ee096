"""The exception tree of qfw; `qfw.qpi.errors` re-exports it.

QfwError
├── InvalidArgument          a value outside what is allowed
│   └── LimitExceeded        above a configured limit
├── ProgramError
│   ├── InvalidProgram       bytes that do not decode or do not validate
│   ├── ParseError           text that does not parse: .file .line .column
│   └── UnknownGate
├── Unsupported              valid, but this device or build cannot do it
├── NotFound                 no such device, stream, task, program
├── ResourceExhausted        memory, queue, credit
├── DeadlineExceeded         the task's own deadline passed
├── Cancelled
├── DeviceError              the device refused or failed, in its own words
│   └── DeviceLost           its process or instance died
├── ConnectionLost           the daemon went away
├── Unavailable              no daemon, or not ready
├── PermissionDenied
├── ProtocolError            a peer broke the wire contract
├── InternalError            a defect of ours
├── WaitTimeout              a wait of the caller ran out; the work goes on (also a TimeoutError)
└── Closed                   used after close
"""

from __future__ import annotations

from typing import ClassVar


class QfwError(Exception):
    """Root of all errors of qfw.

    Attributes:
        code: the number of the error in `errors.proto`.
        transient: whether trying again can help.
        retry_after: seconds to wait before trying again; 0.0 when unknown.
    """

    code: ClassVar[int] = 17

    def __init__(self, message: str = "", *, transient: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.transient = transient
        self.retry_after = retry_after


class InvalidArgument(QfwError, ValueError):
    code = 1


class LimitExceeded(InvalidArgument):
    code = 8


class ProgramError(QfwError):
    code = 2


class InvalidProgram(ProgramError):
    code = 2


class ParseError(ProgramError):
    """Program text that does not parse; `file`, `line` and `column` (both from 1) are None where unknown."""

    code = 3

    def __init__(
        self,
        message: str = "",
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        transient: bool = False,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message, transient=transient, retry_after=retry_after)
        self.file = file
        self.line = line
        self.column = column


class UnknownGate(ProgramError):
    code = 4


class Unsupported(QfwError):
    code = 5


class NotFound(QfwError, LookupError):
    code = 6


class ResourceExhausted(QfwError):
    code = 7


class DeadlineExceeded(QfwError):
    code = 9


class Cancelled(QfwError):
    code = 10


class DeviceError(QfwError):
    code = 11


class DeviceLost(DeviceError):
    code = 12


class ConnectionLost(QfwError, ConnectionError):
    code = 13


class Unavailable(QfwError):
    code = 14


class PermissionDenied(QfwError):
    code = 15


class ProtocolError(QfwError):
    code = 16


class InternalError(QfwError):
    code = 17


class WaitTimeout(QfwError, TimeoutError):
    code = 18


class Closed(QfwError):
    code = 19


def _by_code() -> dict[int, type[QfwError]]:
    found: dict[int, type[QfwError]] = {}
    todo: list[type[QfwError]] = [QfwError]
    while todo:
        cls = todo.pop()
        todo += cls.__subclasses__()
        if not cls.__subclasses__() or cls in (InvalidArgument, DeviceError):
            found[cls.code] = cls
    return found


BY_CODE: dict[int, type[QfwError]] = _by_code()


def from_code(code: int, message: str, transient: bool = False, retry_after: float = 0.0) -> QfwError:
    """The exception for an error number; InternalError for a number outside the enumeration."""
    return BY_CODE.get(code, InternalError)(message, transient=transient, retry_after=retry_after)
