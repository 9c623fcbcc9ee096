"""Run directories and their search, without a daemon."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qfw.program.errors import InvalidArgument, NotFound, PermissionDenied, Unavailable
from qfw.qpm import run as runs


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("QFW_ENDPOINT", "QFW_RUN_ID", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "qfw"


def make(run_id: str) -> runs.Run:
    run = runs.run_of(run_id)
    runs.private_dir(run.path)
    return run


def test_base_is_the_runtime_directory_or_a_private_one_of_the_user(tmp_path: Path) -> None:
    assert runs.base_dir({"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "qfw"
    uid = os.getuid()
    assert runs.base_dir({"XDG_RUNTIME_DIR": str(tmp_path / "gone")}) == Path(f"/tmp/qfw-{uid}/qfw")
    assert runs.base_dir({"TMPDIR": "/scratch"}) == Path(f"/scratch/qfw-{uid}/qfw")
    assert runs.state_dir({"XDG_STATE_HOME": "/s"}) == Path("/s/qfw")
    assert runs.state_dir({"HOME": "/home/me"}) == Path("/home/me/.local/state/qfw")


@pytest.mark.parametrize("run_id", ["", "..", "a/b", ".hidden", "x" * 65, "a b", "-"])
def test_a_run_id_names_a_directory_and_nothing_else(run_id: str) -> None:
    with pytest.raises(InvalidArgument, match="run id"):
        runs.check_run_id(run_id)


def test_a_directory_that_others_can_write_to_is_refused(base: Path) -> None:
    make("one")
    (base / "one").chmod(0o777)
    with pytest.raises(PermissionDenied, match="mode 777"):
        runs.private_dir(base / "one")
    (base / "link").symlink_to("/tmp")
    with pytest.raises(PermissionDenied):
        runs.private_dir(base / "link")


def test_search_order(base: Path) -> None:
    assert runs.current({}) is None
    one, two = make("one"), make("2")
    assert runs.current({}) is None, "neither is live"
    lock = runs.take_lock(one)
    assert runs.current({}) == one
    assert runs.current({"SLURM_JOB_ID": "2"}) == two
    assert runs.current({"SLURM_JOB_ID": "3"}) == one, "a Slurm job without a run of its own"
    assert runs.current({"QFW_RUN_ID": "other", "SLURM_JOB_ID": "2"}) == runs.run_of("other")
    assert runs.current({"QFW_ENDPOINT": str(two.endpoint_file), "QFW_RUN_ID": "one"}) == two
    second = runs.take_lock(two)
    with pytest.raises(InvalidArgument, match=r"several runs are live .2, one."):
        runs.current({})
    os.close(lock)
    os.close(second)
    assert not one.live()


def test_the_lock_is_for_one_and_lookers_do_not_hold_it(base: Path) -> None:
    run = make("one")
    assert not run.live()
    lock = runs.take_lock(run)
    assert run.live()
    with pytest.raises(Unavailable, match="has a daemon already"):
        runs.take_lock(run, patience=0.05)
    os.close(lock)
    looker = os.open(run.lock_file, os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)
    assert not run.live(), "lookers are not daemons"
    os.close(looker)
    os.close(runs.take_lock(run))


def test_a_child_keeps_the_lock_that_it_was_handed(base: Path) -> None:
    run = make("one")
    lock = runs.take_lock(run)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,))
    os.close(lock)
    assert run.live()
    child.communicate(b"\n")
    assert not run.live()


def test_processes_are_told_apart_by_their_start(base: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = runs.Process.of(child.pid)
    assert process is not None and process.alive()
    impostor = runs.Process(process.pid, process.start_time - 1)
    assert impostor.end(0.0), "the recorded process is gone"
    assert child.poll() is None, "and the one that has its number now was left alone"
    assert process.end(5.0)
    child.communicate()
    assert runs.Process.of(child.pid) is None and process.end(0.0)


def test_long_paths_get_short_sockets(base: Path) -> None:
    run = make("x" * 60)
    runtime, control = runs.socket_paths(run)
    assert len(os.fsencode(control)) < runs.MAX_SOCKET_PATH
    if runtime.parent != run.path:
        runs.write_json(run.process_file, {"pid": 1, "start_time": 0, "socket_dir": str(runtime.parent)})
        assert run.socket_dir() == runtime.parent and runtime.parent.is_dir()
    run.remove()
    assert not runtime.parent.exists() and not run.path.exists()


def test_require_says_what_to_do(base: Path) -> None:
    with pytest.raises(NotFound, match=r"start one with qfw_setup\.sh"):
        runs.require(None)
    make("one")
    with pytest.raises(NotFound, match=r"one .* is not live"):
        runs.require("one")


def test_a_torn_or_foreign_file_is_no_endpoint(base: Path) -> None:
    run = make("one")
    for text in ("", "{", "[]", "null"):
        run.endpoint_file.write_text(text)
        assert run.endpoint() is None
    for text in ("{}", '{"pid": "x", "start_time": 1}'):
        run.process_file.write_text(text)
        assert run.process() is None
