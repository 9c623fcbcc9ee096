"""A state that no host can hold is shared by ranks on both, unasked; one that fits nowhere is refused with numbers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import namespaces
import pytest

from qfw.qpm import instance_records
from qfw.qpm import run as runs

pytestmark = [
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing() or "namespaces are there"),
    pytest.mark.timeout(240),
]
Launch = Callable[..., str]

APPLICATION = """
import json, sys
from qfw import qpi
from qfw.program import Builder, PauliSum
from qfw.program.errors import QfwError

def ghz(n):
    builder = Builder(n, 0)
    builder.gate("h", [0])
    for q in range(n - 1):
        builder.gate("cx", [q, q + 1])
    return builder.finish()

def parity(n):
    return qpi.Task(ghz(n), outputs=("expectations",), observables=[PauliSum([(1.0, "ZZ", [0, n - 1])])])

with qpi.connect() as context:
    device = context.device("statevec")
    said = {"max_qubits": device.max_qubits, "max_ranks": device.max_ranks}
    mesh = context.mesh("statevec")
    said["small"] = mesh.run(parity(20)).rows[0].expectations[0]
    said["large"] = mesh.run(parity(22)).rows[0].expectations[0]
    try:
        mesh.run(parity(23))
    except QfwError as error:
        said["refusal"] = str(error)
print(json.dumps(said))
"""


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launch]:
    """Runs one of the scripts' commands on n1; instances of a run may be on n1 and n2."""
    base = Path(os.environ["XDG_RUNTIME_DIR"]) / f"h{os.urandom(3).hex()}"
    for name, variable in (("r", "XDG_RUNTIME_DIR"), ("s", "XDG_STATE_HOME"), ("t", "TMPDIR")):
        (base / name).mkdir(mode=0o700, parents=True)
        monkeypatch.setenv(variable, str(base / name))
    with namespaces.Hosts(["n1", "n2"]) as hosts:

        def command(name: str, *options: str) -> str:
            argv = [sys.executable, "-P", "-m", "qfw.cli.launch", name, "--run-id", "memory", *options]
            done = subprocess.run(hosts.command("n1", argv), capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        agent = hosts.agent(tmp_path)
        where = ["--launcher", "prte", "--hosts", "n1:2,n2:2", "--agent", str(agent), "--memory", "48M"]
        try:
            command("setup", "--tcp", "n1", *where)
            yield command
        finally:
            command("teardown")


def test_ranks_are_chosen_by_the_memory_of_hosts(launch: Launch, tmp_path: Path) -> None:
    """Nine tenths of 48 MiB hold 21 qubits; a state of 22 takes 64 MiB."""
    application = tmp_path / "application.py"
    application.write_text(APPLICATION)
    said = json.loads(launch("srun", str(application)).splitlines()[-1])
    assert said["small"] == pytest.approx(1.0, abs=1e-12) and said["large"] == pytest.approx(1.0, abs=1e-12)
    assert (said["max_qubits"], said["max_ranks"]) == (22, 4)
    assert "23 qubits need 134217728 bytes" in said["refusal"] and "4 ranks have" in said["refusal"]
    records = instance_records.read(runs.run_of("memory").instances)
    assert {place.node for r in records if sum(p.ranks for p in r.places) == 4 for place in r.places} == {"n1", "n2"}
