"""Child processes: announced, watched, ended; nothing else is touched."""

import os
import signal
import subprocess
import sys

import pytest

from qfw.program.errors import DeviceError, DeviceLost
from qfw.simenv.launch import local

READY = "import os, sys; os.write(int(os.environ['QFW_READY_FD']), b'here\\n'); "

WORKER = """
import fcntl, os, re, threading
from qfw.qpm.worker import end_with_parent

def busy():
    while not fcntl.fcntl(0, fcntl.F_GETFL) & os.O_ASYNC:
        pass
    os.write(int(os.environ['QFW_READY_FD']), b'here\\n')
    re.match('(a+)+$', 'a' * 60 + 'b')

threading.Thread(target=busy).start()
end_with_parent()
"""


def start(code: str, **options: float) -> local.Child:
    return local.start([sys.executable, "-c", code], **options)


def test_a_child_announces_itself_and_ends_with_its_input() -> None:
    child = start(READY + "sys.stdin.read(); print('bye', file=sys.stderr)")
    assert child.announcement == "here"
    assert child.alive()
    child.stop()
    assert not child.alive()
    assert "ended with exit status 0" in child.describe_end()
    assert child.stderr_tail() == "bye"
    child.stop()


def test_a_child_that_does_not_listen_is_ended_by_force() -> None:
    child = start("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY + "signal.pause()")
    child.stop(grace=0.1)
    assert not child.alive()
    assert "SIGKILL" in child.describe_end()


def test_death_before_ready_says_how_and_gives_the_last_words() -> None:
    with pytest.raises(DeviceLost, match=r"ended before it was ready.*exit status 3.*\n.*no such luck"):
        start("import sys; print('no such luck', file=sys.stderr); sys.exit(3)")


def test_silence_is_ended_after_the_limit() -> None:
    with pytest.raises(DeviceError, match=r"was not ready after 0.2 s"):
        start("import signal; signal.pause()", ready_timeout=0.2)


def test_a_program_that_does_not_exist() -> None:
    with pytest.raises(DeviceError, match="cannot start /no/such/program"):
        local.start(["/no/such/program"])


def test_a_killed_child_is_noticed() -> None:
    child = start(READY + "sys.stdin.read()")
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(5.0)
    assert "SIGKILL" in child.describe_end()
    child.stop()


def test_only_the_tail_of_much_output_is_kept_and_no_pipe_fills() -> None:
    child = start(READY + "[print(i, file=sys.stderr) for i in range(20000)]")
    assert child.wait(20.0)
    assert child.stderr_tail().splitlines()[-1] == "19999"
    assert len(child.stderr_tail().splitlines()) == local.TAIL_LINES
    child.stop()


def test_children_go_when_their_parent_is_killed() -> None:
    """A worker that is deep in a library which holds Python's global lock ends all the same."""
    worker = f"import sys; sys.path[:0] = {sys.path!r}\n" + WORKER
    parent = (
        "import sys; from qfw.simenv.launch import local; "
        "child = local.start([sys.executable, '-c', sys.argv[1]]); print(child.pid, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent, worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    fd = os.pidfd_open(pid)
    process.kill()
    process.wait()
    assert local._ended(fd, 10.0)
    os.close(fd)
    process.communicate()
