"""Asks a daemon's control services whether it is ready, and for its devices."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from qfw.program.errors import InvalidArgument, Unavailable
from qfw.qpm.api.v1 import resource_pb2, resource_pb2_grpc
from qfw.qpm.job import node_name
from qfw.qpm.services import tls
from qfw.qpm.services.resource import status_word


def probe(endpoint: Mapping[str, Any], directory: Path, timeout: float, way: str = "") -> list[dict[str, str]]:
    """Name, status and reason of each device of the daemon whose endpoint.json, in `directory`, says `endpoint`.

    `way`: "unix" or "tls"; else $QFW_TRANSPORT decides, as for `qfw.qpi.connect`.

    Raises Unavailable when it does not answer within `timeout` seconds or does not serve.
    """
    address, channel = control_channel(endpoint, directory, way or os.environ.get("QFW_TRANSPORT", ""))
    with channel:
        try:
            health = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=""), timeout=timeout, wait_for_ready=True
            )
            listed = resource_pb2_grpc.ResourceStub(channel).ListDevices(
                resource_pb2.ListDevicesRequest(), timeout=timeout
            )
        except grpc.RpcError as error:
            raise Unavailable(
                f"the daemon at {address} does not answer: {error.code().name}: {error.details()}"
            ) from error
    if health.status != health_pb2.HealthCheckResponse.SERVING:
        name = health_pb2.HealthCheckResponse.ServingStatus.Name(health.status)
        raise Unavailable(f"the daemon at {address} is not ready: {name}")
    return [{"name": d.name, "status": status_word(d.status), "reason": d.status_reason} for d in listed.devices]


def slots(endpoint: Mapping[str, Any], directory: Path, timeout: float, way: str = "") -> dict[str, Any]:
    """Where the daemon's instances run: the fields of the message Slots, and its counters as `counters`; empty without
    a launcher.

    Raises Unavailable when it does not answer within `timeout` seconds.
    """
    address, channel = control_channel(endpoint, directory, way or os.environ.get("QFW_TRANSPORT", ""))
    with channel:
        try:
            status = resource_pb2_grpc.ResourceStub(channel).Status(
                resource_pb2.StatusRequest(), timeout=timeout, wait_for_ready=True
            )
        except grpc.RpcError as error:
            raise Unavailable(f"the daemon at {address} does not answer: {error.details()}") from error
    if not status.HasField("slots"):
        return {}
    found = status.slots
    return {field.name: getattr(found, field.name) for field in found.DESCRIPTOR.fields} | {
        "nodes": dict(found.nodes),
        "counters": {name: int(value) for name, value in status.counters.items()},
    }


def control_channel(
    endpoint: Mapping[str, Any], directory: Path, wanted: str, extra: Sequence[tuple[str, int]] = ()
) -> tuple[str, Any]:
    """Address of the control services and a channel to them, with these options."""
    if wanted not in ("", "unix", "tls"):
        raise InvalidArgument(f"QFW_TRANSPORT={wanted!r}; allowed: unix, tls")
    address = endpoint.get("control_tls", "")
    here = endpoint.get("hostname", "") in ("", node_name())
    if wanted == "unix" or (not wanted and (here or not address)):
        return endpoint["control"], grpc.insecure_channel(endpoint["control"], options=tuple(extra))
    if not address:
        raise Unavailable(f"run {endpoint.get('run_id')} is not on the network; start it with qfw_setup.sh --tcp")
    return address, tls.channel(address, directory, endpoint["tls"], extra)
