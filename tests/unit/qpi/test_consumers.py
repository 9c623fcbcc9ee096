"""A program outside the source tree finds the library, by pkg-config and by CMake, and runs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from c_programs import compiled

from qfw import _core

ROOT = Path(__file__).resolve().parents[3]
LIB = Path(_core.__file__ or "").parent / "lib"

PROJECT = """
cmake_minimum_required(VERSION 3.24)
project(consumer LANGUAGES C)
find_package(qpi {version} REQUIRED)
add_executable(ghz ghz.c)
set_property(TARGET ghz PROPERTY C_STANDARD 99)
target_link_libraries(ghz PRIVATE qpi::qpi)
"""


def ghz_prints(program: Path, folder: Path) -> str:
    """What the example prints in a process of its own, where no run is to be found."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("QFW_", "LD_LIBRARY"))}
    environ["XDG_RUNTIME_DIR"] = str(folder)
    done = subprocess.run([program], env=environ, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_pkg_config(tmp_path: Path) -> None:
    assert "one on statevec: 000:" in ghz_prints(compiled(ROOT / "examples/c/ghz.c", tmp_path), tmp_path)


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_cmake(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples/c/ghz.c", tmp_path)
    project = tmp_path / "CMakeLists.txt"
    project.write_text(PROJECT.format(version="0.1"))
    configure = ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "build"), f"-Dqpi_DIR={LIB / 'cmake/qpi'}"]
    subprocess.run(configure, check=True, capture_output=True, timeout=60)
    subprocess.run(["cmake", "--build", str(tmp_path / "build")], check=True, capture_output=True, timeout=60)
    assert "one on statevec: 000:" in ghz_prints(tmp_path / "build/ghz", tmp_path)

    project.write_text(PROJECT.format(version="7.0"))
    refused = subprocess.run(configure, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode != 0
    assert "version" in refused.stderr
