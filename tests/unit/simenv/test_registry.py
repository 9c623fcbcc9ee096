"""The records for a cluster's epilog."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qfw.simenv.launch import registry

JOB = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "q1", "SLURM_CLUSTER_NAME": "site"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "site" / "7" / "q1").mkdir(parents=True)
    monkeypatch.setattr(registry.directory, "__defaults__", (os.environ, tmp_path))
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def test_a_component_s_records_are_the_leader_s(root: Path) -> None:
    assert registry.directory() == root / "site" / "7" / "q1"
    assert registry.directory({**JOB, "SLURM_JOB_ID": "8", "SLURM_JOB_ID_HET_GROUP_0": "7"}, root) is not None
    assert registry.directory({**JOB, "SLURM_JOB_ID": "8"}, root) is None


def test_a_record_names_a_process_with_its_start_and_absolute_paths(root: Path) -> None:
    path = registry.record("qpmd", os.getpid(), ["relative", Path("/a b/c")])
    assert path == root / "site" / "7" / "q1" / "qpmd"
    started = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]
    assert path.read_text() == f"process {os.getpid()} {started}\npath {Path.cwd()}/relative\npath /a b/c\n"


def test_without_a_cluster_nothing_is_recorded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID")
    assert registry.record("qpmd", os.getpid()) is None
    monkeypatch.setenv("SLURM_JOB_ID", "9")  # no directory for it: a cluster without our prolog
    assert registry.record("qpmd", os.getpid()) is None
    assert sorted(p.name for p in root.rglob("*")) == ["7", "q1", "site"]
