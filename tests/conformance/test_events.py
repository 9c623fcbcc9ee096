"""What devices and the system have to say reaches who listens, over both transports, and nobody else."""

from __future__ import annotations

import asyncio
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from c_programs import VALGRIND, compiled

from qfw import qpi
from qfw._core.qpm import Runtime
from qfw.qpi import errors
from qfw.qpm import run as runs
from qfw.qpm.host import Host, load
from qfw.qpm.plugin import DeviceEvent

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds; never reached by code that works


def settle(ctx: qpi.Context) -> None:
    """A question and its answer: what the client said before, such as whom it listens to, has arrived by then."""
    ctx.devices()


def test_a_fault_says_which_device_and_why(ctx: qpi.Context, runtime: Runtime) -> None:
    queue = ctx.event_queue()
    settle(ctx)
    before = time.time()
    runtime.set_status(1, "fault", "the laser is off")
    runtime.set_status(1, "fault", "the laser is off")  # nothing new
    runtime.set_status(1, "draining", "maintenance")
    runtime.set_status(1, "online", "")
    events = []
    while len(events) < 3:
        events += queue.read(10, timeout=PATIENCE)
    assert [(e.kind, e.device, e.status, e.severity, e.message) for e in events] == [
        ("fault", "two", "fault", "error", "the laser is off"),
        ("drain", "two", "draining", "warning", "maintenance"),
        ("status", "two", "online", "info", ""),
    ]
    assert [e.sequence for e in events] == sorted({e.sequence for e in events})
    assert before - 1 <= events[0].time <= time.time() + 1
    assert queue.read(timeout=0) == []


def test_several_queues_hear_what_they_asked_for(ctx: qpi.Context, runtime: Runtime) -> None:
    everything = ctx.event_queue()
    second = ctx.event_queue(["two"])
    noise = ctx.event_queue([ctx.device("one"), "two"], ["noise", "calibration"])
    settle(ctx)
    runtime.emit("noise", 0, values={"t1": 1e-4})
    runtime.emit("calibration", 1, "tuned", calibration_set="c7")
    runtime.emit("drain", None, "the runtime stops soon", "warning")

    def heard(queue: qpi.EventQueue, count: int) -> list[tuple[str, str]]:
        events: list[qpi.Event] = []
        while len(events) < count:
            events += queue.read(10, timeout=PATIENCE)
        return [(e.kind, e.device) for e in events]

    assert heard(everything, 3) == [("noise", "one"), ("calibration", "two"), ("drain", "")]
    assert heard(second, 2) == [("calibration", "two"), ("drain", "")]
    assert heard(noise, 2) == [("noise", "one"), ("calibration", "two")]
    assert [len(queue) for queue in (everything, second, noise)] == [0, 0, 0]


def test_figures_and_calibration_sets_arrive_whole(ctx: qpi.Context, runtime: Runtime) -> None:
    with ctx.event_queue(kinds=["calibration"]) as queue:
        settle(ctx)
        runtime.emit("calibration", 0, "tuned", "info", "2026-11-21T05", {"t1": 1.5e-4, "readout": 0.02})
        (event,) = queue.read(timeout=PATIENCE)
    assert (event.calibration_set, dict(event.values)) == ("2026-11-21T05", {"t1": 1.5e-4, "readout": 0.02})


def test_nothing_is_kept_where_nobody_listens(ctx: qpi.Context, runtime: Runtime) -> None:
    runtime.emit("noise", 0, "before")
    queue = ctx.event_queue()
    settle(ctx)
    runtime.emit("noise", 0, "while")
    assert [e.message for e in queue.read(5, timeout=PATIENCE)] == ["while"]
    queue.close()
    settle(ctx)
    runtime.emit("noise", 0, "after")
    with pytest.raises(errors.Closed):
        queue.read()
    again = ctx.event_queue()
    settle(ctx)
    runtime.emit("noise", 0, "later")
    assert [e.message for e in again.read(5, timeout=PATIENCE)] == ["later"]


def test_a_full_queue_drops_the_oldest_and_says_how_many(ctx: qpi.Context, runtime: Runtime) -> None:
    queue = ctx.event_queue(capacity=3)
    last = ctx.event_queue(kinds=["drain"])
    settle(ctx)
    for i in range(10):
        runtime.emit("noise", 0, str(i))
    runtime.emit("drain")
    last.read(timeout=PATIENCE)  # the others are in by now
    events = queue.read(10, timeout=0)
    assert [(e.kind, e.message, e.lost) for e in events] == [("noise", "8", 8), ("noise", "9", 0), ("drain", "", 0)]
    with pytest.raises(errors.InvalidArgument, match="capacity is 0"):
        ctx.event_queue(capacity=0)


def test_wrong_questions(ctx: qpi.Context, runtime: Runtime) -> None:
    with pytest.raises(errors.NotFound, match='no device "three"; there are: one, two'):
        ctx.event_queue(["three"])
    with pytest.raises(
        errors.InvalidArgument, match='kind "weather"; allowed: status, fault, drain, calibration, noise'
    ):
        ctx.event_queue(kinds=["weather"])
    with pytest.raises(errors.InvalidArgument, match=r"read\(0\)"):
        ctx.event_queue().read(0)
    with pytest.raises(errors.InvalidArgument, match="kind of event 'weather'; allowed: status"):
        runtime.emit("weather")


def test_the_descriptor_and_the_event_loop(ctx: qpi.Context, runtime: Runtime) -> None:
    queue = ctx.event_queue()
    settle(ctx)
    assert not select.select([queue], [], [], 0)[0]
    assert queue.read(timeout=0.01) == []
    runtime.emit("noise", 0)
    assert select.select([queue], [], [], PATIENCE)[0]
    assert len(queue) == 1
    queue.read()
    assert not select.select([queue], [], [], 0)[0]

    async def main() -> list[str]:
        reader = asyncio.ensure_future(queue.read_async(timeout=PATIENCE))
        await asyncio.sleep(0)
        runtime.emit("noise", 1, "a")
        (first,) = await reader
        assert await queue.read_async(timeout=0.01) == []
        runtime.emit("noise", 1, "b")
        runtime.emit("noise", 1, "c")
        messages = [first.message]
        async for event in queue:
            messages.append(event.message)
            if event.message == "c":
                queue.close()
        return messages

    assert asyncio.run(main()) == ["a", "b", "c"]


def test_closing_the_context_ends_the_iteration(ctx: qpi.Context, runtime: Runtime) -> None:
    queue = ctx.event_queue()
    settle(ctx)
    runtime.emit("noise", 0, "last words")
    assert select.select([queue], [], [], PATIENCE)[0]
    ctx.close()
    assert [e.message for e in queue] == ["last words"]
    with pytest.raises(errors.Closed):
        ctx.event_queue()


@pytest.mark.parametrize("under", ["", "valgrind"])
def test_a_listener_in_c(runtime: Runtime, tmp_path: Path, under: str) -> None:
    """Every field arrives, the other device is not heard, a full queue counts what it dropped; nothing leaks."""
    if under and shutil.which(under) is None:
        pytest.skip("valgrind is not installed")
    program = compiled(ROOT / "tests/c/listener.c", tmp_path)
    with tempfile.TemporaryDirectory(prefix="qfw-", dir="/tmp") as folder:
        server = runtime.serve(f"unix:{folder}/runtime.sock")
        command = [*(VALGRIND if under else []), str(program), server.address, "two"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listener:
            assert listener.stdout is not None and listener.stdout.readline() == "listening\n"
            runtime.set_status(1, "fault", "the laser is off")
            runtime.emit("noise", 0, "of the other device")
            runtime.emit("calibration", 1, "tuned", calibration_set="c7", values={"t1": 1.5e-4, "readout": 0.02})
            runtime.emit("drain", None, "the runtime stops soon", "warning")
            out, err = listener.communicate(timeout=PATIENCE)
        server.stop()
    assert (listener.returncode, err) == (0, "")
    assert out.splitlines() == [
        '2 "two" 4 2 "the laser is off" ""',
        '8 "two" 4 0 "tuned" "c7" readout=0.02 t1=0.00015',
        '4 "" 0 1 "the runtime stops soon" ""',
        "4 lost 2",
    ]


# ---- providers -----------------------------------------------------------------------------------------------------


class Recorder:
    """The part of a runtime that the host uses."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def add_statevec(self, name: str = "statevec") -> int:
        return 7

    def emit(self, *event: object) -> None:
        self.events.append(event)


def test_a_plugin_in_the_daemon_tells_of_its_devices(tmp_path: Path) -> None:
    from importlib.metadata import EntryPoint

    found = load(EntryPoint("statevec", "qfw.qpm.plugins.statevec:plugin", "qfw.qpm_plugins"))
    assert found.plugin is not None
    recorder = Recorder()
    try:
        Host(recorder, tmp_path).install([found])  # type: ignore[arg-type]
        found.plugin.emit(DeviceEvent("statevec", "calibration", "tuned", calibration_set="c1", values={"t1": 1.0}))
        assert recorder.events == [("calibration", 7, "tuned", "info", "c1", {"t1": 1.0})]
        with pytest.raises(errors.InvalidArgument, match="device 'other'; the plugin has statevec"):
            found.plugin.emit(DeviceEvent("other", "noise"))
        with pytest.raises(errors.InvalidArgument, match="kind 'fault'; a plugin's are calibration and noise"):
            found.plugin.emit(DeviceEvent("statevec", "fault"))  # type: ignore[arg-type]
    finally:
        found.plugin.tell = None
    found.plugin.emit(DeviceEvent("statevec", "noise"))  # nobody listens


def test_an_executor_in_a_worker_process_tells_through_the_daemon(live_run: runs.Run) -> None:
    builder = qpi.Builder(1, 1)
    builder.measure(0, 0)
    with qpi.connect(live_run.endpoint_file) as ctx, ctx.event_queue(["sample"], ["calibration"]) as queue:
        settle(ctx)
        ctx.mesh("sample").run(qpi.Task(builder.finish(), options={"behaviour": "calibrate"}), timeout=PATIENCE)
        (event,) = queue.read(timeout=PATIENCE)
    assert (event.device, event.calibration_set, dict(event.values)) == ("sample", "set-1", {"t1": 2e-4})
