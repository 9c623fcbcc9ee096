"""The built-in state-vector simulator, called directly: for tests and tools. Applications go through `qfw.qpi`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from qfw import _core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["best_simd_level", "bytes_available", "derive_seed", "simd_levels", "simulate", "usable_cpus"]

PauliTerms = Sequence[tuple[float, str, Sequence[int]]]


class _HasBytes(Protocol):
    @property
    def bytes(self) -> bytes: ...


@runtime_checkable
class _HasTerms(Protocol):
    @property
    def terms(self) -> PauliTerms: ...


def usable_cpus() -> int:
    """CPUs that this process may run on, by its affinity mask; at least 1."""
    return int(_core.simenv.usable_cpus())


def simd_levels() -> list[str]:
    """The levels this CPU can run, lowest first: "scalar", "avx2", "avx512"."""
    return list(_core.simenv.simd_levels())


def best_simd_level() -> str:
    """The level that simulations use by default; $QFW_SIMD lowers it."""
    return str(_core.simenv.best_simd_level())


def bytes_available() -> int:
    """Memory that a simulation may take now: free on the machine, left by control groups and RLIMIT_AS."""
    return int(_core.simenv.bytes_available())


def derive_seed(seed: int, part: int) -> int:
    """The seed of one part of a seeded whole, such as a row of a task."""
    return int(_core.simenv.derive_seed(seed, part))


def simulate(
    program: _HasBytes,
    *,
    row: Sequence[float] | NDArray[np.float64] = (),
    shots: int = 0,
    seed: int = 0,
    memory: bool = False,
    counts: bool = False,
    probabilities: bool = False,
    statevector: bool = False,
    probability_qubits: Sequence[int] = (),
    observables: Sequence[_HasTerms | PauliTerms] = (),
    gradients: bool = False,
    gradient_parameters: Sequence[int] = (),
    precision: str = "double",
    max_steps: int = 1_000_000,
    threads: int = 1,
    simd: str | None = None,
) -> dict[str, NDArray[Any]]:
    """Runs one row of a Program; the keys of the result are the outputs asked for.

    `row` holds the values of the program's parameters in radians. `threads` 0 takes every usable CPU. `precision` is
    that of the amplitudes, "double" or "single"; results have the same types with both. "counts" comes
    with "count_keys" (uint8, one row of little-endian packed bits per count), "memory" is one such row per shot,
    "expectations" one number per observable, a `PauliSum` or a list of (coefficient, letters, qubits), "gradients"
    their exact derivatives with respect to `gradient_parameters` (by default all), observables x parameters. A program
    that measures in the middle or is dynamic gives probabilities and expectations as means over all outcomes;
    `max_steps` is what one of its shots may execute.

    Raises qfw.program.errors: InvalidArgument, Unsupported (state vector or gradients of such a program),
    ResourceExhausted, LimitExceeded, InvalidProgram (division by zero while it runs, and the like).
    """
    sums = [list(o.terms if isinstance(o, _HasTerms) else o) for o in observables]
    return _core.simenv.Simulator(program.bytes, simd=simd, rank_bits=0).run(
        row=[float(value) for value in row],
        shots=shots,
        seed=seed,
        memory=memory,
        counts=counts,
        probabilities=probabilities,
        statevector=statevector,
        probability_qubits=list(probability_qubits),
        observables=sums,
        gradients=gradients,
        gradient_parameters=list(gradient_parameters),
        precision=precision,
        max_steps=max_steps,
        threads=threads,
    )
