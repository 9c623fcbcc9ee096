from qfw.qpm.api.v1 import device_pb2 as _device_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_STATUS: _ClassVar[EventKind]
    EVENT_FAULT: _ClassVar[EventKind]
    EVENT_DRAIN: _ClassVar[EventKind]
    EVENT_CALIBRATION: _ClassVar[EventKind]
    EVENT_NOISE: _ClassVar[EventKind]

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_INFO: _ClassVar[Severity]
    SEVERITY_WARNING: _ClassVar[Severity]
    SEVERITY_ERROR: _ClassVar[Severity]
EVENT_STATUS: EventKind
EVENT_FAULT: EventKind
EVENT_DRAIN: EventKind
EVENT_CALIBRATION: EventKind
EVENT_NOISE: EventKind
SEVERITY_INFO: Severity
SEVERITY_WARNING: Severity
SEVERITY_ERROR: Severity

class Event(_message.Message):
    __slots__ = ("sequence", "time_s", "kind", "device", "device_name", "status", "severity", "message", "calibration_set", "values", "lost")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_S_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_SET_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time_s: float
    kind: EventKind
    device: int
    device_name: str
    status: _device_pb2.DeviceStatus
    severity: Severity
    message: str
    calibration_set: str
    values: _containers.ScalarMap[str, float]
    lost: int
    def __init__(self, sequence: _Optional[int] = ..., time_s: _Optional[float] = ..., kind: _Optional[_Union[EventKind, str]] = ..., device: _Optional[int] = ..., device_name: _Optional[str] = ..., status: _Optional[_Union[_device_pb2.DeviceStatus, str]] = ..., severity: _Optional[_Union[Severity, str]] = ..., message: _Optional[str] = ..., calibration_set: _Optional[str] = ..., values: _Optional[_Mapping[str, float]] = ..., lost: _Optional[int] = ...) -> None: ...
