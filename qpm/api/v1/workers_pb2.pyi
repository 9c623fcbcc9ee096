from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InstancePlace(_message.Message):
    __slots__ = ("node", "ranks", "cpus")
    NODE_FIELD_NUMBER: _ClassVar[int]
    RANKS_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    node: str
    ranks: int
    cpus: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, node: _Optional[str] = ..., ranks: _Optional[int] = ..., cpus: _Optional[_Iterable[int]] = ...) -> None: ...

class RegisterRequest(_message.Message):
    __slots__ = ("run_id", "instance", "plugin", "device", "carrier", "address", "node", "pid", "start_time", "ranks", "threads", "places", "memory_bytes", "software")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    RANKS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    instance: str
    plugin: str
    device: str
    carrier: str
    address: str
    node: str
    pid: int
    start_time: int
    ranks: int
    threads: int
    places: _containers.RepeatedCompositeFieldContainer[InstancePlace]
    memory_bytes: int
    software: str
    def __init__(self, run_id: _Optional[str] = ..., instance: _Optional[str] = ..., plugin: _Optional[str] = ..., device: _Optional[str] = ..., carrier: _Optional[str] = ..., address: _Optional[str] = ..., node: _Optional[str] = ..., pid: _Optional[int] = ..., start_time: _Optional[int] = ..., ranks: _Optional[int] = ..., threads: _Optional[int] = ..., places: _Optional[_Iterable[_Union[InstancePlace, _Mapping]]] = ..., memory_bytes: _Optional[int] = ..., software: _Optional[str] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("instance", "lease")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    instance: str
    lease: str
    def __init__(self, instance: _Optional[str] = ..., lease: _Optional[str] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("wanted", "known", "reason", "lease", "renew_s", "lapse_s")
    WANTED_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    RENEW_S_FIELD_NUMBER: _ClassVar[int]
    LAPSE_S_FIELD_NUMBER: _ClassVar[int]
    wanted: bool
    known: bool
    reason: str
    lease: str
    renew_s: float
    lapse_s: float
    def __init__(self, wanted: bool = ..., known: bool = ..., reason: _Optional[str] = ..., lease: _Optional[str] = ..., renew_s: _Optional[float] = ..., lapse_s: _Optional[float] = ...) -> None: ...

class LeaveRequest(_message.Message):
    __slots__ = ("instance", "lease", "reason")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    instance: str
    lease: str
    reason: str
    def __init__(self, instance: _Optional[str] = ..., lease: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class LeaveResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
