"""Noise models on their way to a device: as JSON, packed into the text of a task option. Nothing is pickled."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from qiskit import QuantumCircuit

from qfw.program.errors import InvalidArgument, LimitExceeded, Unsupported

PACKED = "zlib:"  # before base64 of compressed JSON; text without it is JSON itself
MAX_TEXT = 1 << 20  # bytes of one option


def noise_text(model: Any) -> str:
    """The option `noise_model` for a model of Qiskit Aer, or for the dict or JSON text of one.

    Complex numbers are [real, imaginary] pairs, as in `NoiseModel.to_dict(serializable=True)`, whose JSON this is.

    Raises:
        InvalidArgument: not a noise model. LimitExceeded: above a MiB when packed.
    """
    if isinstance(model, str):
        text = model
    elif isinstance(model, Mapping):
        text = _json(dict(model))
    elif hasattr(model, "to_dict") and hasattr(model, "noise_instructions"):
        text = _json(model.to_dict(serializable=True))
    else:
        raise InvalidArgument(
            f"noise_model of type {type(model).__name__}; a qiskit_aer.noise.NoiseModel, or its dict or JSON, expected"
        )
    if not text.startswith(PACKED):
        text = PACKED + base64.b64encode(zlib.compress(text.encode(), 6)).decode()
    if len(text) > MAX_TEXT:
        raise LimitExceeded(f"the noise model takes {len(text)} bytes when packed; at most {MAX_TEXT} allowed")
    return text


def _json(model: dict[str, Any]) -> str:
    try:
        return json.dumps(model, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as e:
        raise InvalidArgument(f"the noise model cannot be written as JSON: {e}") from e


def check_circuits(circuits: Iterable[QuantumCircuit]) -> None:
    """Noise of delays is Aer's transpiler's to add, which does not run here.

    Raises:
        Unsupported: a circuit with delays.
    """
    for i, circuit in enumerate(circuits):
        if "delay" in circuit.count_ops():
            raise Unsupported(f"circuit {i} ({circuit.name!r}): delays under a noise model are not carried")
