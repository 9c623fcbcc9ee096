"""What Slurm 22.05 said in real jobs (slurm_22_05/: the environment of the batch script or a step, and scontrol)."""

from __future__ import annotations

from pathlib import Path

from qfw.qpm import allocation

RECORDED = Path(__file__).parent / "slurm_22_05"
NODES = {"c[1-2]": ("c1", "c2"), "q1": ("q1",), "q[1-2]": ("q1", "q2")}


def environ(name: str, **changes: str) -> dict[str, str]:
    lines = (RECORDED / f"{name}.env").read_text().splitlines()
    return {**dict(line.split("=", 1) for line in lines), **changes}


class Recorded:
    """scontrol as it was recorded."""

    def __init__(self, name: str, replace: tuple[str, str] = ("", "")) -> None:
        self.text = (RECORDED / f"{name}.job").read_text().replace(*replace)

    def hostnames(self, hostlist: str) -> tuple[str, ...]:
        return NODES[hostlist]

    def job(self, job_id: str) -> str:
        assert f"JobId={job_id} " in self.text
        return self.text


def read(name: str, group: int | None = None, **changes: str) -> allocation.Allocation:
    found = allocation.read(Recorded(name.partition(".")[0]), environ(name, **changes), group)
    assert found is not None
    return found
