from qfw.qpm.api.v1 import device_pb2 as _device_pb2
from qfw.qpm.api.v1 import errors_pb2 as _errors_pb2
from qfw.qpm.api.v1 import event_pb2 as _event_pb2
from qfw.qpm.api.v1 import job_pb2 as _job_pb2
from qfw.qpm.api.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ClientMessage(_message.Message):
    __slots__ = ("hello", "put_program", "open_stream", "close_stream", "chunk", "submit", "cancel", "query_devices", "bye", "subscribe", "attach_job", "query_jobs", "forget_job")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    PUT_PROGRAM_FIELD_NUMBER: _ClassVar[int]
    OPEN_STREAM_FIELD_NUMBER: _ClassVar[int]
    CLOSE_STREAM_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    QUERY_DEVICES_FIELD_NUMBER: _ClassVar[int]
    BYE_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    ATTACH_JOB_FIELD_NUMBER: _ClassVar[int]
    QUERY_JOBS_FIELD_NUMBER: _ClassVar[int]
    FORGET_JOB_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    put_program: PutProgram
    open_stream: OpenStream
    close_stream: CloseStream
    chunk: ArrayChunk
    submit: Submit
    cancel: Cancel
    query_devices: QueryDevices
    bye: Bye
    subscribe: Subscribe
    attach_job: AttachJob
    query_jobs: QueryJobs
    forget_job: ForgetJob
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., put_program: _Optional[_Union[PutProgram, _Mapping]] = ..., open_stream: _Optional[_Union[OpenStream, _Mapping]] = ..., close_stream: _Optional[_Union[CloseStream, _Mapping]] = ..., chunk: _Optional[_Union[ArrayChunk, _Mapping]] = ..., submit: _Optional[_Union[Submit, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., query_devices: _Optional[_Union[QueryDevices, _Mapping]] = ..., bye: _Optional[_Union[Bye, _Mapping]] = ..., subscribe: _Optional[_Union[Subscribe, _Mapping]] = ..., attach_job: _Optional[_Union[AttachJob, _Mapping]] = ..., query_jobs: _Optional[_Union[QueryJobs, _Mapping]] = ..., forget_job: _Optional[_Union[ForgetJob, _Mapping]] = ...) -> None: ...

class ServerMessage(_message.Message):
    __slots__ = ("welcome", "chunk", "completions", "devices", "opened", "failure", "rows", "events", "jobs")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    COMPLETIONS_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    chunk: ArrayChunk
    completions: Completions
    devices: DeviceList
    opened: Opened
    failure: _errors_pb2.Failure
    rows: RowBlock
    events: Events
    jobs: JobList
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., chunk: _Optional[_Union[ArrayChunk, _Mapping]] = ..., completions: _Optional[_Union[Completions, _Mapping]] = ..., devices: _Optional[_Union[DeviceList, _Mapping]] = ..., opened: _Optional[_Union[Opened, _Mapping]] = ..., failure: _Optional[_Union[_errors_pb2.Failure, _Mapping]] = ..., rows: _Optional[_Union[RowBlock, _Mapping]] = ..., events: _Optional[_Union[Events, _Mapping]] = ..., jobs: _Optional[_Union[JobList, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "software", "weight")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    software: str
    weight: float
    def __init__(self, protocol: _Optional[int] = ..., software: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "software", "window", "limits", "devices", "clock_ns")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    CLOCK_NS_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    software: str
    window: int
    limits: Limits
    devices: _containers.RepeatedCompositeFieldContainer[_device_pb2.Device]
    clock_ns: int
    def __init__(self, protocol: _Optional[int] = ..., software: _Optional[str] = ..., window: _Optional[int] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., devices: _Optional[_Iterable[_Union[_device_pb2.Device, _Mapping]]] = ..., clock_ns: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("message_bytes", "inline_bytes", "chunk_bytes", "program_bytes", "task_bytes")
    MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    INLINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_BYTES_FIELD_NUMBER: _ClassVar[int]
    TASK_BYTES_FIELD_NUMBER: _ClassVar[int]
    message_bytes: int
    inline_bytes: int
    chunk_bytes: int
    program_bytes: int
    task_bytes: int
    def __init__(self, message_bytes: _Optional[int] = ..., inline_bytes: _Optional[int] = ..., chunk_bytes: _Optional[int] = ..., program_bytes: _Optional[int] = ..., task_bytes: _Optional[int] = ...) -> None: ...

class PutProgram(_message.Message):
    __slots__ = ("sha256", "total", "offset", "data")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    sha256: bytes
    total: int
    offset: int
    data: bytes
    def __init__(self, sha256: _Optional[bytes] = ..., total: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class OpenStream(_message.Message):
    __slots__ = ("stream", "devices", "sequential", "job")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    SEQUENTIAL_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    stream: int
    devices: _containers.RepeatedScalarFieldContainer[int]
    sequential: bool
    job: _job_pb2.JobSpec
    def __init__(self, stream: _Optional[int] = ..., devices: _Optional[_Iterable[int]] = ..., sequential: bool = ..., job: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ...) -> None: ...

class Opened(_message.Message):
    __slots__ = ("stream", "failure", "job")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    stream: int
    failure: _errors_pb2.Failure
    job: _job_pb2.Job
    def __init__(self, stream: _Optional[int] = ..., failure: _Optional[_Union[_errors_pb2.Failure, _Mapping]] = ..., job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...

class AttachJob(_message.Message):
    __slots__ = ("stream", "job")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    stream: int
    job: str
    def __init__(self, stream: _Optional[int] = ..., job: _Optional[str] = ...) -> None: ...

class QueryJobs(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, jobs: _Optional[_Iterable[str]] = ...) -> None: ...

class JobList(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ...) -> None: ...

class ForgetJob(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: str
    def __init__(self, job: _Optional[str] = ...) -> None: ...

class Subscribe(_message.Message):
    __slots__ = ("kinds", "devices")
    KINDS_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedScalarFieldContainer[_event_pb2.EventKind]
    devices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, kinds: _Optional[_Iterable[_Union[_event_pb2.EventKind, str]]] = ..., devices: _Optional[_Iterable[int]] = ...) -> None: ...

class Events(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ...) -> None: ...

class CloseStream(_message.Message):
    __slots__ = ("stream",)
    STREAM_FIELD_NUMBER: _ClassVar[int]
    stream: int
    def __init__(self, stream: _Optional[int] = ...) -> None: ...

class Submit(_message.Message):
    __slots__ = ("tasks", "programs")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    PROGRAMS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[_task_pb2.Task]
    programs: _containers.RepeatedCompositeFieldContainer[PutProgram]
    def __init__(self, tasks: _Optional[_Iterable[_Union[_task_pb2.Task, _Mapping]]] = ..., programs: _Optional[_Iterable[_Union[PutProgram, _Mapping]]] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, tasks: _Optional[_Iterable[int]] = ...) -> None: ...

class QueryDevices(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Completions(_message.Message):
    __slots__ = ("completions",)
    COMPLETIONS_FIELD_NUMBER: _ClassVar[int]
    completions: _containers.RepeatedCompositeFieldContainer[_task_pb2.Completion]
    def __init__(self, completions: _Optional[_Iterable[_Union[_task_pb2.Completion, _Mapping]]] = ...) -> None: ...

class DeviceList(_message.Message):
    __slots__ = ("devices",)
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedCompositeFieldContainer[_device_pb2.Device]
    def __init__(self, devices: _Optional[_Iterable[_Union[_device_pb2.Device, _Mapping]]] = ...) -> None: ...

class Bye(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ArrayChunk(_message.Message):
    __slots__ = ("task", "row", "array", "total", "offset", "data")
    class Array(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        BINDINGS: _ClassVar[ArrayChunk.Array]
        MEMORY: _ClassVar[ArrayChunk.Array]
        COUNT_KEYS: _ClassVar[ArrayChunk.Array]
        COUNTS: _ClassVar[ArrayChunk.Array]
        PROBABILITIES: _ClassVar[ArrayChunk.Array]
        STATEVECTOR: _ClassVar[ArrayChunk.Array]
        EXPECTATIONS: _ClassVar[ArrayChunk.Array]
        GRADIENTS: _ClassVar[ArrayChunk.Array]
    BINDINGS: ArrayChunk.Array
    MEMORY: ArrayChunk.Array
    COUNT_KEYS: ArrayChunk.Array
    COUNTS: ArrayChunk.Array
    PROBABILITIES: ArrayChunk.Array
    STATEVECTOR: ArrayChunk.Array
    EXPECTATIONS: ArrayChunk.Array
    GRADIENTS: ArrayChunk.Array
    TASK_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    task: int
    row: int
    array: ArrayChunk.Array
    total: int
    offset: int
    data: bytes
    def __init__(self, task: _Optional[int] = ..., row: _Optional[int] = ..., array: _Optional[_Union[ArrayChunk.Array, str]] = ..., total: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class RowBlock(_message.Message):
    __slots__ = ("task", "first", "rows")
    TASK_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    task: int
    first: int
    rows: _containers.RepeatedCompositeFieldContainer[_task_pb2.Row]
    def __init__(self, task: _Optional[int] = ..., first: _Optional[int] = ..., rows: _Optional[_Iterable[_Union[_task_pb2.Row, _Mapping]]] = ...) -> None: ...
