"""The runtime inside an application: one per process, and nothing of it stays behind."""

import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from qfw import qpi
from qfw.program import Builder
builder = Builder(1, 1)
builder.gate("x", [0])
builder.measure(0, 0)
task = qpi.Task(builder.finish(), shots=2)
context = qpi.connect("embedded")
"""

WORKER_PID = "import qfw._embedded; print(qfw._embedded._made.host._workers[-1]._child.pid, flush=True)\n"


@pytest.fixture(autouse=True)
def samples(installed_plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the programs of these tests find."""
    monkeypatch.setenv("PYTHONPATH", str(installed_plugins))


def start(code: str) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM + code]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd="/")


def run(code: str) -> tuple[str, str]:
    process = start(code)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out, err


def ended(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(10_000))


def sockets() -> set[str]:
    return {str(p) for p in Path(tempfile.gettempdir()).glob("qfw-*/*.sock")}


def test_two_contexts_share_one_runtime() -> None:
    out, _ = run(
        "import qfw._embedded\n"
        "with qpi.connect('embedded') as other:\n"
        "    print(context.mesh('statevec').run(task).counts, other.mesh('statevec').run(task).counts)\n"
        "print(qfw._embedded.runtime() is qfw._embedded.runtime())\n"
    )
    assert out == "{'1': 2} {'1': 2}\nTrue\n"


def test_a_worker_starts_at_the_first_task_and_ends_with_the_program() -> None:
    before = sockets()
    process = start(
        "import qfw._embedded\n"
        "print([w._child for w in qfw._embedded._made.host._workers if w._child], flush=True)\n"
        "print(context.mesh('sample').run(task).counts, flush=True)\n" + WORKER_PID + "sys.stdin.read()\n"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "[]\n"
    assert process.stdout.readline() == "{'1': 2}\n"
    fd = os.pidfd_open(int(process.stdout.readline()))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [line for line in err.splitlines() if "broken" not in line] == []
    assert ended(fd)
    os.close(fd)
    assert sockets() == before


def test_a_killed_program_takes_its_workers_along() -> None:
    process = start("context.mesh('sample').run(task)\n" + WORKER_PID + "sys.stdin.read()\n")
    assert process.stdout is not None
    fd = os.pidfd_open(int(process.stdout.readline()))
    process.kill()
    process.communicate(timeout=60)
    assert ended(fd)
    os.close(fd)


def test_a_program_that_ends_while_its_worker_hangs_ends_all_the_same() -> None:
    out, _ = run(
        "stream = context.mesh('sample').stream()\n"
        "stream.submit(qpi.Task(task.program, options={'behaviour': 'stuck'}))\n"
        "print('end', flush=True)\n"
    )
    assert out == "end\n"


def test_a_fork_makes_a_runtime_of_its_own() -> None:
    out, _ = run(
        "mesh = context.mesh('statevec')\n"
        "queue = context.completion_queue()\n"
        "mesh.run(task)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    for call in (lambda: mesh.run(task), queue.read, context.event_queue, context.cancel):\n"
        "        try:\n"
        "            call()\n"
        "        except qpi.errors.Closed as error:\n"
        "            print('fork' in str(error), end=' ')\n"
        "    with qpi.connect('embedded') as anew:\n"
        "        print(anew.mesh('statevec').run(task).counts, flush=True)\n"
        "    raise SystemExit  # what runs at the end of an interpreter waits for nothing of the parent's\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\n"
        "print(mesh.run(task).counts)\n"
    )
    assert out.splitlines() == ["True True True True {'1': 2}", "{'1': 2}"]


@pytest.mark.parametrize("device", ["statevec", "sample"])
def test_exit_without_closing_anything(device: str) -> None:
    out, err = run(f"mesh = context.mesh({device!r})\nstream = mesh.stream()\nstream.submit(task)\nprint('end')\n")
    assert out == "end\n"
    assert "Traceback" not in err
