from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Endpoint(_message.Message):
    __slots__ = ("version", "run_id", "runtime", "control", "pid", "started_at", "hostname", "software")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    version: int
    run_id: str
    runtime: str
    control: str
    pid: int
    started_at: float
    hostname: str
    software: str
    def __init__(self, version: _Optional[int] = ..., run_id: _Optional[str] = ..., runtime: _Optional[str] = ..., control: _Optional[str] = ..., pid: _Optional[int] = ..., started_at: _Optional[float] = ..., hostname: _Optional[str] = ..., software: _Optional[str] = ...) -> None: ...
