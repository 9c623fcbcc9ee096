"""Where the NWQ-Sim plugin looks for NWQ-Sim, and what it says of one that is not there."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from qfw.qpm.plugins.nwqsim import plugin
from qfw.qpm.plugins.nwqsim.installed import Installed, find


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.delenv("QFW_NWQSIM", raising=False)
    monkeypatch.delenv("QFW_NWQSIM_MPIRUN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    (tmp_path / "qfw").mkdir()
    yield tmp_path


def test_where_nwqsim_is_looked_for(nothing_installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not installed here: no nwq_qasm" in plugin.missing() and plugin.devices()[0].version == ""
    on_path = nothing_installed / "bin" / "nwq_qasm"
    on_path.write_text("#!/bin/sh\n")
    on_path.chmod(0o755)
    assert plugin.missing() == "" and find().executable == on_path and find().version == "unknown"
    (nothing_installed / "nwqsim-config-version.cmake").write_text('set(PACKAGE_VERSION "1.0.0")\n')
    assert plugin.devices()[0].version == "1.0.0"
    other = nothing_installed / "other"
    shutil.copy(on_path, other)
    config = nothing_installed / "qfw" / "nwqsim.toml"
    config.write_text(f'executable = "{other}"\nmpirun = ["srun", "--overlap"]\nversion = "9"\n')
    assert find() == Installed(other, "9", ("srun", "--overlap"), True)
    monkeypatch.setenv("QFW_NWQSIM", str(nothing_installed / "bin"))
    monkeypatch.setenv("QFW_NWQSIM_MPIRUN", "mpiexec --quiet")
    assert find() == Installed(on_path, "9", ("mpiexec", "--quiet"), True)
    monkeypatch.setenv("QFW_NWQSIM", "/nowhere/nwq_qasm")
    assert "$QFW_NWQSIM names /nowhere/nwq_qasm, which is no executable file" in plugin.missing()
    config.write_text("excutable = 1\n")
    assert "'excutable' is unknown" in plugin.missing()
