"""A run on the network: who gets in, who does not, and what lies where."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from qfw import qpi
from qfw.program.errors import InvalidArgument, PermissionDenied, Unavailable
from qfw.qpm import certificates, run_cli
from qfw.qpm import run as runs
from qfw.qpm.api.v1 import runtime_pb2, runtime_pb2_grpc
from qfw.qpm.services.probe import probe

PATIENCE = 30.0


@pytest.fixture(scope="module")
def run(private_directories: Path) -> Iterator[runs.Run]:
    run = runs.run_of("Net.1")
    run_cli.start(run, tcp="127.0.0.1", tls_hours=1.0)
    yield run
    run_cli.clean(run, grace=10.0)


@pytest.fixture(scope="module")
def foreign(run: runs.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of another run that has the same name."""
    directory = tmp_path_factory.mktemp("foreign")
    certificates.issue(directory, run.run_id, certificates.lifetime(1.0))
    return directory / "tls"


def endpoint(run: runs.Run, **changes: object) -> dict[str, object]:
    found = run.endpoint()
    assert found is not None
    return {**found, **changes}


def written(directory: Path, content: dict[str, object]) -> Path:
    file = directory / "endpoint.json"
    file.write_text(json.dumps(content))
    return file


def files_of(directory: Path) -> dict[str, object]:
    """An endpoint's `tls` with the files of a directory."""
    names = {"ca": "ca.pem", "certificate": "client.pem", "key": "client.key"}
    return {**{k: str(directory / v) for k, v in names.items()}, "server_name": "net-1.qfw.run"}


# ---- who gets in -----------------------------------------------------------------------------------------------------


def test_a_copy_of_the_directory_is_enough_on_another_host(run: runs.Run, tmp_path: Path) -> None:
    shutil.copytree(run.path / "tls", tmp_path / "tls")
    gone = {"hostname": "elsewhere", "runtime": "unix:/nowhere", "control": "unix:/nowhere"}
    file = written(tmp_path, endpoint(run, **gone))
    with qpi.connect(file) as context:
        assert context.endpoint == endpoint(run)["runtime_tls"]
        assert "statevec" in [d.name for d in context.devices()]
    assert "statevec" in [d["name"] for d in probe(json.loads(file.read_text()), tmp_path, PATIENCE)]


def test_on_its_own_host_the_socket_is_taken_unless_told_otherwise(
    run: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = {}
    for wanted in ("", "unix", "tls"):
        monkeypatch.setenv("QFW_TRANSPORT", wanted)
        with qpi.connect(run.endpoint_file) as context:
            ways[wanted] = context.endpoint
    at = endpoint(run)
    assert ways == {"": at["runtime"], "unix": at["runtime"], "tls": at["runtime_tls"]}
    monkeypatch.setenv("QFW_TRANSPORT", "pigeon")
    with pytest.raises(InvalidArgument, match='"pigeon"; allowed: unix, tls'):
        qpi.connect(run.endpoint_file)
    with pytest.raises(InvalidArgument, match="'pigeon'; allowed: unix, tls"):
        probe(at, run.path, PATIENCE)


def test_tls_1_3_and_1_2_are_spoken_and_older_ones_are_not(run: runs.Run) -> None:
    host, port = str(endpoint(run)["runtime_tls"]).split(":")

    def version(highest: ssl.TLSVersion) -> str | None:
        context = ssl.create_default_context(cafile=str(run.path / "tls/ca.pem"))
        context.load_cert_chain(run.path / "tls/client.pem", run.path / "tls/client.key")
        context.set_alpn_protocols(["h2"])
        context.set_ciphers("ALL:@SECLEVEL=0")  # this side would speak any
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = highest
        plain = socket.create_connection((host, int(port)), timeout=PATIENCE)
        with plain, context.wrap_socket(plain, server_hostname="net-1.qfw.run") as secured:
            return secured.version()

    assert version(ssl.TLSVersion.MAXIMUM_SUPPORTED) == "TLSv1.3"
    assert version(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.warns(DeprecationWarning), pytest.raises((ssl.SSLError, ConnectionError)):
        version(ssl.TLSVersion.TLSv1_1)


# ---- who does not ----------------------------------------------------------------------------------------------------


def credentials(kind: str, own: Path, foreign: Path) -> grpc.ChannelCredentials:
    def client(ca: Path, directory: Path, role: str = "client") -> grpc.ChannelCredentials:
        files = (ca / "ca.pem", directory / f"{role}.key", directory / f"{role}.pem")
        return grpc.ssl_channel_credentials(*(f.read_bytes() for f in files))

    return {
        "no certificate": lambda: grpc.ssl_channel_credentials((own / "ca.pem").read_bytes()),
        "certificate of another run": lambda: client(own, foreign),
        "certificate of a server": lambda: client(own, own, "server"),
        "authority of another run": lambda: client(foreign, own),
    }.get(kind, lambda: client(own, own))()


@pytest.mark.parametrize("service", ["runtime_tls", "control_tls"])
@pytest.mark.parametrize(
    "kind",
    [
        "plaintext",
        "no certificate",
        "certificate of another run",
        "certificate of a server",
        "authority of another run",
        "wrong name",
        "right",
    ],
)
def test_only_a_client_of_the_run_is_served(run: runs.Run, foreign: Path, service: str, kind: str) -> None:
    address = str(endpoint(run)[service])
    name = "other.qfw.run" if kind == "wrong name" else "net-1.qfw.run"
    made = credentials(kind, run.path / "tls", foreign)
    secure = grpc.secure_channel(address, made, [("grpc.ssl_target_name_override", name)])
    with grpc.insecure_channel(address) if kind == "plaintext" else secure as channel:

        def answer() -> object:
            if service == "control_tls":
                return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
            hello = runtime_pb2.ClientMessage(hello=runtime_pb2.Hello(protocol=1))
            return next(runtime_pb2_grpc.RuntimeStub(channel).Session(iter([hello]), timeout=PATIENCE))

        if kind == "right":
            assert answer()
            return
        with pytest.raises(grpc.RpcError) as refused:
            answer()
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE, refused.value


def test_qpi_says_why_it_is_refused(run: runs.Run, foreign: Path, tmp_path: Path) -> None:
    own = run.path / "tls"
    wrong_name = {**files_of(own), "server_name": "other.qfw.run"}
    no_member = {**files_of(foreign), "ca": str(own / "ca.pem")}
    for tls, kinds in (
        (files_of(foreign), (PermissionDenied,)),
        (wrong_name, (PermissionDenied,)),
        (no_member, (PermissionDenied, Unavailable)),  # in TLS 1.3 a client learns it by the end of the connection
    ):
        file = written(tmp_path, endpoint(run, hostname="elsewhere", tls=tls))
        with pytest.raises(kinds) as caught:
            qpi.connect(file)
        assert str(endpoint(run)["runtime_tls"]) in str(caught.value)


def test_a_key_that_others_can_read_is_not_used(run: runs.Run, tmp_path: Path) -> None:
    shutil.copytree(run.path / "tls", tmp_path / "tls")
    (tmp_path / "tls/client.key").chmod(0o640)
    file = written(tmp_path, endpoint(run, hostname="elsewhere"))
    with pytest.raises(PermissionDenied, match=r"tls/client.key.*chmod 600"):
        qpi.connect(file)
    (tmp_path / "tls/client.key").unlink()
    with pytest.raises(Unavailable, match=r"cannot read the key .*client.key: No such file"):
        qpi.connect(file)


def test_a_run_that_is_not_on_the_network_says_so(private_directories: Path, tmp_path: Path) -> None:
    run = runs.run_of("local-only")
    run_cli.start(run)
    try:
        local = endpoint(run)
        assert not [key for key in local if "tls" in key]
        assert not (run.path / "tls").exists()
        process = run.process()
        assert process is not None
        assert listening(process.pid) == set()
        file = written(tmp_path, {**local, "hostname": "elsewhere", "runtime": "unix:/nowhere"})
        with pytest.raises(Unavailable, match="on the host elsewhere and not on the network.*--tcp"):
            qpi.connect(file)
        with pytest.raises(InvalidArgument, match="local-only is live and not on the network"):
            run_cli.main(["setup", "--run-id", run.run_id, "--tcp"])
    finally:
        run_cli.clean(run, grace=10.0)


# ---- what lies where -------------------------------------------------------------------------------------------------


def listening(pid: int) -> set[int]:
    """TCP ports that a process listens on."""
    sockets = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            sockets.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:  # closed since
            continue
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def test_the_daemon_listens_on_the_two_ports_that_the_endpoint_names(run: runs.Run) -> None:
    named = {int(str(endpoint(run)[name]).rpartition(":")[2]) for name in ("runtime_tls", "control_tls")}
    process = run.process()
    assert process is not None
    assert listening(process.pid) == named
    assert len(named) == 2


def test_keys_are_private_files_and_nowhere_else(run: runs.Run) -> None:
    tls = run.path / "tls"
    assert stat.S_IMODE(run.path.stat().st_mode) == stat.S_IMODE(tls.stat().st_mode) == 0o700
    assert {stat.S_IMODE(f.stat().st_mode) for f in tls.iterdir()} == {0o600}
    process = run.process()
    assert process is not None
    seen = [Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    assert not [text for text in (*seen, run.endpoint_file.read_bytes()) if b"PRIVATE KEY" in text]


def test_the_end_of_a_run_takes_its_certificates_along(private_directories: Path, tmp_path: Path) -> None:
    run = runs.run_at(str(tmp_path / "mine"))
    run_cli.start(run, tcp="localhost")
    assert (run.path / "tls/client.key").exists()
    assert run_cli.clean(run, grace=10.0)
    assert not run.path.exists()


def test_the_command_line_over_tls(run: runs.Run) -> None:
    environ = {**os.environ, "QFW_ENDPOINT": str(run.endpoint_file), "QFW_TRANSPORT": "tls"}

    def output(*command: str) -> str:
        call = [sys.executable, "-c", "from qfw.cli import main; main()", *command]
        return subprocess.run(call, env=environ, capture_output=True, text=True, timeout=60, check=True).stdout

    listed = json.loads(output("devices", "--json"))
    assert listed["endpoint"] == endpoint(run)["runtime_tls"]
    assert "statevec" in [d["name"] for d in listed["devices"]]
    found = [f for f in json.loads(output("doctor", "--json")) if f["text"].startswith(f"{run.run_id}: ")]
    assert {f["status"] for f in found} == {"ok"}
    assert any(str(endpoint(run)["runtime_tls"]) in f["text"] for f in found)


@pytest.mark.parametrize("text", ["a b", "host:70000", "host:", ":80", "1::2", "host:x"])
def test_senseless_addresses_are_refused(private_directories: Path, text: str) -> None:
    run = runs.run_of("senseless")
    with pytest.raises(InvalidArgument, match="is not an address to listen on"):
        run_cli.start(run, tcp=text)
    assert not run.live()
    run_cli.clean(run, grace=0.0)


def test_an_address_of_another_host_fails_in_words(private_directories: Path) -> None:
    run = runs.run_of("elsewhere")
    with pytest.raises(Unavailable, match=r"192\.0\.2\.1"):  # of TEST-NET-1: nobody's
        run_cli.start(run, tcp="192.0.2.1")
    assert not run.path.exists()


def test_there_is_no_way_in_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot read the endpoint file 127.0.0.1:1"):
        qpi.connect("127.0.0.1:1")
