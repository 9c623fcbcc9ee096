"""Asks a daemon's control services whether it is ready, and for its devices."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from qfw.program.errors import Unavailable
from qfw.qpm.api.v1 import resource_pb2, resource_pb2_grpc
from qfw.qpm.services.resource import status_word


def probe(control: str, timeout: float) -> list[dict[str, str]]:
    """Name, status and reason of each device of the daemon at `control` ("unix:/path").

    Raises Unavailable when it does not answer within `timeout` seconds or does not serve.
    """
    with grpc.insecure_channel(control) as channel:
        try:
            health = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=""), timeout=timeout, wait_for_ready=True
            )
            listed = resource_pb2_grpc.ResourceStub(channel).ListDevices(
                resource_pb2.ListDevicesRequest(), timeout=timeout
            )
        except grpc.RpcError as error:
            raise Unavailable(
                f"the daemon at {control} does not answer: {error.code().name}: {error.details()}"
            ) from error
    if health.status != health_pb2.HealthCheckResponse.SERVING:
        name = health_pb2.HealthCheckResponse.ServingStatus.Name(health.status)
        raise Unavailable(f"the daemon at {control} is not ready: {name}")
    return [{"name": d.name, "status": status_word(d.status), "reason": d.status_reason} for d in listed.devices]
