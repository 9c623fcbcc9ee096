"""Packages of others on our streams, embedded and through a daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qfw.qpm import run as runs
from qfw.qpm import run_cli


@pytest.fixture(scope="module")
def daemon(private_directories: Path) -> Iterator[str]:
    """A run's endpoint file."""
    run = runs.run_of("interop")
    run_cli.start(run)
    yield str(run.endpoint_file)
    run_cli.clean(run, grace=10.0)


@pytest.fixture(params=["embedded", "daemon"])
def endpoint(request: pytest.FixtureRequest) -> str:
    """What `qfw.qpi.connect` and the backends are given."""
    return "embedded" if request.param == "embedded" else str(request.getfixturevalue("daemon"))
