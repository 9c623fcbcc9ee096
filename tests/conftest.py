"""Isolation: no test finds, or leaves behind, a run of the user who starts the tests. And what many tests need."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from samples import install

_LEADS_ELSEWHERE = ("QFW_", "SLURM_")


@pytest.fixture(scope="session", autouse=True)
def private_directories() -> Iterator[Path]:
    """Give the session run and state directories of its own, with paths short enough for unix sockets."""
    base = Path(tempfile.mkdtemp(prefix="qfwt-", dir="/tmp"))
    changes = {"XDG_RUNTIME_DIR": str(base / "run"), "XDG_STATE_HOME": str(base / "state")}
    for directory in changes.values():
        Path(directory).mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_LEADS_ELSEWHERE):
                patch.delenv(name)
        for name, value in changes.items():
            patch.setenv(name, value)
        yield base
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="session")
def installed_plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where pip put the sample providers; with it on its PYTHONPATH a process finds them by their entry
    points."""
    return install(Path(__file__).parent / "conformance" / "plugins", tmp_path_factory.mktemp("plugins"))
