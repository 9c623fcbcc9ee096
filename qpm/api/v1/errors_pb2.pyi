from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OK: _ClassVar[ErrorCode]
    INVALID_ARGUMENT: _ClassVar[ErrorCode]
    INVALID_PROGRAM: _ClassVar[ErrorCode]
    PARSE: _ClassVar[ErrorCode]
    UNKNOWN_GATE: _ClassVar[ErrorCode]
    UNSUPPORTED: _ClassVar[ErrorCode]
    NOT_FOUND: _ClassVar[ErrorCode]
    RESOURCE_EXHAUSTED: _ClassVar[ErrorCode]
    LIMIT_EXCEEDED: _ClassVar[ErrorCode]
    DEADLINE_EXCEEDED: _ClassVar[ErrorCode]
    CANCELLED: _ClassVar[ErrorCode]
    DEVICE: _ClassVar[ErrorCode]
    DEVICE_LOST: _ClassVar[ErrorCode]
    CONNECTION_LOST: _ClassVar[ErrorCode]
    UNAVAILABLE: _ClassVar[ErrorCode]
    PERMISSION_DENIED: _ClassVar[ErrorCode]
    PROTOCOL: _ClassVar[ErrorCode]
    INTERNAL: _ClassVar[ErrorCode]
    TIMEOUT: _ClassVar[ErrorCode]
    CLOSED: _ClassVar[ErrorCode]
OK: ErrorCode
INVALID_ARGUMENT: ErrorCode
INVALID_PROGRAM: ErrorCode
PARSE: ErrorCode
UNKNOWN_GATE: ErrorCode
UNSUPPORTED: ErrorCode
NOT_FOUND: ErrorCode
RESOURCE_EXHAUSTED: ErrorCode
LIMIT_EXCEEDED: ErrorCode
DEADLINE_EXCEEDED: ErrorCode
CANCELLED: ErrorCode
DEVICE: ErrorCode
DEVICE_LOST: ErrorCode
CONNECTION_LOST: ErrorCode
UNAVAILABLE: ErrorCode
PERMISSION_DENIED: ErrorCode
PROTOCOL: ErrorCode
INTERNAL: ErrorCode
TIMEOUT: ErrorCode
CLOSED: ErrorCode

class Failure(_message.Message):
    __slots__ = ("code", "message", "transient", "retry_after_s")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TRANSIENT_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    code: ErrorCode
    message: str
    transient: bool
    retry_after_s: float
    def __init__(self, code: _Optional[_Union[ErrorCode, str]] = ..., message: _Optional[str] = ..., transient: bool = ..., retry_after_s: _Optional[float] = ...) -> None: ...
