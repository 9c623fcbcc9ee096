from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeviceStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEVICE_ONLINE: _ClassVar[DeviceStatus]
    DEVICE_STARTING: _ClassVar[DeviceStatus]
    DEVICE_BUSY: _ClassVar[DeviceStatus]
    DEVICE_DRAINING: _ClassVar[DeviceStatus]
    DEVICE_FAULT: _ClassVar[DeviceStatus]
    DEVICE_OFFLINE: _ClassVar[DeviceStatus]
DEVICE_ONLINE: DeviceStatus
DEVICE_STARTING: DeviceStatus
DEVICE_BUSY: DeviceStatus
DEVICE_DRAINING: DeviceStatus
DEVICE_FAULT: DeviceStatus
DEVICE_OFFLINE: DeviceStatus

class Coupling(_message.Message):
    __slots__ = ("first", "second")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    first: int
    second: int
    def __init__(self, first: _Optional[int] = ..., second: _Optional[int] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("id", "name", "provider", "description", "version", "simulator", "status", "status_reason", "max_qubits", "max_shots", "max_rows", "capacity", "queued", "gates", "outputs", "coupling", "options", "instances", "max_ranks", "threads")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SIMULATOR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_REASON_FIELD_NUMBER: _ClassVar[int]
    MAX_QUBITS_FIELD_NUMBER: _ClassVar[int]
    MAX_SHOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    GATES_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    COUPLING_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    MAX_RANKS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    id: int
    name: str
    provider: str
    description: str
    version: str
    simulator: bool
    status: DeviceStatus
    status_reason: str
    max_qubits: int
    max_shots: int
    max_rows: int
    capacity: int
    queued: int
    gates: _containers.RepeatedScalarFieldContainer[str]
    outputs: _containers.RepeatedScalarFieldContainer[str]
    coupling: _containers.RepeatedCompositeFieldContainer[Coupling]
    options: _containers.ScalarMap[str, str]
    instances: int
    max_ranks: int
    threads: int
    def __init__(self, id: _Optional[int] = ..., name: _Optional[str] = ..., provider: _Optional[str] = ..., description: _Optional[str] = ..., version: _Optional[str] = ..., simulator: bool = ..., status: _Optional[_Union[DeviceStatus, str]] = ..., status_reason: _Optional[str] = ..., max_qubits: _Optional[int] = ..., max_shots: _Optional[int] = ..., max_rows: _Optional[int] = ..., capacity: _Optional[int] = ..., queued: _Optional[int] = ..., gates: _Optional[_Iterable[str]] = ..., outputs: _Optional[_Iterable[str]] = ..., coupling: _Optional[_Iterable[_Union[Coupling, _Mapping]]] = ..., options: _Optional[_Mapping[str, str]] = ..., instances: _Optional[int] = ..., max_ranks: _Optional[int] = ..., threads: _Optional[int] = ...) -> None: ...
