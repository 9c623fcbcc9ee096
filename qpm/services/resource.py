"""The Resource service: what a runtime offers and how it is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Protocol

import grpc

from qfw.qpm.api.v1 import device_pb2, resource_pb2, resource_pb2_grpc


class Runtime(Protocol):
    """The part of `qfw._core.qpm.Runtime` that the service reads."""

    def devices(self) -> list[dict[str, Any]]: ...

    def stats(self) -> dict[str, float]: ...


class ResourceService(resource_pb2_grpc.ResourceServicer):
    def __init__(
        self,
        runtime: Runtime,
        run_id: str,
        software: str,
        draining: Callable[[], bool],
        slots: Callable[[], dict[str, Any] | None] = lambda: None,
    ) -> None:
        self._runtime = runtime
        self._run_id = run_id
        self._software = software
        self._draining = draining
        self._slots = slots  # the fields of the message Slots; None: no launcher
        self._started = time.monotonic()

    async def ListDevices(
        self, request: resource_pb2.ListDevicesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> resource_pb2.ListDevicesResponse:
        return resource_pb2.ListDevicesResponse(devices=[device_message(d) for d in self._runtime.devices()])

    async def DescribeDevice(
        self, request: resource_pb2.DescribeDeviceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> device_pb2.Device:
        found = {d["name"]: d for d in self._runtime.devices()}
        if request.name not in found:
            names = ", ".join(found) or "none"
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no device {request.name!r}; there are: {names}")
        return device_message(found[request.name])

    async def Status(
        self, request: resource_pb2.StatusRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> resource_pb2.StatusResponse:
        slots = self._slots()
        return resource_pb2.StatusResponse(
            slots=None if slots is None else resource_pb2.Slots(**slots),
            run_id=self._run_id,
            software=self._software,
            pid=os.getpid(),
            uptime_s=time.monotonic() - self._started,
            draining=self._draining(),
            counters={name: float(value) for name, value in self._runtime.stats().items()},
        )


def device_message(info: dict[str, Any]) -> device_pb2.Device:
    """A runtime's description of a device as a message."""
    fields = {k: v for k, v in info.items() if k not in ("status", "coupling")}
    status = device_pb2.DeviceStatus.Value("DEVICE_" + info["status"].upper())
    coupling = [device_pb2.Coupling(first=a, second=b) for a, b in info["coupling"]]
    return device_pb2.Device(status=status, coupling=coupling, **fields)


def status_word(status: int) -> str:
    """ "online", "fault", ... as everywhere else."""
    return str(device_pb2.DeviceStatus.Name(status)).removeprefix("DEVICE_").lower()
