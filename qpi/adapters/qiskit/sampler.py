"""`QFWSamplerV2`: per PUB one program and one array of bindings go out, and packed bits come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from qiskit.primitives import BaseSamplerV2, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers import BitArray, SamplerPubLike
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qfw import qpi
from qfw.program.errors import InvalidArgument, QfwError
from qfw.qpi.adapters.qiskit import results
from qfw.qpi.adapters.qiskit.backend import QFWBackend
from qfw.qpi.adapters.qiskit.options import part_seed, run_options, whole
from qfw.qpi.adapters.qiskit.primitive_job import QFWPrimitiveJob
from qfw.toolchain.formats.qiskit import to_program
from qfw.toolchain.tools.registry import near

_OPTIONS = ("default_shots", "seed", "seed_simulator", "run_options")


class QFWSamplerV2(BaseSamplerV2):
    """A sampler on a `QFWBackend`.

    Args:
        backend: the backend; None: one of its own on the default device.
        options: `default_shots`, `seed_simulator` (or `seed`), `run_options` (of `QFWBackend.run`).
    """

    def __init__(
        self,
        backend: QFWBackend | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        default_shots: int | None = None,
        seed: int | None = None,
    ) -> None:
        self._backend = check_backend(backend)
        values = check_options(options, _OPTIONS, default_shots=default_shots, seed=seed)
        self.default_shots = whole("default_shots", values.get("default_shots", 1024), 1)
        self._seed = values.get("seed", values.get("seed_simulator"))
        self._run_options = dict(values.get("run_options") or {})

    @property
    def backend(self) -> QFWBackend:
        """Where it runs."""
        return self._backend

    def run(self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None) -> QFWPrimitiveJob:
        """Submits all PUBs in one message.

        Raises:
            InvalidArgument: no PUB, an option or number out of range. UnknownGate, Unsupported: as the backend's.
        """
        shots = self.default_shots if shots is None else whole("shots", shots, 1)
        coerced = [SamplerPub.coerce(pub, shots) for pub in pubs]
        if not coerced:
            raise InvalidArgument("run() of no PUB; at least one expected")
        want = run_options(self._backend.options, self._run_options, self._backend.device.options)
        seed = want.seed if self._seed is None else self._seed
        tasks = [self._task(i, pub, part_seed(seed, i), want) for i, pub in enumerate(coerced)]
        batch = self._backend.submit(tasks, [pub.circuit.name for pub in coerced])

        def finish(done: Sequence[Any]) -> PrimitiveResult:
            self._backend.account(done)
            parts = [_pub_result(pub, result) for pub, result in zip(coerced, done, strict=True)]
            return PrimitiveResult(parts, metadata={"version": 2})

        return QFWPrimitiveJob(batch, finish, want.timeout)

    def _task(self, index: int, pub: SamplerPub, seed: int | None, want: Any) -> Any:
        start = time.perf_counter_ns()
        circuit = pub.circuit
        try:
            converted = to_program(circuit)
        except QfwError as e:
            raise type(e)(f"PUB {index} ({circuit.name!r}): {e}") from e
        return qpi.Task(
            converted.program,
            bindings=bindings_of(pub, converted.columns) if converted.parameter_names else None,
            shots=pub.shots,
            outputs=("memory",),
            seed=seed,
            priority=want.priority,
            options=want.device or None,
            convert_ns=time.perf_counter_ns() - start,
        )


def check_backend(backend: QFWBackend | None) -> QFWBackend:
    """The backend, or a new one on the default device."""
    if backend is None:
        return QFWBackend()
    if not isinstance(backend, QFWBackend):
        raise InvalidArgument(f"backend of type {type(backend).__name__}; a QFWBackend expected")
    return backend


def check_options(options: Mapping[str, Any] | None, known: Sequence[str], **more: Any) -> dict[str, Any]:
    """Options of a primitive, those of `more` that are not None included; unknown names raise InvalidArgument."""
    values = {**(options or {}), **{k: v for k, v in more.items() if v is not None}}
    for name in values:
        if name not in known:
            raise InvalidArgument(f"option {name!r} is unknown; {near(name, known)}")
    return {k: v for k, v in values.items() if v is not None}


def bindings_of(pub: Any, columns: Callable[[Any], Any]) -> Any:
    """The PUB's parameter values as rows of bindings, in C order of its array."""
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    return columns(values.reshape(-1, values.shape[-1]))


def _pub_result(pub: SamplerPub, result: Any) -> SamplerPubResult:
    shape = pub.parameter_values.shape
    repeat = int(np.prod(shape)) if len(result.rows) == 1 else 1  # no parameters: one row stands for one element
    memory = np.stack([row.memory for row in result.rows] * repeat)
    memory = memory.reshape(*shape, pub.shots, memory.shape[-1])
    index = {bit: i for i, bit in enumerate(pub.circuit.clbits)}
    arrays = {
        register.name: BitArray(results.select_bits(memory, [index[bit] for bit in register]), register.size)
        for register in pub.circuit.cregs
    }
    metadata = {
        "shots": pub.shots,
        "circuit_metadata": pub.circuit.metadata,
        "seed": result.seed,
        "device": result.device,
        "timing": results.timing(result),
    }
    return SamplerPubResult(DataBin(**arrays, shape=shape), metadata=metadata)
