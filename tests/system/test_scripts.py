"""qfw_setup.sh, qfw_srun.sh and qfw_teardown.sh as a user calls them, with real daemons."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qfw.qpm import run as runs

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PRINT_RUN = "import os; print(os.environ['QFW_RUN_ID'], os.environ['QFW_ENDPOINT'])"


def script(name: str, *args: str | Path, where: Path = SCRIPTS, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [str(where / f"qfw_{name}.sh"), *map(str, args)]
    environ = {**os.environ, "QFW_PYTHON": sys.executable, **changes}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=90)


def succeed(name: str, *args: str | Path, where: Path = SCRIPTS, **changes: str) -> str:
    done = script(name, *args, where=where, **changes)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def live() -> Iterator[runs.Run]:
    """A run that the tests of this module only use."""
    succeed("setup", "--run-id", "shared")
    yield runs.run_of("shared")
    succeed("teardown", "--run-id", "shared")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An application that shows what reached it, in a path with a space."""
    path = tmp_path / "my app" / "application.py"
    path.parent.mkdir()
    seen = "[sys.argv[1:], os.environ['QFW_RUN_ID'], sys.executable]"
    path.write_text(f"import json, os, sys\nprint(json.dumps({seen}))\n")
    return path


def processes_of(run: runs.Run) -> list[runs.Process]:
    daemon = run.process()
    return [p for p in (daemon, *run.worker_processes()) if p is not None]


def test_setup_returns_when_ready_and_says_where(live: runs.Run) -> None:
    again = succeed("setup", "--run-id", live.run_id)  # a second call is about the same run
    assert live.run_id in again and str(live.endpoint_file) in again and str(live.logs) in again and "statevec" in again
    assert live.live() and live.endpoint() is not None
    assert live.path.stat().st_mode & 0o777 == 0o700 and live.endpoint_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("prefix", [(), ("python3",)])
def test_srun_takes_both_forms(live: runs.Run, app: Path, prefix: tuple[str, ...]) -> None:
    arguments = ["a b", "--run-id", "other", "-x", ""]
    out = succeed("srun", "--run-id", live.run_id, *prefix, app, *arguments)
    seen, run_id, python = json.loads(out)
    assert seen == arguments and run_id == live.run_id
    assert Path(python).parent == Path(sys.executable).parent  # python3 is the one that has qfw


def test_srun_accepts_options_of_qfw(live: runs.Run, app: Path) -> None:
    assert json.loads(succeed("srun", "--load-modules", "api_qpm", "--run-dir", live.path, app, "1"))[0] == ["1"]


def test_srun_runs_other_programs_as_they_are(live: runs.Run) -> None:
    assert succeed("srun", "--run-id", live.run_id, "--", "echo", "x.py").strip() == "x.py"


def test_srun_passes_the_exit_status(live: runs.Run) -> None:
    assert script("srun", "--run-id", live.run_id, "python3", "-c", "raise SystemExit(7)").returncode == 7
    missing = script("srun", "--run-id", live.run_id, "no-such-program")
    assert missing.returncode == 127 and "no-such-program" in missing.stderr
    assert script("srun", "--run-id", live.run_id, "/dev/null").returncode == 126


def test_srun_passes_signals(live: runs.Run) -> None:
    code = "import signal; print('up', flush=True); signal.sigwait({signal.SIGUSR1}); print('got it')"
    block = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}); "
    command = [SCRIPTS / "qfw_srun.sh", "--run-id", live.run_id, "python3", "-c", block + code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.read() == "got it\n"
    assert process.returncode == 0
    with subprocess.Popen([*command[:-1], "import time; print('up', flush=True); time.sleep(60)"],
                          stdout=subprocess.PIPE, text=True) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.terminate()
    assert process.returncode == -signal.SIGTERM


def test_srun_in_a_heterogeneous_job(live: runs.Run, app: Path, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "srun"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    job = {"PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_HET_SIZE": "2"}
    seen = succeed("srun", "--run-id", live.run_id, app, "x", **job).splitlines()
    assert seen[:2] == ["--overlap", "--het-group=0"] and seen[3:] == [str(app), "x"]
    seen = succeed("srun", "--run-id", live.run_id, "--het-group", "1", "-n", "2", app, **job).splitlines()
    assert seen[:5] == ["--overlap", "--het-group", "1", "-n", "2"] and seen[6:] == [str(app)]
    del job["SLURM_HET_SIZE"]
    fake.write_text('#!/bin/sh\n[ "$1" = --mpi=list ] && echo "pmix pmi2" >&2\nprintf "%s\\n" "$@"\n')
    assert succeed("srun", "--run-id", live.run_id, "env", **job).splitlines() == ["--overlap", "--mpi=pmix", "env"]
    seen = succeed("srun", "--run-id", live.run_id, "--mpi=pmi2", "-N2", "env", **job).splitlines()
    assert seen == ["--overlap", "--mpi=pmi2", "-N2", "env"]


def test_srun_options_without_slurm(live: runs.Run) -> None:
    assert succeed("srun", "--run-id", live.run_id, "-n", "1", "echo", "one").strip() == "one"
    refused = script("srun", "--run-id", live.run_id, "-n", "4", "echo", "one")
    assert refused.returncode == 1 and "no Slurm job" in refused.stderr and "mpirun" in refused.stderr
    assert script("srun", "--run-id", live.run_id, "-n").returncode == 2
    assert script("srun", "--run-id", live.run_id).returncode == 2
    assert "SRUN OPTION" in succeed("srun", "--help")


def test_srun_without_a_run_says_what_to_do(app: Path, tmp_path: Path) -> None:
    done = script("srun", app, XDG_RUNTIME_DIR=str(tmp_path))
    assert done.returncode == 1 and "qfw_setup.sh" in done.stderr and "Traceback" not in done.stderr


def test_teardown_leaves_nothing_but_logs_and_may_be_repeated() -> None:
    succeed("setup", "--run-id", "short")
    run = runs.run_of("short")
    processes = processes_of(run)
    assert processes
    succeed("teardown", "--run-id", "short")
    assert not run.path.exists() and not any(p.alive() for p in processes)
    assert run.log_file.exists()
    succeed("teardown", "--run-id", "short")
    assert script("teardown", "--run-id", "never-was").returncode == 0


def test_several_runs_side_by_side(live: runs.Run) -> None:
    succeed("setup", "--run-id", "second")
    second = runs.run_of("second")
    try:
        for run in (live, second):
            seen = succeed("srun", "--run-id", run.run_id, "python3", "-c", PRINT_RUN).split()
            assert seen == [run.run_id, str(run.endpoint_file)]
        undecided = script("srun", "true")
        assert undecided.returncode == 1 and live.run_id in undecided.stderr and "second" in undecided.stderr
        assert succeed("srun", "python3", "-c", PRINT_RUN, QFW_RUN_ID="second").split()[0] == "second"
    finally:
        succeed("teardown", "--run-id", "second")
    assert live.live() and not second.path.exists()


def listening(process: runs.Process) -> set[str]:
    """The inodes of TCP sockets that the process listens on."""
    links = Path(f"/proc/{process.pid}/fd").iterdir()
    inodes = {os.readlink(f).removeprefix("socket:[").removesuffix("]") for f in links}
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == "0A" and row[9] in inodes}


def test_a_run_takes_no_ports(live: runs.Run) -> None:
    daemon = live.process()
    assert daemon is not None and listening(daemon) == set()


def test_setup_in_a_restricted_cpuset() -> None:
    cpu = min(os.sched_getaffinity(0))
    pin = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execv(sys.argv[2], sys.argv[2:])"
    command = [sys.executable, "-c", pin, str(cpu), str(SCRIPTS / "qfw_setup.sh"), "--run-id", "pinned"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    try:
        assert done.returncode == 0, done.stderr
        daemon = runs.run_of("pinned").process()
        assert daemon is not None and os.sched_getaffinity(daemon.pid) == {cpu}
    finally:
        succeed("teardown", "--run-id", "pinned")


def test_setup_that_fails_says_so_and_leaves_nothing() -> None:
    late = script("setup", "--run-id", "late", QFW_STARTUP_TIMEOUT="0.001")
    assert late.returncode == 1 and "QFW_STARTUP_TIMEOUT" in late.stderr
    assert not runs.run_of("late").path.exists()
    wrong = script("setup", "--run-id", "late", QFW_STARTUP_TIMEOUT="soon")
    assert wrong.returncode == 1 and "soon" in wrong.stderr
    name = script("setup", "--run-id", "../x")
    assert name.returncode == 1 and "../x" in name.stderr and "Traceback" not in name.stderr


def test_teardown_ends_only_what_the_run_recorded() -> None:
    succeed("setup", "--run-id", "careful")
    run = runs.run_of("careful")
    look = [sys.executable, "-c", "import sys; sys.stdin.read()", "-m", "qfw.qpm.daemon", "--run-id", "careful"]
    with subprocess.Popen(look, stdin=subprocess.PIPE) as lookalike:
        daemon = run.process()
        assert daemon is not None
        succeed("teardown", "--run-id", "careful")
        assert not daemon.alive() and lookalike.poll() is None
        # A number that came to mean another process: the start time differs.
        run.path.mkdir(mode=0o700)
        run.process_file.write_text(json.dumps({"pid": lookalike.pid, "start_time": 1}))
        succeed("teardown", "--run-id", "careful")
        assert lookalike.poll() is None and not run.path.exists()
        assert lookalike.stdin is not None
        lookalike.stdin.close()


def test_a_run_in_a_directory_of_ones_own(tmp_path: Path) -> None:
    private = tmp_path / "my-run"
    succeed("setup", "--run-dir", private)
    seen = succeed("srun", "--run-dir", private, "python3", "-c", PRINT_RUN).split()
    assert seen == ["my-run", str(private / "endpoint.json")]
    (private / "notes.txt").write_text("mine")
    succeed("teardown", "--run-dir", private)
    assert [p.name for p in private.iterdir()] == ["notes.txt"]
    for name in ("setup", "teardown"):
        refused = script(name, "--run-dir", private)
        assert refused.returncode == 1 and "my-run" in refused.stderr
    assert (private / "notes.txt").read_text() == "mine"


def test_options_without_effect_warn() -> None:
    done = script("setup", "--services-config", "x.yaml", "--service-id", "s", "--dry-run", "--run-id", "dry")
    assert done.returncode == 0 and "--run-id dry" in done.stdout
    assert "--services-config has no effect" in done.stderr and "--service-id has no effect" in done.stderr
    assert not runs.run_of("dry").path.exists()
    hybrid = script("setup", "--profile", "hybrid", "--dry-run")
    assert hybrid.returncode == 0 and "--profile hybrid" in hybrid.stdout
    assert script("setup", "--profile", "none").returncode == 2
    assert script("setup", "--no-such-option").returncode == 2


def test_from_any_directory_in_a_path_with_a_space(tmp_path: Path, live: runs.Run, app: Path) -> None:
    copy = tmp_path / "with space"
    shutil.copytree(SCRIPTS, copy)
    assert json.loads(succeed("srun", "--run-id", live.run_id, app, where=copy))[1] == live.run_id


def test_python_is_found_or_asked_for(tmp_path: Path) -> None:
    wrong = script("setup", QFW_PYTHON="/bin/false")
    assert wrong.returncode == 1 and "/bin/false" in wrong.stderr
    for name in ("qfw_setup.sh", "lib.sh"):
        shutil.copy(SCRIPTS / name, tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "dirname", "readlink"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    bare = {"PATH": str(tools), "HOME": str(tmp_path)}
    done = subprocess.run([tmp_path / "qfw_setup.sh"], env=bare, capture_output=True, text=True)
    assert done.returncode == 1 and "pip install qfw" in done.stderr and "scripts/dev/setup" in done.stderr


def test_aliases_and_status(live: runs.Run) -> None:
    bin_dir = Path(sys.executable).parent
    listed = subprocess.run([bin_dir / "qfw-status", "--json"], capture_output=True, text=True, check=True).stdout
    assert {r["run_id"]: r["state"] for r in json.loads(listed)}[live.run_id] == "live"
    done = subprocess.run([bin_dir / "qfw-srun", "--run-id", live.run_id, "python3", "-c", PRINT_RUN],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.split()[0] == live.run_id


def test_activate_puts_the_commands_on_the_path() -> None:
    text = 'source "$1"; command -v qfw_srun.sh; qfw_deactivate; ! command -v qfw_srun.sh; ! command -v qfw_deactivate'
    command = ["bash", "-euc", text, "bash", SCRIPTS / "qfw_activate"]
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines() == [str(SCRIPTS / "qfw_srun.sh")]
