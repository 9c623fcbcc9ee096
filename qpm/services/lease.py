"""An instance's side of its lease: it registers with its daemon, renews, looks for a new daemon when the old one is
gone, and says when it is to end itself.

What is heard of the daemon is one of four things, and each has its time:

    heard     it answered                                   go on
    unwanted  it answered that this instance is to end      end at once
    silent    no answer: it hangs, or the network is cut    end when the lease lapses (5 s after the last answer)
    gone      nobody listens where it was                   end when no daemon came back within the grace time (30 s)
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from qfw.program.errors import Unavailable
from qfw.qpm.api.v1 import workers_pb2, workers_pb2_grpc
from qfw.qpm.leases import LAPSE_SECONDS, RENEW_SECONDS, Registration
from qfw.qpm.services.probe import control_channel
from qfw.qpm.services.workers import request_of

GRACE_SECONDS = 30.0
LOOK_SECONDS = 0.2  # between looks for a new daemon
CALL_SECONDS = 2.0  # that one call may take
# Every connection on its own: gRPC would remember that the last one failed, and not try again for minutes.
CHANNEL_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100))

log = logging.getLogger("qfw.qpm.lease")


@dataclass
class Patience:
    """How long an instance goes on without its daemon. Pure; every `now` is later than the one before."""

    heard_at: float
    lapse: float = LAPSE_SECONDS
    grace: float = GRACE_SECONDS
    gone_since: float | None = None

    def heard(self, now: float) -> None:
        """The daemon, or its successor, answered."""
        self.heard_at, self.gone_since = now, None

    def silent(self, now: float) -> str:
        """No answer. Returns why to end, or ""."""
        if self.gone_since is not None:  # the one that is silent is a successor: it may still be starting
            return self.gone(now)
        quiet = now - self.heard_at
        return f"the lease lapsed: no answer for {quiet:.1f} s" if quiet > self.lapse else ""

    def gone(self, now: float) -> str:
        """Nobody is there. Returns why to end, or ""."""
        if self.gone_since is None:
            self.gone_since = now
        away = now - self.gone_since
        return f"no daemon came back within {self.grace:g} s" if away > self.grace else ""


class Unwanted(Exception):
    """The daemon told this instance to end."""


class Keeper:
    """Keeps one instance's lease. `start()` returns when it is registered; then a thread renews, and calls `end` with
    the reason when this instance is to end."""

    def __init__(
        self, endpoint: Path, registration: Registration, end: Callable[[str], None], grace: float = GRACE_SECONDS
    ) -> None:
        self._file = endpoint
        self._registration = registration
        self._end = end
        self._patience = Patience(time.monotonic(), grace=grace)
        self._stub: Any = None
        self._channel: Any = None
        self._address = ""
        self._daemon: tuple[Any, Any] | None = None  # that the channel leads to
        self._lease = ""
        self._renew = RENEW_SECONDS

    def start(self) -> None:
        """Registers; raises Unavailable when no daemon takes this instance."""
        while reason := self._step():
            if self._over(reason):
                raise Unavailable(f"instance {self._registration.instance}: {self._last}")
            time.sleep(LOOK_SECONDS)
        threading.Thread(target=self._run, name="qfw-lease", daemon=True).start()

    def leave(self, reason: str) -> None:
        """Tells the daemon that this instance ends by itself."""
        if self._stub is not None and self._lease:
            with contextlib.suppress(grpc.RpcError):
                request = workers_pb2.LeaveRequest(
                    instance=self._registration.instance, lease=self._lease, reason=reason
                )
                self._stub.Leave(request, timeout=CALL_SECONDS)

    def _run(self) -> None:
        while True:
            what = self._step()
            if what and self._over(what):
                self._end(self._last)
                return
            time.sleep(LOOK_SECONDS if what == "gone" else self._renew)

    _last = ""  # why it ends

    def _over(self, what: str) -> bool:
        now = time.monotonic()
        if what == "silent":
            self._last = self._patience.silent(now)
        elif what == "gone":
            self._last = self._patience.gone(now)
            if not self._file.parent.is_dir():
                self._last = f"{self._file.parent} was removed: the run has ended"
        else:
            self._last = what
        return bool(self._last)

    def _step(self) -> str:
        """One word with the daemon: "" heard, "silent", "gone", or why this instance is not wanted."""
        try:
            if self._stub is not None and self._call():
                self._patience.heard(time.monotonic())
                return ""
            what = self._listening() if self._stub is not None else "gone"
            if self._connect():  # another daemon is there
                if self._call():
                    self._patience.heard(time.monotonic())
                    return ""
                return "silent"
            return what
        except Unwanted as error:
            return str(error)

    def _call(self) -> bool:
        """Renews the lease, or registers where there is none. False: no answer. Raises Unwanted."""
        name = self._registration.instance
        try:
            if self._lease:
                request = workers_pb2.RenewRequest(instance=name, lease=self._lease)
                answer = self._stub.Renew(request, timeout=CALL_SECONDS)
                self._take(answer)
                if answer.known:
                    return True
            self._lease = ""
            self._take(self._stub.Register(request_of(self._registration), timeout=CALL_SECONDS))
            return True
        except grpc.RpcError as error:
            log.info("instance %s: %s", name, error)
            self._reset()
            return False

    def _take(self, answer: workers_pb2.Lease) -> None:
        if not answer.wanted:
            raise Unwanted(answer.reason or "the daemon does not want it any more")
        if answer.known:
            self._lease = answer.lease
            self._renew = answer.renew_s or RENEW_SECONDS
            self._patience.lapse = answer.lapse_s or LAPSE_SECONDS

    def _reset(self) -> None:
        """A fresh connection to the same daemon for the next call."""
        endpoint = read_endpoint(self._file)
        if endpoint is not None and _identity(endpoint) == self._daemon:
            self._open(endpoint)

    def _connect(self) -> bool:
        """To the daemon that the endpoint file names; False when it names none, or the one that is known already."""
        endpoint = read_endpoint(self._file)
        if endpoint is None or _identity(endpoint) == self._daemon:
            return False
        self._lease = ""
        return self._open(endpoint)

    def _open(self, endpoint: Mapping[str, Any]) -> bool:
        try:
            address, channel = control_channel(endpoint, self._file.parent, "", CHANNEL_OPTIONS)
        except (OSError, Unavailable) as error:  # its certificates are being replaced
            log.info("instance %s: %s", self._registration.instance, error)
            return False
        if self._channel is not None:
            self._channel.close()
        self._address, self._channel, self._daemon = address, channel, _identity(endpoint)
        self._stub = workers_pb2_grpc.WorkersStub(channel)
        return True

    def _listening(self) -> str:
        """Whether anybody listens where the daemon was: "gone" only where that is certain."""
        return "gone" if refuses(self._address) else "silent"


def read_endpoint(file: Path) -> dict[str, Any] | None:
    """What an endpoint file says; None while there is none."""
    try:
        found = json.loads(file.read_text())
    except (OSError, json.JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _identity(endpoint: Mapping[str, Any]) -> tuple[Any, Any]:
    return endpoint.get("pid"), endpoint.get("started_at")


def refuses(address: str, timeout: float = 1.0) -> bool:
    """Whether it is certain that nobody listens at "unix:/path" or "host:port"."""
    if address.startswith("unix:"):
        probe, target = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), address.removeprefix("unix:")
        with probe:
            return _refused(lambda: probe.connect(target))
    host, _, port = address.rpartition(":")
    where = (host.strip("[]"), int(port))
    return _refused(lambda: socket.create_connection(where, timeout).close())


def _refused(connect: Callable[[], None]) -> bool:
    try:
        connect()
    except OSError as error:
        return error.errno in (errno.ECONNREFUSED, errno.ENOENT)
    return False
