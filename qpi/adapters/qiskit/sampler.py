"""`QFWSamplerV2`: per PUB one program and one array of bindings go out, and packed bits come back."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from qiskit.primitives import BaseSamplerV2, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers import BitArray, SamplerPubLike
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qfw import qpi
from qfw.program.errors import InvalidArgument
from qfw.qpi.adapters.qiskit import results
from qfw.qpi.adapters.qiskit.backend import QFWBackend
from qfw.qpi.adapters.qiskit.batch import naming
from qfw.qpi.adapters.qiskit.options import RunOptions, frozen, part_seed, run_options, whole
from qfw.qpi.adapters.qiskit.primitive_job import QFWPrimitiveJob
from qfw.toolchain.formats.qiskit import to_program
from qfw.toolchain.tools.registry import near

_OPTIONS = ("default_shots", "seed", "seed_simulator", "run_options")


class QFWSamplerV2(BaseSamplerV2):
    """A sampler on a `QFWBackend`.

    Args:
        backend: the backend; None: one of its own on the default device.
        options: `default_shots`, `seed_simulator` (or `seed`), `run_options` (of `QFWBackend.run`).
        mode: the backend by the name that the runtime's primitives give it, or a Session or Batch of theirs on it.
    """

    def __init__(
        self,
        backend: QFWBackend | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        default_shots: int | None = None,
        seed: int | None = None,
        mode: Any = None,
    ) -> None:
        self._backend = check_backend(backend, mode)
        values = check_options(options, _OPTIONS, default_shots=default_shots, seed=seed)
        self.default_shots = whole("default_shots", values.get("default_shots", 1024), 1)
        self._seed = values.get("seed", values.get("seed_simulator"))
        self._run_options = frozen(values.get("run_options") or {}, self._backend.device)
        run_options({}, self._run_options, self._backend.device)

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
        want = run_options(self._backend.options, self._run_options, self._backend.device)
        seed = want.seed if self._seed is None else self._seed
        tasks: list[Any] = []
        sampled = [bool(pub.circuit.clbits) and pub.parameter_values.size > 0 for pub in coerced]
        for i, pub in enumerate(coerced):
            if not pub.circuit.cregs:
                warnings.warn(f"PUB {i} has no classical registers: its result is empty", UserWarning, stacklevel=2)
            if sampled[i]:
                with naming(f"PUB {i} ({pub.circuit.name!r})"):
                    tasks.append(_task(pub, part_seed(seed, i), want))
        names = [pub.circuit.name for pub, some in zip(coerced, sampled, strict=True) if some]
        batch = self._backend.submit(tasks, names)

        def finish(done: Sequence[Any]) -> PrimitiveResult:
            self._backend.account(done)
            left = iter(done)
            parts = [_pub_result(pub, next(left) if some else None) for pub, some in zip(coerced, sampled, strict=True)]
            return PrimitiveResult(parts, metadata={"version": 2})

        return QFWPrimitiveJob(batch, finish, want.timeout)


def _task(pub: SamplerPub, seed: int | None, want: RunOptions) -> Any:
    start = time.perf_counter_ns()
    converted = to_program(pub.circuit)
    free = bool(converted.parameter_names)
    return qpi.Task(
        converted.program,
        bindings=bindings_of(pub, converted.columns) if free else None,
        shots=pub.shots if free else pub.shots * pub.parameter_values.size,
        outputs=("memory",),
        seed=seed,
        priority=want.priority,
        options=want.device or None,
        convert_ns=time.perf_counter_ns() - start,
    )


def check_backend(backend: QFWBackend | None, mode: Any = None) -> QFWBackend:
    """The backend, that of a Session or Batch of the runtime's, or a new one on the default device."""
    if backend is not None and mode is not None:
        raise InvalidArgument("backend and mode are both given; one expected")
    if mode is not None:
        backend = mode if isinstance(mode, QFWBackend) else getattr(mode, "_backend", mode)
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
    width = (pub.circuit.num_clbits + 7) // 8
    rows = [row.memory for row in result.rows] if result is not None else []
    memory = np.concatenate(rows) if rows else np.zeros((pub.parameter_values.size * pub.shots, width), dtype=np.uint8)
    memory = memory.reshape(*shape, pub.shots, width)
    index = {bit: i for i, bit in enumerate(pub.circuit.clbits)}
    arrays = {
        register.name: BitArray(results.select_bits(memory, [index[b] for b in register], len(index)), register.size)
        for register in pub.circuit.cregs
    }
    metadata = {"shots": pub.shots, "circuit_metadata": pub.circuit.metadata}
    if result is not None:
        more = {**results.method(result), "timing": results.timing(result)}
        metadata |= {"seed": result.seed, "device": result.device, **more}
    return SamplerPubResult(DataBin(**arrays, shape=shape), metadata=metadata)
