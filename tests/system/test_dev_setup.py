"""scripts/dev/setup on a machine that lacks things, as a user who cannot install them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEV = Path(__file__).resolve().parents[2] / "scripts" / "dev"
TOOLS = ("bash", "dirname", "readlink", "mkdir", "flock", "cut", "sed", "paste", "sort", "head", "cat")


@pytest.fixture
def bare(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A copy of the set-up in a checkout with a space, and an environment of a user with next to nothing."""
    copy = tmp_path / "a checkout" / "scripts" / "dev"
    copy.mkdir(parents=True)
    for name in ("setup", "lib.sh"):
        shutil.copy(DEV / name, copy)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    (tools / "id").write_text("#!/bin/sh\necho 1000\n")
    (tools / "id").chmod(0o755)
    return copy / "setup", {"PATH": str(tools), "HOME": str(tmp_path), "QFW_PYTHON": "/nonexistent/python"}


def test_one_message_lists_what_to_install(bare: tuple[Path, dict[str, str]]) -> None:
    command, environ = bare
    done = subprocess.run([command, "--tests"], env=environ, capture_output=True, text=True, cwd="/")
    assert done.returncode == 1 and done.stdout == ""
    lines = {line.split(":")[0].strip(): line for line in done.stderr.splitlines() if ":" in line}
    apt = lines["Debian, Ubuntu (root)"]
    assert "apt-get install g++ cmake ninja-build pkg-config" in apt
    assert "libgrpc++-dev" in apt and "libgtest-dev" in apt
    assert "grpc" in lines["Spack"] and "protobuf" in lines["Spack"]
    assert '"python>=3.11"' in lines["conda"] and "libgrpc" in lines["conda"]
    assert "Python 3.11 or newer" in done.stderr


def test_unknown_arguments_are_refused(bare: tuple[Path, dict[str, str]]) -> None:
    command, environ = bare
    done = subprocess.run([command, "--fast"], env=environ, capture_output=True, text=True)
    assert done.returncode == 1 and "--fast" in done.stderr and "--tests" in done.stderr


def test_a_build_from_source_says_what_is_missing(tmp_path: Path) -> None:
    options = ["-DPKG_CONFIG_EXECUTABLE=/nonexistent", "-DQFW_GRPC_PLUGIN=QFW_GRPC_PLUGIN-NOTFOUND"]
    command = ["cmake", "-G", "Ninja", "-S", DEV.parents[1], "-B", tmp_path, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    words = " ".join(done.stderr.split())
    assert "qfw needs these to build, and they were not found" in words
    assert "gRPC for C++ from 1.51 (libgrpc++-dev" in words and "apt-get install" in words


def test_what_lies_beside_the_checkout_cannot_be_imported() -> None:
    code = "import sys; print(*sys.path, sep='\\n')"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert str(DEV.parents[2]) not in done.stdout.splitlines()
