from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Endpoint(_message.Message):
    __slots__ = ("version", "run_id", "runtime", "control", "pid", "started_at", "hostname", "software", "runtime_tls", "control_tls", "tls")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_TLS_FIELD_NUMBER: _ClassVar[int]
    CONTROL_TLS_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    version: int
    run_id: str
    runtime: str
    control: str
    pid: int
    started_at: float
    hostname: str
    software: str
    runtime_tls: str
    control_tls: str
    tls: Tls
    def __init__(self, version: _Optional[int] = ..., run_id: _Optional[str] = ..., runtime: _Optional[str] = ..., control: _Optional[str] = ..., pid: _Optional[int] = ..., started_at: _Optional[float] = ..., hostname: _Optional[str] = ..., software: _Optional[str] = ..., runtime_tls: _Optional[str] = ..., control_tls: _Optional[str] = ..., tls: _Optional[_Union[Tls, _Mapping]] = ...) -> None: ...

class Tls(_message.Message):
    __slots__ = ("ca", "certificate", "key", "server_name")
    CA_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SERVER_NAME_FIELD_NUMBER: _ClassVar[int]
    ca: str
    certificate: str
    key: str
    server_name: str
    def __init__(self, ca: _Optional[str] = ..., certificate: _Optional[str] = ..., key: _Optional[str] = ..., server_name: _Optional[str] = ...) -> None: ...
