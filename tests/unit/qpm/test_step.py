"""The daemon's job step, with stand-ins for Slurm's commands."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from recorded_slurm import read as recorded

from qfw.program.errors import QfwError, Unavailable
from qfw.qpm import head, step
from qfw.qpm import run as runs
from qfw.qpm.launch_options import LaunchOptions
from qfw.simenv.launch import choose

SCONTROL = """#!/bin/sh
case "$2" in
node) echo "NodeName=$3 NodeAddr=127.0.0.1 NodeHostName=x" ;;
config) echo "KillWait                = ${KILL_WAIT:-30} sec" ;;
esac
"""
SQUEUE = '#!/bin/sh\n[ ! -e "$STEP_LIVES" ] || echo "2.0 qpmd"\n'
SCANCEL = '#!/bin/sh\necho "$@" >> "$STEP_LIVES.calls"\n[ "$1" != "--signal=$ENDS_AT" ] || rm -f "$STEP_LIVES"\n'
SRUN = '#!/bin/sh\nprintf "%s\\n" "$@"\n'


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Slurm's commands; the step lives while the file that is returned exists."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for name, text in (("scontrol", SCONTROL), ("squeue", SQUEUE), ("scancel", SCANCEL), ("srun", SRUN)):
        (bin_dir / name).write_text(text)
        (bin_dir / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_dir}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("QFW_RUN_BASE_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("STEP_LIVES", str(tmp_path / "lives"))
    monkeypatch.setenv("ENDS_AT", "TERM")
    (tmp_path / "lives").touch()
    return tmp_path / "lives"


@pytest.fixture
def run(slurm: Path) -> runs.Run:
    """A run of job 1, whose daemon is the step 2.0 on q1."""
    made = runs.run_of_job(recorded("het").job)
    runs.private_dir(made.path)
    text = json.dumps({"job_id": "2", "step_id": "0", "node": "q1", "local": "/tmp/x"})
    (made.path / runs.STEP).write_text(text)
    return made


def test_the_step_runs_on_the_first_quantum_node_beside_all_others(run: runs.Run) -> None:
    child = step.start(run, recorded("het"), ["--threads", "2"])
    assert child.wait() == 0
    said = run.log_file.read_text().splitlines()
    assert said[:5] == ["--het-group=1", "--overlap", "--nodes=1", "--ntasks=1", "--nodelist=q1"]
    assert "--mpi=none" in said and said[said.index("--step-job") + 1] == "2"
    assert said[said.index("--toward") + 1] == "127.0.0.1" and said[-2:] == ["--threads", "2"]
    assert step.application_group(run) == 0
    assert step.component_nodes(run) == {
        "QFW_GROUP_0_NODELIST": "c1,c2", "QFW_GROUP_1_NODELIST": "q1", "QFW_QPM_ASSIGNED_HOSTS": "q1"
    }  # fmt: skip
    plain = step.command(run, recorded("plain"), [], "c1")
    assert plain[1:5] == ["--overlap", "--nodes=1", "--ntasks=1", "--nodelist=c1"]


def test_instances_go_to_the_slots_of_the_quantum_component(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = LaunchOptions(launcher="auto", warm="1")
    assert step.launch_options(asked, recorded("het")).arguments() == [
        "--launcher", "auto", "--idle", "60", "--hosts", "q1:1", "--steps", "1", "--warm", "1"
    ]  # fmt: skip
    plain = step.launch_options(asked, recorded("plain"))
    assert plain.hosts == "c1:3,c2:1" and plain.steps == "job"
    named = LaunchOptions(launcher="auto", hosts="n1:4")
    assert step.launch_options(named, recorded("het")) == named
    monkeypatch.setattr(choose, "choices", lambda nodes: {"prte": "no prte", "local": ""})
    assert step.default_launcher(recorded("het")) == "auto"
    monkeypatch.setattr(choose, "choices", lambda nodes: {"prte": "no prte", "local": "two hosts"})
    assert step.default_launcher(recorded("plain")) == "none"


@pytest.mark.parametrize(("kill_wait", "drain"), [("30", 5.0), ("5", 3.0), ("1", 0.0)])
def test_the_drain_fits_into_kill_wait(
    slurm: Path, monkeypatch: pytest.MonkeyPatch, kill_wait: str, drain: float
) -> None:
    monkeypatch.setenv("KILL_WAIT", kill_wait)
    assert step.drain_seconds(None) == drain and step.drain_seconds(9.0) == 9.0


def test_the_end_is_a_signal_to_that_step(run: runs.Run, slurm: Path) -> None:
    step.end(run, grace=60.0)
    assert slurm.with_name("lives.calls").read_text() == "--signal=TERM 2.0\n"
    step.end(run, grace=60.0)  # gone: nothing is signalled
    assert slurm.with_name("lives.calls").read_text() == "--signal=TERM 2.0\n"


def test_a_step_that_does_not_heed_is_killed(run: runs.Run, slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDS_AT", "KILL")
    step.end(run, grace=0.0)
    assert slurm.with_name("lives.calls").read_text() == "--signal=TERM 2.0\n--signal=KILL 2.0\n"


def test_a_step_that_does_not_go_is_an_error(run: runs.Run, slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDS_AT", "never")
    monkeypatch.setattr(step, "STOPPED_SECONDS", 0.0)
    with pytest.raises(QfwError, match=r"the job step 2.0 on q1 does not end"):
        step.end(run, grace=0.0)


def test_a_run_without_a_step_has_none_to_end(run: runs.Run, slurm: Path) -> None:
    for text in ("", "{}", "[]", '{"job_id": "2"}'):
        (run.path / runs.STEP).write_text(text)
        assert step.of(run) is None
    step.end(run, grace=0.0)
    assert not slurm.with_name("lives.calls").exists()


def test_runs_of_jobs_that_are_over_are_told_from_others(
    run: runs.Run, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.private_dir(run.path.parent / "other-7.0")
    runs.private_dir(run.path.parent / "qfwci-mine")
    runs.private_dir(run.path.parent / "qfwci-other-7.0")
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "qfwci")
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    assert step.left_behind() == []
    slurm.unlink()
    assert [r.run_id for r in step.left_behind()] == ["qfwci-1.0"], "of this cluster, and named by a job"


def test_a_run_of_a_job_is_found_in_its_steps(run: runs.Run) -> None:
    of_step = {"SLURM_JOB_ID": "1", "SLURM_CLUSTER_NAME": "qfwci", "QFW_RUN_BASE_DIR": str(run.path.parent)}
    assert runs.current(of_step) == run and runs.run_of("qfwci-1.0") == run
    assert runs.current({**of_step, "SLURM_RESTART_COUNT": "1"}) is None, "that of the start before"
    assert runs.runs_of_jobs() == [run]


def test_a_daemon_on_another_node_lives_by_its_endpoint(run: runs.Run) -> None:
    runs.write_json(run.process_file, {"pid": os.getpid(), "start_time": 1, "node": "q1"})
    assert not run.here() and not run.live()
    run.lock_file.touch()
    run.endpoint_file.write_text('{"version": 1}')
    assert run.live()
    run.remove()
    assert not run.path.exists()


def test_the_head_says_when_its_node_does_not_share_the_directory(
    run: runs.Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURMD_NODENAME", "q1")
    argv = ["--run-id", run.run_id, "--run-dir", str(run.path), "--step-job", "2", "--log", "/dev/null"]
    assert head.main(argv) == head.NOT_SHARED
    said = capsys.readouterr().err
    assert "q1" in said and str(run.path) in said


def test_the_head_becomes_the_daemon(run: runs.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda path, argv, env: became.append((argv, env)))
    monkeypatch.setattr(head, "into", lambda log: None)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_CLUSTER_NAME", f"test{os.getpid()}")
    monkeypatch.setenv("SLURMD_NODENAME", "q1")
    monkeypatch.setenv("SLURM_STEP_ID", "3")
    (run.path / runs.ALLOCATION).write_text("{}")
    common = ["--run-id", run.run_id, "--run-dir", str(run.path), "--step-job", "2", "--log", str(tmp_path / "log")]
    head.main([*common, "--toward", "127.0.0.1", "--threads", "2"])
    argv, env = became[0]
    local = Path(env["TMPDIR"])
    assert local.name == f"test{os.getpid()}-1.0-q1" and local.stat().st_mode & 0o777 == 0o700
    assert argv[3] == "qfw.qpm.daemon" and argv[argv.index("--listen") + 1] == "127.0.0.1"
    assert argv[argv.index("--local-dir") + 1] == str(local) and argv[-2:] == ["--threads", "2"]
    assert step.of(run) == step.Step("2", "3", "q1", str(local))
    assert run.live(), "the lock went to the daemon"
    os.close(int(argv[argv.index("--lock-fd") + 1]))
    head.main([*common, "--restart", "--listen", "10.0.0.7:99"])
    argv, _ = became[1]
    assert argv[3] == "qfw.qpm.supervisor" and argv[argv.index("--listen") + 1] == "10.0.0.7:99"
    os.close(int(argv[argv.index("--lock-fd") + 1]))
    runs.Run(run.run_id, run.path, local).remove()
    assert not local.exists() and not run.path.exists()


def test_where_the_daemon_listens() -> None:
    assert head.own_address("127.0.0.1") == "127.0.0.1"
    assert head.own_address("no-such-host.invalid") == socket.gethostname()


def test_slurm_that_is_not_there(run: runs.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="squeue is not on the PATH"):
        step.end(run, 0.0)
