"""Mutual TLS of the control services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc

from qfw.qpm.listen import Files


def server_credentials(files: Files) -> Any:
    """Of a server that takes only clients with a certificate of the run's authority."""
    pair = (files.key.read_bytes(), files.certificate.read_bytes())
    return grpc.ssl_server_credentials([pair], files.ca.read_bytes(), require_client_auth=True)


def channel(address: str, directory: Path, files: Mapping[str, str], extra: Sequence[tuple[str, int]] = ()) -> Any:
    """To the server of a run: `files` is what its endpoint.json, in `directory`, says under "tls"; `extra`: options of
    the channel."""
    ca, key, certificate = ((directory / files[name]).read_bytes() for name in ("ca", "key", "certificate"))
    options = (("grpc.ssl_target_name_override", files["server_name"]), ("grpc.enable_http_proxy", 0), *extra)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate), options)
