"""Real daemons: started, found, side by side, ended, killed, cleaned up after."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from qfw.program.errors import Unavailable
from qfw.qpm import run as runs
from qfw.qpm import run_cli
from qfw.qpm.api.v1 import resource_pb2, resource_pb2_grpc

pytestmark = pytest.mark.usefixtures("directories")


def cli(*args: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **changes}
    argv = [sys.executable, "-m", "qfw.qpm.run", *args]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=90, cwd="/")


def test_from_setup_to_teardown(directories: Path) -> None:
    done = cli("setup", "--run-id", "one")
    assert done.returncode == 0, done.stderr
    assert "qfw run one is ready" in done.stdout and "statevec" in done.stdout
    run = runs.run_of("one")
    assert run.live()
    assert run.path.stat().st_mode & 0o777 == 0o700 and run.endpoint_file.stat().st_mode & 0o777 == 0o600
    assert run.log_file.read_text() == "", "quiet by default"
    process = run.process()
    assert process is not None and process.alive()

    env = cli("env")
    assert f"export QFW_ENDPOINT={run.endpoint_file}" in env.stdout and "export QFW_RUN_ID=one" in env.stdout
    assert "one" in cli("list").stdout and json.loads(cli("list", "--json").stdout)[0]["state"] == "live"

    done = cli("teardown")
    assert done.returncode == 0 and "one ended" in done.stdout, done.stderr
    assert not process.alive() and not run.path.exists()
    again = cli("teardown")
    assert again.returncode == 0 and "no live run" in again.stdout
    left = [p for p in directories.rglob("*") if p.is_file()]
    assert left == [run.log_file]


def test_several_runs_side_by_side(directories: Path) -> None:
    for name in ("a", "b"):
        assert cli("setup", "--run-id", name).returncode == 0
    confused = cli("teardown")
    assert confused.returncode == 1 and "several runs are live (a, b)" in confused.stderr
    assert cli("teardown", "--run-id", "a").returncode == 0
    assert not runs.run_of("a").path.exists() and runs.run_of("b").live()
    assert cli("setup", "--run-id", "b").stdout.startswith("qfw run b was ready already")
    assert cli("teardown").returncode == 0


def test_what_a_killed_daemon_leaves_is_reported_and_removed(directories: Path) -> None:
    run = runs.run_of("one")
    run_cli.start(run)
    process = run.process()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    fd = os.pidfd_open(process.pid) if process.alive() else -1
    if fd >= 0:
        assert runs._wait_pidfd(fd, 10.0)
        os.close(fd)
    assert json.loads(cli("list", "--json").stdout)[0]["state"] == "stale"
    assert "no live run" in cli("env").stderr
    run_cli.start(runs.run_of("two"))
    assert cli("teardown", "--run-id", "two").returncode == 0
    assert runs.runs() == []


def test_setup_over_a_stale_run_of_the_same_name(directories: Path) -> None:
    run = runs.run_of("one")
    runs.private_dir(run.path)
    runs.write_json(run.endpoint_file, {"control": "unix:/nowhere"})
    runs.write_json(run.process_file, {"pid": os.getpid(), "start_time": 1})
    assert cli("setup", "--run-id", "one").returncode == 0
    assert run.live()


def test_a_daemon_that_cannot_start_leaves_nothing_and_shows_its_log(
    directories: Path,
) -> None:
    run = runs.run_of("one")
    with pytest.raises(
        Unavailable, match=r"ended with status 1 before it was ready; the end of .*qpmd.log:\n.*--threads -5: 0 to 4096"
    ):
        run_cli.start(run, threads=-5)
    assert not run.path.exists()


def test_setup_gives_up_in_time(directories: Path) -> None:
    done = cli("setup", "--run-id", "one", QFW_STARTUP_TIMEOUT="0.001")
    assert done.returncode == 1 and "not ready after 0.001 s" in done.stderr
    assert runs.runs() == []
    assert "not a positive number" in cli("setup", QFW_STARTUP_TIMEOUT="soon").stderr


def test_terminate_ends_the_daemon_gracefully_and_removes_its_run(directories: Path) -> None:
    daemon = subprocess.Popen(
        [sys.executable, "-m", "qfw.qpm.daemon", "--run-id", "front"], stderr=subprocess.PIPE, text=True, cwd="/"
    )
    run = runs.run_of("front")
    run_cli._wait_ready(run, None, 40.0)
    daemon.terminate()
    _, stderr = daemon.communicate(timeout=20)
    assert daemon.returncode == 0 and stderr == ""
    assert not run.path.exists()


def test_a_second_daemon_for_a_live_run_is_refused(directories: Path) -> None:
    run = runs.run_of("one")
    run_cli.start(run)
    second = subprocess.run(
        [sys.executable, "-m", "qfw.qpm.daemon", "--run-id", "one"], capture_output=True, text=True, cwd="/", timeout=40
    )
    assert second.returncode == 1 and "has a daemon already" in second.stderr
    assert run.live() and run.endpoint() is not None


def test_control_services(directories: Path) -> None:
    run = runs.run_of("one")
    run_cli.start(run)
    endpoint = run.endpoint()
    assert endpoint is not None
    response = health_pb2.HealthCheckResponse
    with grpc.insecure_channel(endpoint["control"]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "qpm.statevec"):
            assert health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10).status == response.SERVING
        with pytest.raises(grpc.RpcError) as unknown:
            health.Check(health_pb2.HealthCheckRequest(service="qpm.nothing"), timeout=10)
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
        resource = resource_pb2_grpc.ResourceStub(channel)
        names = [d.name for d in resource.ListDevices(resource_pb2.ListDevicesRequest(), timeout=10).devices]
        assert names[:2] == ["statevec", "aer"]
        device = resource.DescribeDevice(resource_pb2.DescribeDeviceRequest(name="statevec"), timeout=10)
        assert "h" in device.gates and device.max_qubits > 20
        with pytest.raises(grpc.RpcError) as unknown:
            resource.DescribeDevice(resource_pb2.DescribeDeviceRequest(name="quux"), timeout=10)
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
        assert "no device 'quux'; there are: statevec, aer" in unknown.value.details()
        status = resource.Status(resource_pb2.StatusRequest(), timeout=10)
        process = run.process()
        assert process is not None and status.pid == process.pid and status.run_id == "one" and not status.draining


def test_a_daemon_ends_when_its_directory_is_removed(directories: Path) -> None:
    run = runs.run_of("one")
    run_cli.start(run)
    process = run.process()
    assert process is not None
    fd = os.pidfd_open(process.pid)
    run.remove()
    assert runs._wait_pidfd(fd, 20.0)
    os.close(fd)


def test_one_cpu_is_enough(directories: Path) -> None:
    everything = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everything)})
    try:
        run_cli.start(runs.run_of("one"))
    finally:
        os.sched_setaffinity(0, everything)
    assert runs.run_of("one").live()


BELL = """
import sys
from qfw import qpi
from qfw.program import Builder
builder = Builder(2, 2)
builder.gate("h", [0])
builder.gate("cx", [0, 1])
builder.measure(0, 0)
builder.measure(1, 1)
program = builder.finish()
context = qpi.connect()
mesh = context.mesh("sample")
mesh.run(qpi.Task(program, shots=1))
stream = mesh.stream(completions=(done := context.completion_queue()))
stream.submit(qpi.Task(program, options={"behaviour": "stuck"}))
print("running", flush=True)
try:
    done.read(1, timeout=60)
except qpi.errors.ErrorAvailable:
    print(type(done.readerr().error).__name__, flush=True)
"""


@pytest.fixture
def busy(
    installed_plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[runs.Run, "subprocess.Popen[str]"]]:
    """A run with a client that waits for a task which never ends and cannot be interrupted."""
    monkeypatch.setenv("PYTHONPATH", str(installed_plugins))
    run = runs.run_of("one")
    run_cli.start(run)
    client = subprocess.Popen(
        [sys.executable, "-c", BELL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/"
    )
    assert client.stdout is not None and client.stdout.readline() == "running\n"
    yield run, client
    client.kill()
    client.communicate()


def test_teardown_does_not_wait_for_work_that_never_ends(busy: tuple[runs.Run, "subprocess.Popen[str]"]) -> None:
    run, client = busy
    (worker,) = run.worker_processes()
    done = cli("teardown")
    assert done.returncode == 0 and "one ended" in done.stdout, done.stderr
    assert not worker.alive() and not run.path.exists()
    out, err = client.communicate(timeout=30)
    assert out.strip() == "Unavailable", err


def test_a_killed_daemon_takes_its_workers_along_and_its_clients_are_told(
    busy: tuple[runs.Run, "subprocess.Popen[str]"],
) -> None:
    run, client = busy
    process, (worker,) = run.process(), run.worker_processes()
    assert process is not None
    fd = os.pidfd_open(worker.pid)
    os.kill(process.pid, signal.SIGKILL)
    out, err = client.communicate(timeout=30)
    assert out == "ConnectionLost\n", err
    assert runs._wait_pidfd(fd, 10.0)
    os.close(fd)
    assert cli("teardown").returncode == 0 and runs.runs() == []


def test_a_place_that_cannot_be_written_is_said_in_one_line(directories: Path) -> None:
    (directories / "file").write_text("")
    done = cli("setup", "--run-id", "one", XDG_STATE_HOME=str(directories / "file"))
    assert done.returncode == 1 and done.stderr.startswith("qfw: ") and "Traceback" not in done.stderr
    assert str(directories / "file") in done.stderr
