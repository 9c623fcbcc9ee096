"""A runtime in this process; one daemon for a whole suite, with the plugins of `plugins/` beside the built-in ones, and
a stand-in for NWQ-Sim unless $QFW_NWQSIM names one; and the tool of `tools/`; both installed with pip."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nwq_qasm
import pytest
from samples import install

from qfw import qpi
from qfw._core import qpi as native
from qfw._core.qpm import Runtime
from qfw.qpm import run as runs
from qfw.qpm import run_cli

NWQSIM = os.environ.get("QFW_NWQSIM", "")  # taken away before each test


@pytest.fixture(scope="module")
def live_run(
    private_directories: Path, installed_plugins: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[runs.Run]:
    run = runs.run_of("conformance")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", os.pathsep.join(filter(None, [str(installed_plugins), os.environ.get("PYTHONPATH", "")]))
        )
        patch.setenv("QFW_NWQSIM", NWQSIM or nwq_qasm.install(tmp_path_factory.mktemp("nwqsim")))
        run_cli.start(run, log_level="info", tcp="127.0.0.1")
    yield run
    run_cli.clean(run, grace=10.0)


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """A runtime in this process with two devices, "one" and "two"."""
    made = Runtime()
    made.add_statevec("one")
    made.add_statevec("two")
    yield made
    made.stop()


@pytest.fixture(params=["embedded", "socket"])
def ctx(request: pytest.FixtureRequest, runtime: Runtime) -> Iterator[qpi.Context]:
    """A context of `runtime`: in this process, and through a socket."""
    if request.param == "embedded":
        with qpi.Context(native.Context.over(runtime.session())) as context:
            yield context
        return
    with tempfile.TemporaryDirectory(prefix="qfw-", dir="/tmp") as folder:
        server = runtime.serve(f"unix:{folder}/runtime.sock")
        with qpi.connect(server.address) as context:
            yield context
        server.stop()


@pytest.fixture(scope="session")
def installed_tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder where pip put the sample tool; Python finds it there, entry points and all."""
    target = install(Path(__file__).parent / "tools", tmp_path_factory.mktemp("tools"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(target))
        yield target
