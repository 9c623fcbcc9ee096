"""The command line `qfw`, as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

QFW = Path(sys.executable).parent / "qfw"
BELL_2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\nh q[0];\ncx q[0],q[1];\nmeasure q -> c;\n'
BELL_3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\nh q[0];\ncx q[0],q[1];\nc = measure q;\n'


def qfw(*args: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([QFW, *args], input=stdin, capture_output=True, text=True, timeout=90)


def fails(status: int, *args: str | Path) -> str:
    """The one line of an error."""
    done = qfw(*args)
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stdout == "" and done.stderr.count("\n") == 1 and done.stderr.startswith("qfw: ")
    return done.stderr


@pytest.fixture
def bell(tmp_path: Path) -> Path:
    path = tmp_path / "bell.qasm"
    path.write_text(BELL_2)
    return path


def test_version_and_help() -> None:
    from qfw import __version__

    assert qfw("version").stdout == f"qfw {__version__}\n"
    text = qfw("--help").stdout
    assert all(command in text for command in ("devices", "run", "runs", "doctor", "version"))
    assert qfw("no-such-command").returncode == 2


def test_prefix_leads_to_the_c_library() -> None:
    prefix = Path(qfw("prefix").stdout.strip())
    assert (prefix / "include/qpi/errno.h").is_file() and (prefix / "lib/libqpi.so.1").exists()
    environ = {"PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig"), "PATH": "/usr/bin:/bin"}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "qpi"], env=environ, capture_output=True, text=True)
    assert flags.returncode == 0 and "-lqpi" in flags.stdout


def test_the_start_imports_no_framework() -> None:
    heavy = "{'qiskit', 'pennylane', 'numpy', 'grpc', 'rich.console'}"
    code = f"import sys, qfw.cli.app, qfw.program.errors; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) in ([], ["numpy"])


def test_devices() -> None:
    assert "statevec" in qfw("devices", "--endpoint", "embedded").stdout
    found = json.loads(qfw("devices", "--endpoint", "embedded", "--json").stdout)
    statevec = {d["name"]: d for d in found["devices"]}["statevec"]
    assert found["endpoint"] == "embedded" and statevec["status"] == "online" and "counts" in statevec["outputs"]


@pytest.mark.parametrize(("suffix", "text"), [("qasm", BELL_2), ("qasm3", BELL_3)])
def test_run_prints_counts(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"bell.{suffix}"
    path.write_text(text)
    done = qfw("run", path, "--shots", "100", "--seed", "5")
    assert done.returncode == 0, done.stderr
    counts = {key: int(count) for key, count in (line.split() for line in done.stdout.splitlines())}
    assert set(counts) == {"00", "11"} and sum(counts.values()) == 100
    assert "statevec" in done.stderr and "seed 5" in done.stderr


def test_run_json_is_reproducible_from_its_seed(bell: Path) -> None:
    first = json.loads(qfw("run", bell, "--json").stdout)
    again = json.loads(qfw("run", bell, "--json", "--seed", str(first["seed"])).stdout)
    assert first["shots"] == 1024 and first["device"] == "statevec" and first["counts"] == again["counts"]
    parts = sum(value for name, value in first["timing"].items() if name != "total_ns")
    assert 0 < parts <= first["timing"]["total_ns"] * 1.001


def test_run_reads_stdin() -> None:
    done = qfw("run", "-", "--shots", "10", stdin=BELL_3)
    assert done.returncode == 0 and sum(int(line.split()[1]) for line in done.stdout.splitlines()) == 10


def test_bad_programs_name_the_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.qasm"
    path.write_text(BELL_2.replace("h q[0]", "hh q[0]"))
    assert f"{path}:5:1" in fails(2, "run", path)
    path.write_bytes(b"\xff\xfe")
    assert "UTF-8" in fails(2, "run", path)
    assert "missing.qasm" in fails(2, "run", tmp_path / "missing.qasm")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--device", "nothing"), "nothing"),
        (("--shots", "0"), "0"),
        (("--shots", "99999999999"), "99999999999"),
        (("--seed", "-1"), "-1"),
    ],
)
def test_bad_options_name_the_value(bell: Path, options: tuple[str, ...], said: str) -> None:
    assert said in fails(2, "run", bell, *options)


def test_a_daemon_that_is_not_there(bell: Path, tmp_path: Path) -> None:
    assert str(tmp_path / "no.sock") in fails(1, "run", bell, "--endpoint", f"unix:{tmp_path / 'no.sock'}")


def test_doctor_reports() -> None:
    done = qfw("doctor")
    assert done.returncode == 0, done.stdout
    found = json.loads(qfw("doctor", "--json").stdout)
    topics = {finding["topic"] for finding in found}
    assert {"python", "qfw", "native", "simd", "cpus", "memory", "run dir", "plugin", "package"} <= topics


def test_doctor_says_what_is_broken(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    environ = {"TMPDIR": str(blocked), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([QFW, "doctor"], env=environ, capture_output=True, text=True)
    assert done.returncode == 1 and "broken" in done.stdout and "XDG_RUNTIME_DIR" in done.stdout


def test_runs_lists_none() -> None:
    assert isinstance(json.loads(qfw("runs", "--json").stdout), list)
