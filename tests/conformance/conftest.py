"""One daemon for the whole suite, with the plugins of `plugins/` installed beside the built-in ones."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qfw.qpm import run as runs
from qfw.qpm import run_cli

PLUGINS = Path(__file__).parent / "plugins"


@pytest.fixture(scope="session")
def live_run(private_directories: Path) -> Iterator[runs.Run]:
    run = runs.run_of("conformance")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PLUGINS), os.environ.get("PYTHONPATH", "")])))
        run_cli.start(run, log_level="info")
    yield run
    run_cli.clean(run, grace=10.0)
