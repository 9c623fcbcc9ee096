"""The way in: endpoints, devices, meshes, and what happens after the end."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qfw import qpi
from qfw.qpi.errors import Closed, InvalidArgument, NotFound, ProtocolError, Unavailable


def test_without_a_run_the_runtime_is_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with qpi.connect() as ctx:
        assert ctx.endpoint == "embedded"
        assert ctx.window > 0
        assert repr(ctx) == "Context('embedded')"


def test_a_daemon_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable):
        qpi.connect(f"unix:{tmp_path}/runtime.sock", timeout=0.2)
    with pytest.raises(Unavailable, match=r"nothing\.json"):
        qpi.connect(tmp_path / "nothing.json")
    monkeypatch.setenv("QFW_RUN_ID", "no-such-run")
    with pytest.raises(Unavailable, match='QFW_RUN_ID names the run "no-such-run"'):
        qpi.connect()


def test_a_file_that_is_no_endpoint(tmp_path: Path) -> None:
    file = tmp_path / "endpoint.json"
    file.write_text("[]")
    with pytest.raises(ProtocolError, match="not an endpoint file"):
        qpi.connect(file)
    file.write_text(json.dumps({"version": 7, "runtime": "unix:/x"}))
    with pytest.raises(ProtocolError, match="version 7"):
        qpi.connect(file)


def test_devices(ctx: qpi.Context) -> None:
    names = [device.name for device in ctx.devices()]
    assert "statevec" in names
    device = ctx.device("statevec")
    assert device.simulator
    assert device.status == "online"
    assert device.max_qubits >= 20
    assert "h" in device.gates
    assert device.coupling == ()
    assert set(device.outputs) == {"counts", "memory", "probabilities", "statevector", "expectations", "gradients"}
    with pytest.raises(NotFound, match=r'no device "nothing"; there are: .*statevec'):
        ctx.device("nothing")


def test_meshes(ctx: qpi.Context) -> None:
    assert [d.name for d in ctx.mesh("statevec").devices] == ["statevec"]
    assert len(ctx.mesh().devices) == len(ctx.devices())
    assert all(d.simulator for d in ctx.mesh(kind="simulator", min_qubits=2).devices)
    with pytest.raises(NotFound, match="that is a QPU"):
        ctx.mesh(kind="qpu")
    with pytest.raises(NotFound):
        ctx.mesh(min_qubits=1_000_000)
    with pytest.raises(InvalidArgument, match="'gpu'"):
        ctx.mesh(kind="gpu")
    with pytest.raises(InvalidArgument, match="-1"):
        ctx.mesh(min_qubits=-1)


def test_after_close_everything_says_closed(bell: qpi.Program) -> None:
    ctx = qpi.connect("embedded")
    mesh, queue = ctx.mesh("statevec"), ctx.completion_queue()
    stream = mesh.stream(completions=queue)
    ctx.close()
    ctx.close()
    for call in (
        ctx.devices,
        ctx.completion_queue,
        lambda: mesh.run(qpi.Task(bell)),
        lambda: stream.submit(qpi.Task(bell)),
        queue.read,
        queue.wait,
    ):
        with pytest.raises(Closed):
            call()
    stream.close()


def test_close_wakes_a_reader_of_another_thread() -> None:
    ctx = qpi.connect("embedded")
    queue = ctx.completion_queue()
    caught: list[BaseException] = []

    def read() -> None:
        try:
            queue.read()
        except Closed as error:
            caught.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    ctx.close()
    reader.join(30)
    assert len(caught) == 1


def test_two_contexts_do_not_see_each_others_work(ctx: qpi.Context, bell: qpi.Program) -> None:
    with qpi.connect("embedded") as other:
        mine, theirs = ctx.completion_queue(), other.completion_queue()
        with ctx.mesh("statevec").stream(completions=mine) as a, other.mesh("statevec").stream(completions=theirs) as b:
            a.submit(qpi.Task(bell, context="mine"))
            b.submit(qpi.Task(bell, context="theirs"))
        assert [c.context for c in mine.read(5)] == ["mine"]
        assert [c.context for c in theirs.read(5)] == ["theirs"]


def test_a_child_of_fork_is_told_to_connect_anew(mesh: qpi.Mesh, bell: qpi.Program) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            mesh.run(qpi.Task(bell))
        except Closed as error:
            os._exit(0 if "fork" in str(error) else 2)
        except BaseException:  # noqa: BLE001 - a child must never return into the test run
            os._exit(3)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_import_takes_no_framework_and_no_grpc() -> None:
    frameworks = ("qiskit", "pennylane", "grpc", "qfw.toolchain")
    code = f"import sys; import qfw.qpi; print([m for m in {frameworks} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_leaving_without_close_ends_cleanly() -> None:
    """Threads of the runtime, contexts of unread completions: none may outlive the interpreter."""
    code = """
from qfw import qpi
b = qpi.Builder(1, 1); b.gate("h", [0]); b.measure(0, 0)
ctx = qpi.connect("embedded")
queue = ctx.completion_queue()
stream = ctx.mesh("statevec").stream(completions=queue)
for i in range(100):
    stream.submit(qpi.Task(b.finish(), shots=1000, context=object()))
print("submitted")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "submitted\n", "")


def test_everything_public_is_importable() -> None:
    assert sorted(qpi.__all__) == qpi.__all__
    assert all(hasattr(qpi, name) for name in qpi.__all__)
    assert all(hasattr(qpi.errors, name) for name in qpi.errors.__all__)
