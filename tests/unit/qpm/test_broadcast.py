"""Copies of a run's directory on nodes that share no file system, without Slurm."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from recorded_slurm import read as recorded

from qfw.program.errors import Unavailable
from qfw.qpm import broadcast
from qfw.qpm import run as runs


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QFW_RUN_BASE_DIR", str(tmp_path / "runs"))
    return tmp_path / "runs"


def bundle(path: Path, **files: str) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("__", "/").replace("_", "."))
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


def test_a_node_unpacks_what_it_may_and_keeps_it_private(base: Path, tmp_path: Path) -> None:
    directory = base / "x-1.0"
    sent = bundle(tmp_path / "b.tar", allocation_json="{}", tls__client_key="secret", **{"..__evil": "x"})
    assert broadcast.main([str(directory), "unpack", str(sent)]) == 0
    assert not sent.exists() and not (base / "evil").exists()
    assert (directory / "tls" / "client.key").read_text() == "secret"
    assert (directory / "tls" / "client.key").stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700 and (directory / "tls").stat().st_mode & 0o777 == 0o700
    assert sorted(p.name for p in directory.iterdir()) == ["allocation.json", "lock", "tls"]
    assert broadcast.main([str(directory), "unpack", str(sent)]) == 0, "another node of this host had it"
    assert broadcast.main([str(directory), "unpack", str(bundle(tmp_path / "c.tar", endpoint_json="{}"))]) == 0
    assert (directory / "endpoint.json").read_text() == "{}", "files are renewed"
    assert broadcast.main([str(directory), "remove"]) == 0 and not directory.exists()


def test_a_bundle_that_did_not_come_is_said(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert broadcast.main([str(base / "x-1.0"), "unpack", str(tmp_path / "none.tar")]) == 1
    assert "none.tar" in capsys.readouterr().err


def test_the_daemons_node_tells_where_the_services_are(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = runs.private_dir(base / "x-1.0")
    monkeypatch.setattr(broadcast, "TELL_SECONDS", 0.0)
    assert broadcast.main([str(directory), "tell"]) == broadcast.NOT_YET
    for name in broadcast.TOLD:
        (directory / name).write_text(json.dumps({"is": name}))
    assert broadcast.main([str(directory), "tell"]) == 0
    assert json.loads(capsys.readouterr().out) == {name: {"is": name} for name in broadcast.TOLD}


def test_a_step_that_ends_early_or_is_late_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.run_of_job(recorded("het").job)
    runs.private_dir(run.path)
    for name in (runs.ALLOCATION, "tls/ca.pem", "tls/client.pem", "tls/client.key", *broadcast.SERVER):
        (run.path / name).parent.mkdir(exist_ok=True)
        (run.path / name).write_text("{}")
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr(broadcast.Commands, "run", lambda self, *command: sent.append(command) or "")
    monkeypatch.setattr(broadcast, "_asked", lambda run, allocation: None)

    def launch(*command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command)

    with pytest.raises(Unavailable, match="was not ready after 0 s"):
        broadcast.start(run, recorded("het"), lambda: launch("sleep", "60"), 0.0)
    with pytest.raises(Unavailable, match="ended with status 3 before it was ready"):
        broadcast.start(run, recorded("het"), lambda: launch("sh", "-c", "exit 3"), 60.0)
    copies = [command for command in sent if command[0] == "sbcast"]
    assert [command[1] for command in copies] == ["--jobid=1", "--jobid=2"] * 2, "both components got certificates"
    steps = [command for command in sent if command[0] == "srun" and "unpack" in command]
    assert steps[0][1:5] == ("--het-group=0", "--overlap", "--nodes=2", "--ntasks=2")
    assert "--nodelist=c1,c2" in steps[0] and "--nodelist=q1" in steps[1]
    assert not (run.path / ".bundle.tar").exists()
