"""How a DVM gets to its nodes: prte's arguments for it, and a command that runs something on one node without prte."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from qfw.program.errors import InvalidArgument
from qfw.simenv.launch import unheard
from qfw.simenv.launch.launcher import Node

CHECK_SECONDS = 10.0  # for a node to answer


class Reach(Protocol):
    """One way to start prted on nodes."""

    def arguments(self, nodes: Sequence[Node]) -> list[str]:
        """For prte, beside the host list, to start a DVM over these nodes."""

    def ordered(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """The nodes in the order that prte is to be given them in."""

    def command(self, node: str, argv: Sequence[str]) -> list[str]:
        """Runs `argv` on the node, to see whether it answers; empty where there is nothing to ask."""

    def name(self, node: str) -> str:
        """What the node calls itself when a rank there is asked; empty: not known before."""


@dataclass(frozen=True)
class Here:
    """This machine alone."""

    def arguments(self, nodes: Sequence[Node]) -> list[str]:
        return ["--prtemca", "plm", "ssh"]  # never used; inside a Slurm job prte would take Slurm's

    def ordered(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        return tuple(nodes)

    def command(self, node: str, argv: Sequence[str]) -> list[str]:
        return []

    def name(self, node: str) -> str:
        return ""


@dataclass(frozen=True)
class Agent:
    """Hosts by a launch agent: `agent HOST COMMAND` as ssh has it, a script for hosts that have no ssh."""

    agent: str

    def arguments(self, nodes: Sequence[Node]) -> list[str]:
        return ["--prtemca", "plm", "ssh", "--prtemca", "plm_ssh_agent", self.agent]

    def ordered(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        return tuple(nodes)

    def command(self, node: str, argv: Sequence[str]) -> list[str]:
        return [*self.agent.split(), node, *argv]

    def name(self, node: str) -> str:
        return "" if node[0].isdigit() or ":" in node else node  # an address is not what a host calls itself


@dataclass(frozen=True)
class Steps:
    """Nodes of the Slurm allocation that we are in, by job steps; of one component of a heterogeneous one."""

    het_group: int | None = None

    def arguments(self, nodes: Sequence[Node]) -> list[str]:
        # At the end of a job Slurm sends SIGTERM to the tasks of all steps at once; a prted that took it would take the
        # instances with it before their tasks have drained. It ends with prte.
        deaf = unheard.before()
        if any(" " in word for word in deaf):  # prte separates words at spaces
            deaf = ["env", "--block-signal=TERM"]
        plm = ["--prtemca", "plm", "slurm", "--prtemca", "prte_launch_agent", " ".join([*deaf, "prted"])]
        names = ",".join(node.name for node in nodes)  # prte does not say it: srun would take any of the component
        args = [*self.options(), f"--nodes={len(nodes)}", f"--nodelist={names}"]
        return [*plm, "--prtemca", "plm_slurm_args", " ".join(args)]

    def options(self) -> list[str]:
        """Of every srun: without --overlap a step waits for the ones before it, silently."""
        return [*([] if self.het_group is None else [f"--het-group={self.het_group}"]), "--overlap"]

    def ordered(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """As Slurm numbers them: prte takes its first host for the step's node 0, and then mixes them up."""
        sorted_list = _scontrol("hostlistsorted", ",".join(node.name for node in nodes))
        names = _scontrol("hostnames", sorted_list.strip()).split()
        return tuple(sorted(nodes, key=lambda node: names.index(node.name)))

    def command(self, node: str, argv: Sequence[str]) -> list[str]:
        return ["srun", *self.options(), "-N1", "-n1", "--mpi=none", f"--nodelist={node}", *argv]

    def name(self, node: str) -> str:
        return node


def answering(reach: Reach, nodes: Sequence[Node], argv: Sequence[str] = ("true",)) -> list[Node]:
    """Those of the nodes on which a command succeeds within CHECK_SECONDS, asked side by side."""

    def answers(node: Node) -> bool:
        command = reach.command(node.name, argv)
        if not command:
            return True
        try:
            asked = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=CHECK_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return asked.returncode == 0

    with ThreadPoolExecutor(min(32, len(nodes) or 1)) as pool:
        return [node for node, answered in zip(nodes, pool.map(answers, nodes), strict=True) if answered]


def inside_slurm() -> bool:
    """Whether this process runs in a Slurm allocation."""
    return "SLURM_JOB_ID" in os.environ


def reach_of(hosts: Sequence[Node], agent: str = "") -> Reach:
    """How to get to `hosts`: by `agent` where one is named, by steps of the Slurm job that we are in, else only here.

    Raises InvalidArgument for several hosts with neither, or of several components of a heterogeneous job.
    """
    if agent:
        return Agent(agent)
    names = {node.name for node in hosts}
    if names <= {"localhost", socket.gethostname()} and not (inside_slurm() and names <= _job_nodes("")):
        return Here()
    if not inside_slurm():
        raise InvalidArgument(f"hosts {', '.join(sorted(names))}: no launch agent is named and this is no Slurm job")
    size = int(os.environ.get("SLURM_HET_SIZE", "0"))
    if not size:
        return Steps()
    for group in range(size):
        if names <= _job_nodes(f"_HET_GROUP_{group}"):
            return Steps(group)
    raise InvalidArgument(f"hosts {', '.join(sorted(names))} are not of one component of this heterogeneous Slurm job")


def _job_nodes(suffix: str) -> set[str]:
    """The nodes of our Slurm job, or of its component `suffix`."""
    listed = os.environ.get(f"SLURM_JOB_NODELIST{suffix}", "")
    if not listed:
        return set()
    return set(_scontrol("hostnames", listed).split())


def _scontrol(what: str, names: str) -> str:
    """`scontrol show`, for lists of nodes: works without a controller."""
    argv = ["scontrol", "show", what, names]
    try:
        said = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=CHECK_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise InvalidArgument(f"cannot tell the nodes of {names}: {error}") from error
    return said.stdout.decode()
