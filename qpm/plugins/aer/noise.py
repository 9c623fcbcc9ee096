"""Noise models: from the text of an option to what Aer's controller takes, which is plain JSON."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections import OrderedDict
from typing import Any

from qfw.program.errors import InvalidArgument, LimitExceeded

PACKED = "zlib:"
MAX_JSON = 64 << 20  # bytes of a model when unpacked
MODELS = 8  # remembered

_KINDS = {"qerror": "instructions", "roerror": "probabilities"}


class Models:
    """The models of recent tasks, by their text."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def find(self, text: str) -> dict[str, Any]:
        """The model of an option's text; empty for no noise. Raises InvalidArgument, LimitExceeded."""
        if not text:
            return {}
        model = self._known.pop(text, None) or read(text)
        self._known[text] = model  # the youngest stands last
        if len(self._known) > MODELS:
            self._known.popitem(last=False)
        return model


def read(text: str) -> dict[str, Any]:
    """A model from JSON, or from "zlib:" and the base64 of compressed JSON (`NoiseModel.to_dict(serializable=True)`).

    Raises:
        InvalidArgument: text that is no noise model. LimitExceeded: above 64 MiB when unpacked.
    """
    raw = _unpacked(text.removeprefix(PACKED)) if text.startswith(PACKED) else text.encode()
    try:
        model = json.loads(raw)
    except (ValueError, RecursionError) as e:
        raise InvalidArgument(f"option noise_model is not JSON: {e}") from e
    errors = model.get("errors") if isinstance(model, dict) else None
    if not isinstance(errors, list):
        raise InvalidArgument("option noise_model: an object with a list 'errors' expected")
    for place, error in enumerate(errors):
        kind = error.get("type") if isinstance(error, dict) else None
        if kind not in _KINDS:
            raise InvalidArgument(f"option noise_model: error {place} has type {kind!r}; one of {', '.join(_KINDS)}")
        if not isinstance(error.get(_KINDS[kind]), list) or not isinstance(error.get("probabilities"), list):
            raise InvalidArgument(f"option noise_model: error {place} lacks {_KINDS[kind]!r} or 'probabilities'")
    return dict(model)


def _unpacked(text: str) -> bytes:
    try:
        packed = base64.b64decode(text, validate=True)
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(packed, MAX_JSON)
    except (binascii.Error, zlib.error) as e:
        raise InvalidArgument(f"option noise_model cannot be unpacked: {e}") from e
    if unpacker.unconsumed_tail:
        raise LimitExceeded(f"option noise_model: above {MAX_JSON} bytes when unpacked")
    return raw
