from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

def usable_cpus() -> int: ...
def simd_levels() -> list[str]: ...
def best_simd_level() -> str: ...
def bytes_available() -> int: ...
def derive_seed(seed: int, part: int, /) -> int: ...
def simulate(
    program: bytes,
    *,
    row: Sequence[float],
    shots: int,
    seed: int,
    memory: bool,
    counts: bool,
    probabilities: bool,
    statevector: bool,
    probability_qubits: Sequence[int],
    observables: Sequence[Sequence[tuple[float, str, Sequence[int]]]],
    gradients: bool,
    gradient_parameters: Sequence[int],
    precision: str,
    max_steps: int,
    threads: int,
    simd: str | None,
) -> dict[str, NDArray[Any]]: ...
