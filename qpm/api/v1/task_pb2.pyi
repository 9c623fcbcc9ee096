from qfw.qpm.api.v1 import errors_pb2 as _errors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Bindings(_message.Message):
    __slots__ = ("rows", "columns", "values")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    values: bytes
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ..., values: _Optional[bytes] = ...) -> None: ...

class PauliSum(_message.Message):
    __slots__ = ("coefficients", "sizes", "qubits", "paulis")
    COEFFICIENTS_FIELD_NUMBER: _ClassVar[int]
    SIZES_FIELD_NUMBER: _ClassVar[int]
    QUBITS_FIELD_NUMBER: _ClassVar[int]
    PAULIS_FIELD_NUMBER: _ClassVar[int]
    coefficients: _containers.RepeatedScalarFieldContainer[float]
    sizes: _containers.RepeatedScalarFieldContainer[int]
    qubits: _containers.RepeatedScalarFieldContainer[int]
    paulis: bytes
    def __init__(self, coefficients: _Optional[_Iterable[float]] = ..., sizes: _Optional[_Iterable[int]] = ..., qubits: _Optional[_Iterable[int]] = ..., paulis: _Optional[bytes] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("id", "stream", "program", "bindings", "shots", "outputs", "probability_qubits", "observables", "seed", "deadline_ns", "priority", "options", "gradient_parameters", "first_row", "ranks")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    SHOTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_QUBITS_FIELD_NUMBER: _ClassVar[int]
    OBSERVABLES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_NS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    RANKS_FIELD_NUMBER: _ClassVar[int]
    id: int
    stream: int
    program: bytes
    bindings: Bindings
    shots: int
    outputs: int
    probability_qubits: _containers.RepeatedScalarFieldContainer[int]
    observables: _containers.RepeatedCompositeFieldContainer[PauliSum]
    seed: int
    deadline_ns: int
    priority: int
    options: _containers.ScalarMap[str, str]
    gradient_parameters: _containers.RepeatedScalarFieldContainer[int]
    first_row: int
    ranks: int
    def __init__(self, id: _Optional[int] = ..., stream: _Optional[int] = ..., program: _Optional[bytes] = ..., bindings: _Optional[_Union[Bindings, _Mapping]] = ..., shots: _Optional[int] = ..., outputs: _Optional[int] = ..., probability_qubits: _Optional[_Iterable[int]] = ..., observables: _Optional[_Iterable[_Union[PauliSum, _Mapping]]] = ..., seed: _Optional[int] = ..., deadline_ns: _Optional[int] = ..., priority: _Optional[int] = ..., options: _Optional[_Mapping[str, str]] = ..., gradient_parameters: _Optional[_Iterable[int]] = ..., first_row: _Optional[int] = ..., ranks: _Optional[int] = ...) -> None: ...

class Row(_message.Message):
    __slots__ = ("memory", "count_keys", "counts", "probabilities", "statevector", "expectations", "failure", "gradients")
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    COUNT_KEYS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    STATEVECTOR_FIELD_NUMBER: _ClassVar[int]
    EXPECTATIONS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    GRADIENTS_FIELD_NUMBER: _ClassVar[int]
    memory: bytes
    count_keys: bytes
    counts: bytes
    probabilities: bytes
    statevector: bytes
    expectations: bytes
    failure: _errors_pb2.Failure
    gradients: bytes
    def __init__(self, memory: _Optional[bytes] = ..., count_keys: _Optional[bytes] = ..., counts: _Optional[bytes] = ..., probabilities: _Optional[bytes] = ..., statevector: _Optional[bytes] = ..., expectations: _Optional[bytes] = ..., failure: _Optional[_Union[_errors_pb2.Failure, _Mapping]] = ..., gradients: _Optional[bytes] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("queue_ns", "dispatch_ns", "execute_ns", "arrived_ns")
    QUEUE_NS_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_NS_FIELD_NUMBER: _ClassVar[int]
    EXECUTE_NS_FIELD_NUMBER: _ClassVar[int]
    ARRIVED_NS_FIELD_NUMBER: _ClassVar[int]
    queue_ns: int
    dispatch_ns: int
    execute_ns: int
    arrived_ns: int
    def __init__(self, queue_ns: _Optional[int] = ..., dispatch_ns: _Optional[int] = ..., execute_ns: _Optional[int] = ..., arrived_ns: _Optional[int] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("failure", "rows", "shots", "num_bits", "seed", "device", "device_version", "calibration_set", "timing", "method", "method_reason", "gradient_columns")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SHOTS_FIELD_NUMBER: _ClassVar[int]
    NUM_BITS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_SET_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    METHOD_REASON_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    failure: _errors_pb2.Failure
    rows: _containers.RepeatedCompositeFieldContainer[Row]
    shots: int
    num_bits: int
    seed: int
    device: str
    device_version: str
    calibration_set: str
    timing: Timing
    method: str
    method_reason: str
    gradient_columns: int
    def __init__(self, failure: _Optional[_Union[_errors_pb2.Failure, _Mapping]] = ..., rows: _Optional[_Iterable[_Union[Row, _Mapping]]] = ..., shots: _Optional[int] = ..., num_bits: _Optional[int] = ..., seed: _Optional[int] = ..., device: _Optional[str] = ..., device_version: _Optional[str] = ..., calibration_set: _Optional[str] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ..., method: _Optional[str] = ..., method_reason: _Optional[str] = ..., gradient_columns: _Optional[int] = ...) -> None: ...

class Completion(_message.Message):
    __slots__ = ("task", "stream", "result")
    TASK_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    task: int
    stream: int
    result: Result
    def __init__(self, task: _Optional[int] = ..., stream: _Optional[int] = ..., result: _Optional[_Union[Result, _Mapping]] = ...) -> None: ...
