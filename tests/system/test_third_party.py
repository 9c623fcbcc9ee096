"""A provider's package, installed with pip, is found through its entry point and served by instances as others are."""

import os
from collections.abc import Iterator
from pathlib import Path

import nwq_qasm
import pytest
from launching import carrying, eventually
from samples import install

from qfw import qpi
from qfw.program import Builder, Program
from qfw.program.errors import DeviceError, DeviceLost
from qfw.qpm import instance_records, run_cli
from qfw.qpm import run as runs
from qfw.qpm.launch_options import LaunchOptions
from qfw.simenv.launch import choose
from qfw.simenv.launch.launcher import Node

TESTS = Path(__file__).parents[1]
PATIENCE = 120.0


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(TESTS / "conformance/plugins", tmp_path_factory.mktemp("plugins"))


@pytest.fixture(params=["local", "prte"])
def run(
    request: pytest.FixtureRequest, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[runs.Run]:
    """A run with two slots, which sees the package; at its end nothing is left of it."""
    if reason := choose.choices([Node("localhost", 2)])[request.param]:
        pytest.skip(f"launcher {request.param}: {reason}")
    mark = os.urandom(4).hex()
    monkeypatch.setenv("QFW_TEST_MARK", mark)
    monkeypatch.setenv("QFW_NWQSIM", nwq_qasm.install(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH", "")])))
    made = runs.run_of(f"third-{mark}")
    run_cli.start(made, launch=LaunchOptions(request.param, slots=2), log_level="info")
    yield made
    run_cli.clean(made, grace=10.0)
    eventually(lambda: not carrying(f"QFW_TEST_MARK={mark}"), "no process is left")


def ghz() -> Program:
    builder = Builder(3, 3)
    builder.gate("h", [0])
    builder.gate("cx", [0, 1])
    builder.gate("cx", [1, 2])
    for q in range(3):
        builder.measure(q, q)
    return builder.finish()


def test_it_is_served_by_instances(run: runs.Run) -> None:
    with qpi.connect(run.endpoint_file) as context:
        device = context.device("sample")
        assert (device.provider, device.version, device.status) == ("sample", "0.1", "online")
        mesh = context.mesh("sample")
        first = mesh.run(qpi.Task(ghz(), shots=100, seed=4), timeout=PATIENCE).counts
        assert set(first) == {"000", "111"}
        served = [(r.device, r.plugin) for r in instance_records.read(run.instances)]
        assert served == [("sample", "qfw_sample:plugin")]
        many = mesh.run([qpi.Task(ghz(), shots=100, seed=4)] * 50, timeout=PATIENCE)
        assert [r.counts for r in many] == [first] * 50, "the same on every instance"
        with pytest.raises(DeviceError, match="RuntimeError: the vendor's library says no"):
            mesh.run(qpi.Task(ghz(), options={"behaviour": "raise"}), timeout=PATIENCE)
        with pytest.raises(DeviceLost, match="7"):
            mesh.run(qpi.Task(ghz(), options={"behaviour": "die"}), timeout=PATIENCE)
        assert mesh.run(qpi.Task(ghz(), shots=100, seed=4), timeout=PATIENCE).counts == first
        assert context.device("broken").status == "fault"


def test_nwqsim_is_served_by_instances_beside_it(run: runs.Run) -> None:
    with qpi.connect(run.endpoint_file) as context:
        for name in ("nwqsim", "sample", "nwqsim"):
            counts = context.mesh(name).run(qpi.Task(ghz(), shots=100), timeout=PATIENCE).counts
            assert set(counts) == {"000", "111"}
        assert {r.device for r in instance_records.read(run.instances)} == {"nwqsim", "sample"}
