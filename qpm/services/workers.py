"""The Workers service: simulator instances register with the daemon and renew their leases.

`Registry` is the pure table of `qpm.leases` with a lock and a wait; `WorkersService` puts it on the wire.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from qfw.qpm.api.v1 import workers_pb2, workers_pb2_grpc
from qfw.qpm.leases import Answer, LeaseTable, Registration
from qfw.qpm.listen import Files
from qfw.qpm.services import tls
from qfw.simenv.launch.launcher import Place

ONE_CHANNEL = (("grpc.use_local_subchannel_pool", 1),)  # not one that remembers an earlier failure
SLICE_SECONDS = 0.2  # how often a wait looks whether the instance still runs


class Registry:
    """Thread-safe leases. Its lock is never held while anything outside is called, but for the table's `adopt`."""

    def __init__(self, table: LeaseTable) -> None:
        self._table = table
        self._changed = threading.Condition()
        self.lease, self.renew_s, self.lapse_s = table.lease, table.renew_s, table.lapse_s

    def expect(self, instance: str) -> None:
        with self._changed:
            self._table.expect(instance)

    def register(self, registration: Registration) -> Answer:
        with self._changed:
            answer = self._table.register(registration, time.monotonic())
            self._changed.notify_all()
        return answer

    def renew(self, instance: str, lease: str) -> Answer:
        with self._changed:
            return self._table.renew(instance, lease, time.monotonic())

    def touch(self, instance: str) -> None:
        with self._changed:
            self._table.touch(instance, time.monotonic())

    def dismiss(self, instance: str, reason: str) -> None:
        with self._changed:
            self._table.dismiss(instance, reason)

    def leave(self, instance: str) -> None:
        with self._changed:
            self._table.leave(instance)
            self._changed.notify_all()

    def get(self, instance: str) -> Registration | None:
        with self._changed:
            return self._table.get(instance)

    def lapsed(self) -> list[Registration]:
        with self._changed:
            return self._table.lapsed(time.monotonic())

    def wait(self, instance: str, timeout: float, ended: Callable[[], bool]) -> Registration | None:
        """Its registration, as soon as it is there; None when `ended()` or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            gone = ended()  # asked first: it may register and then end
            with self._changed:
                if found := self._table.get(instance):
                    return found
                left = deadline - time.monotonic()
                if gone or left <= 0:
                    return None
                self._changed.wait(min(left, SLICE_SECONDS))


class WorkersService(workers_pb2_grpc.WorkersServicer):
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def Register(
        self, request: workers_pb2.RegisterRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> workers_pb2.Lease:
        return self._lease(self._registry.register(registration_of(request)))

    async def Renew(
        self, request: workers_pb2.RenewRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> workers_pb2.Lease:
        return self._lease(self._registry.renew(request.instance, request.lease))

    async def Leave(
        self, request: workers_pb2.LeaveRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> workers_pb2.LeaveResponse:
        if request.lease == self._registry.lease:
            self._registry.leave(request.instance)
        return workers_pb2.LeaveResponse()

    def _lease(self, answer: Answer) -> workers_pb2.Lease:
        return workers_pb2.Lease(
            wanted=answer.wanted,
            known=answer.known,
            reason=answer.reason,
            lease=self._registry.lease,
            renew_s=self._registry.renew_s,
            lapse_s=self._registry.lapse_s,
        )


def registration_of(message: workers_pb2.RegisterRequest) -> Registration:
    """From its form on the wire."""
    places = tuple(Place(p.node, p.ranks, tuple(p.cpus)) for p in message.places)
    return Registration(
        run_id=message.run_id,
        instance=message.instance,
        plugin=message.plugin,
        device=message.device,
        carrier=message.carrier,
        address=message.address,
        node=message.node,
        pid=message.pid,
        start_time=message.start_time,
        ranks=message.ranks,
        threads=message.threads,
        places=places,
        memory=message.memory_bytes,
        software=message.software,
    )


def request_of(registration: Registration) -> workers_pb2.RegisterRequest:
    """To its form on the wire."""
    r = registration
    places = [workers_pb2.InstancePlace(node=p.node, ranks=p.ranks, cpus=p.cpus) for p in r.places]
    return workers_pb2.RegisterRequest(
        run_id=r.run_id,
        instance=r.instance,
        plugin=r.plugin,
        device=r.device,
        carrier=r.carrier,
        address=r.address,
        node=r.node,
        pid=r.pid,
        start_time=r.start_time,
        ranks=r.ranks,
        threads=r.threads,
        places=places,
        memory_bytes=r.memory,
        software=r.software,
    )


def answers(address: str, files: Files | None, timeout: float = 2.0) -> bool:
    """Whether a Runtime service takes a connection there: its own threads do that, whatever Python is busy with."""
    if address.startswith("unix:"):
        channel = grpc.insecure_channel(address, options=ONE_CHANNEL)
    elif files is None:
        return False
    else:
        names = {"ca": files.ca, "key": files.key, "certificate": files.certificate, "server_name": files.server_name}
        channel = tls.channel(address, Path(), {k: str(v) for k, v in names.items()}, ONE_CHANNEL)
    with channel:
        try:
            grpc.channel_ready_future(channel).result(timeout)
        except grpc.FutureTimeoutError:
            return False
    return True
