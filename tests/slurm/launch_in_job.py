"""Run by test_launchers.py as a step of a heterogeneous job, on the first node of the component with q1 and q2."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from cluster import processes
from launching import PATIENCE, eventually

from qfw.simenv.launch.choose import launcher_named
from qfw.simenv.launch.launcher import InstanceSpec, Launcher, Node, Place
from qfw.simenv.launch.reach import reach_of

HOSTS = [Node("q2", 2), Node("q1", 2)]  # not in the order in which Slurm has them
WORLD = (
    "import os; from mpi4py.MPI import COMM_WORLD as c;"
    "print(c.gather((c.rank, os.environ['SLURMD_NODENAME'])), flush=True)"
)


def world(launcher: Launcher) -> None:
    """Ranks of one MPI job on both nodes, in the order of the places."""
    places = (Place("q2", 2), Place("q1", 1))
    instance = launcher.start(InstanceSpec("world", (sys.executable, "-c", WORLD), places))
    assert instance.wait(PATIENCE)
    assert "[(0, 'q2'), (1, 'q2'), (2, 'q1')]" in instance.describe_end(), instance.describe_end()
    print(f"{launcher.name}: one world on q2, q2, q1", flush=True)


def lose_a_prted(launcher: Launcher) -> None:
    """Kills one, sees an instance on the other node end with the DVM, and waits for the next generation."""
    instance = launcher.start(InstanceSpec("lasting", ("sleep", "600"), (Place("q1"),)))
    mine = f"SLURM_JOB_ID={os.environ['SLURM_JOB_ID']}".encode()
    prteds = [pid for pid, argv in processes().items() if Path(argv[0]).name == "prted"]
    os.kill(next(pid for pid in prteds if mine in Path(f"/proc/{pid}/environ").read_bytes()), signal.SIGKILL)
    assert instance.wait(PATIENCE)
    print("prte:", instance.describe_end().splitlines()[0], flush=True)
    eventually(lambda: launcher.generation == 2, "the next generation")


def main() -> None:
    print("reach", reach_of(HOSTS), flush=True)
    for name in ("slurm", "prte"):
        launcher = launcher_named(name, HOSTS)
        try:
            world(launcher)
            if name == "prte":
                lose_a_prted(launcher)
                world(launcher)
        finally:
            launcher.close()
    print("all done", flush=True)


main()
