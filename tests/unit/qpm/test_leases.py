"""Leases of simulator instances: the daemon's table, the instance's patience, and both over a socket."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

from qfw.program.errors import Unavailable
from qfw.qpm.api.v1 import workers_pb2, workers_pb2_grpc
from qfw.qpm.leases import LeaseTable, Registration
from qfw.qpm.services.lease import Keeper, Patience, refuses
from qfw.qpm.services.workers import Registry, WorkersService, answers, registration_of, request_of
from qfw.simenv.launch.launcher import Place

WAIT = 60.0  # seconds; never reached by code that works


def registration(instance: str = "one", run: str = "r") -> Registration:
    places = (Place("n1", 2, (0, 1)), Place("n2"))
    return Registration(run, instance, "m:p", "d", "local", "unix:/x", "n1", 7, 8, 3, 2, places, 5, "0.1")


def refuse(_: Registration) -> str:
    return "not known"


def test_an_instance_that_was_started_registers_renews_and_lapses() -> None:
    table = LeaseTable("r", refuse)
    table.expect("one")
    assert table.register(registration(), 10.0).wanted
    assert table.get("one") == registration()
    assert table.renew("one", table.lease, 14.0).known
    assert table.lapsed(19.0) == []
    assert table.lapsed(19.1) == [registration()]
    table.touch("one", 19.2)
    assert table.lapsed(24.0) == []


def test_an_instance_that_nobody_knows_is_adopted_or_told_to_end() -> None:
    table = LeaseTable("r", lambda r: "" if r.instance == "known" else "it is of no use")
    assert table.register(registration("known"), 0).wanted
    answer = table.register(registration("other"), 0)
    assert (answer.wanted, answer.reason) == (False, "it is of no use")
    assert not table.renew("other", "", 1.0).wanted and table.get("other") is None
    assert "this is run r, not q" in table.register(registration("third", "q"), 0).reason


def test_a_lease_of_another_daemon_is_not_known() -> None:
    table = LeaseTable("r", refuse)
    assert not table.renew("one", table.lease, 0).known, "it never registered"
    table.expect("one")
    table.register(registration(), 0)
    assert not table.renew("one", "another", 0).known
    assert table.register(registration(), 1.0).wanted, "it registers again: the answer was lost"
    table.leave("one")
    assert table.get("one") is None and not table.renew("one", table.lease, 2.0).known


def test_what_is_dismissed_is_told_so_whatever_it_says() -> None:
    table = LeaseTable("r", refuse)
    for name in ("one", "two"):
        table.expect(name)
    table.register(registration("one"), 0)
    for name in ("one", "two"):
        table.dismiss(name, "idle")
    assert table.renew("one", table.lease, 1.0).reason == "idle"
    assert table.register(registration("two"), 1.0).reason == "idle", "it was just starting"


def test_patience_with_a_daemon_that_hangs_and_with_one_that_is_gone() -> None:
    patience = Patience(heard_at=0.0, lapse=5.0, grace=30.0)
    assert patience.silent(4.9) == "" and "lapsed: no answer for 5.1 s" in patience.silent(5.1)
    patience.heard(6.0)
    assert patience.silent(10.0) == ""
    assert patience.gone(11.5) == "", "it is certain that nobody is there: another one may come"
    assert patience.silent(20.0) == "", "one that is starting"
    assert patience.gone(41.5) == "" and "within 30 s" in patience.gone(41.6)
    patience.heard(42.0)
    assert patience.gone(60.0) == ""


def test_the_wire_keeps_every_field() -> None:
    assert registration_of(workers_pb2.RegisterRequest.FromString(request_of(registration()).SerializeToString())) == (
        registration()
    )


class Daemon:
    """The Workers service on a socket, with the endpoint file that leads to it."""

    def __init__(self, directory: Path, number: int, adopt: Any = refuse) -> None:
        self.registry = Registry(LeaseTable("r", adopt, renew_s=0.05, lapse_s=1.0))
        self.socket = directory / f"c{number}.sock"
        self.endpoint = directory / "endpoint.json"
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        workers_pb2_grpc.add_WorkersServicer_to_server(_Sync(WorkersService(self.registry)), self.server)
        self.server.add_insecure_port(f"unix:{self.socket}")
        self.server.start()
        content = {"pid": number, "started_at": number, "control": f"unix:{self.socket}", "hostname": ""}
        self.endpoint.write_text(json.dumps(content))

    def stop(self) -> None:
        self.server.stop(0).wait()
        self.socket.unlink(missing_ok=True)


class _Sync:
    """The asynchronous service on threads."""

    def __init__(self, service: WorkersService) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._service, name)

        def call(request: Any, context: Any) -> Any:
            step = method(request, context)
            with pytest.raises(StopIteration) as end:
                step.send(None)
            return end.value.value

        return call


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory, private_directories: Path) -> Iterator[Path]:
    """Short enough for sockets."""
    path = private_directories / f"l{time.monotonic_ns() % 10**9}"
    path.mkdir()
    yield path


class Ended:
    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason = ""

    def __call__(self, reason: str) -> None:
        self.reason = reason
        self.event.set()


def test_a_new_daemon_adopts_an_instance_and_tells_it_to_end(directory: Path) -> None:
    first, ended = Daemon(directory, 1), Ended()
    first.registry.expect("one")
    Keeper(first.endpoint, registration(), ended, grace=WAIT).start()
    assert first.registry.get("one") == registration()
    first.stop()
    second = Daemon(directory, 2, adopt=lambda _: "")
    assert second.registry.wait("one", WAIT, ended.event.is_set) == registration()
    assert not ended.event.is_set()
    second.registry.dismiss("one", "no work")
    assert ended.event.wait(WAIT) and ended.reason == "no work"
    second.stop()


def test_an_instance_ends_when_no_daemon_comes_back(directory: Path) -> None:
    daemon, ended = Daemon(directory, 1), Ended()
    daemon.registry.expect("one")
    Keeper(daemon.endpoint, registration(), ended, grace=0.5).start()
    daemon.stop()
    assert ended.event.wait(WAIT) and "no daemon came back within 0.5 s" in ended.reason


def test_an_instance_whose_run_was_removed_ends_at_once(directory: Path) -> None:
    daemon, ended = Daemon(directory, 1), Ended()
    daemon.registry.expect("one")
    Keeper(daemon.endpoint, registration(), ended, grace=1e6).start()
    daemon.stop()
    daemon.endpoint.unlink()
    directory.rmdir()
    assert ended.event.wait(WAIT) and "the run has ended" in ended.reason


def test_an_instance_that_is_refused_says_why(directory: Path) -> None:
    daemon = Daemon(directory, 1)
    with pytest.raises(Unavailable, match="instance one: not known"):
        Keeper(daemon.endpoint, registration(), Ended(), grace=1.0).start()
    daemon.stop()


def test_a_lease_lapses_when_the_daemon_hangs(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:  # takes connections and never answers
        listener.bind(str(directory / "hangs.sock"))
        listener.listen(8)
        endpoint = directory / "endpoint.json"
        endpoint.write_text(json.dumps({"pid": 1, "started_at": 1, "control": f"unix:{directory}/hangs.sock"}))
        keeper = Keeper(endpoint, registration(), Ended(), grace=1e6)
        with pytest.raises(Unavailable, match="the lease lapsed: no answer for"):
            keeper.start()
        assert not refuses(f"unix:{directory}/hangs.sock")
        assert not answers(f"unix:{directory}/hangs.sock", None, timeout=0.2)
    assert refuses(f"unix:{directory}/hangs.sock") and refuses(f"unix:{directory}/none.sock")


def test_waiting_for_a_registration_ends_with_the_instance() -> None:
    registry = Registry(LeaseTable("r", refuse))
    registry.expect("one")
    assert registry.wait("one", 0.01, lambda: False) is None
    assert registry.wait("one", 1e6, lambda: True) is None
    threading.Timer(0.05, registry.register, [registration()]).start()
    assert registry.wait("one", WAIT, lambda: False) == registration()
