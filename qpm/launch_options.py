"""The options that say where instances run: of qfw_setup.sh, of `qfw.qpm.run setup` and of the daemon alike."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qfw.program.errors import InvalidArgument
from qfw.simenv.launch.launcher import Launcher, Node
from qfw.simenv.nodes import parse_hosts
from qfw.simenv.pool import Limits

if TYPE_CHECKING:
    from qfw.simenv.launch.reach import Reach

LAUNCHERS = ("auto", "prte", "slurm", "local", "none")
IDLE_SECONDS = 60.0
BUILTIN = "statevec"


@dataclass(frozen=True)
class LaunchOptions:
    """What was asked for; `launcher` "": no instances, as on a laptop."""

    launcher: str = ""
    slots: int = 0  # of this machine; 0: its CPUs
    hosts: str = ""  # "n1:4,n2:4"
    agent: str = ""  # command that reaches a host, as ssh does
    steps: str = ""  # hosts are nodes of this Slurm job: "job", or the number of a component
    memory: str = ""  # of each host, for its instances together: "48G"
    warm: str = ""  # "2" or "statevec=2,aer=1"
    idle: float = IDLE_SECONDS
    oversubscribe: bool = False

    def nodes(self) -> tuple[Node, ...]:
        """The hosts; raises InvalidArgument."""
        if self.slots < 0:
            raise InvalidArgument(f"--slots {self.slots}: at least 1, or 0 for as many as there are CPUs")
        if self.hosts:
            if self.slots:
                raise InvalidArgument(f"--slots {self.slots} and --hosts {self.hosts}: the hosts say their slots")
            nodes = parse_hosts(self.hosts)
        else:
            nodes = (Node("localhost", self.slots or len(os.sched_getaffinity(0))),)
        return tuple(replace(node, memory_bytes=bytes_of(self.memory)) for node in nodes)

    def far(self) -> bool:
        """Whether there are hosts besides this one, so that its instances need the network."""
        return bool(self.launcher) and any(node.name not in ("localhost", os.uname().nodename) for node in self.nodes())

    def limits(self, device: str) -> Limits:
        """Floor and ceiling of a device; raises InvalidArgument. A mere number is that of the built-in simulator."""
        for item in filter(None, self.warm.split(",")):
            name, _, number = item.rpartition("=")
            if not number.isdecimal():
                raise InvalidArgument(f"--warm {self.warm}: N or DEVICE=N, not {item!r}")
            if (name or BUILTIN) == device:
                return Limits(floor=int(number))
        return Limits()

    def start(self) -> Launcher:
        """The launcher, started. Raises NotFound or DeviceError where it cannot be."""
        from qfw.simenv.launch.choose import launcher_named

        return launcher_named(self.launcher, self.nodes(), reach=self._reach(), oversubscribe=self.oversubscribe)

    def _reach(self) -> Reach | None:
        from qfw.simenv.launch.reach import Agent, Steps

        if self.steps:
            return Steps(int(self.steps) if self.steps.isdecimal() else None)
        return Agent(self.agent) if self.agent else None

    def given(self) -> list[str]:
        """The options that need a launcher and were given."""
        names = ("slots", "hosts", "agent", "memory", "warm", "oversubscribe")
        return [f"--{name}" for name in names if getattr(self, name)]

    def arguments(self) -> list[str]:
        """For another process that has these options."""
        if not self.launcher:
            return []
        text = ["--launcher", self.launcher, "--idle", f"{self.idle:g}"]
        text += ["--slots", str(self.slots)] if self.slots else []
        for name in ("hosts", "agent", "steps", "memory", "warm"):
            text += [f"--{name}", value] if (value := getattr(self, name)) else []
        return [*text, "--oversubscribe"] if self.oversubscribe else text


def bytes_of(text: str) -> int:
    """Bytes of "48G"; 0 of "". K, M, G and T are powers of 1024. Raises InvalidArgument."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    size = int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " ")) if found else 0
    if text and not size:
        raise InvalidArgument(f"--memory {text}: a number of bytes, as 48G")
    return size


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options to a command."""
    group = parser.add_argument_group("instances: simulators as processes of their own, on slots of nodes")
    group.add_argument(
        "--launcher",
        default="",
        choices=LAUNCHERS,
        help="how they are started; default: in a Slurm job auto, else none",
    )
    group.add_argument("--slots", type=int, default=0, help="ranks that this machine takes; default: its CPUs")
    group.add_argument("--hosts", default="", metavar="H:N,...", help="hosts and their slots, in place of this one")
    group.add_argument("--agent", default="", help="command that runs another on a host, as ssh does")
    group.add_argument("--memory", default="", metavar="SIZE", help="of each host for instances, as 48G; default: all")
    group.add_argument("--steps", default="", help=argparse.SUPPRESS)
    group.add_argument("--warm", default="", metavar="N|DEVICE=N,...", help="instances that are kept up when idle")
    group.add_argument("--idle", type=float, default=IDLE_SECONDS, help="seconds after which others are ended (60)")
    group.add_argument("--oversubscribe", action="store_true", help="allow more ranks than there are slots")


def options_of(args: argparse.Namespace) -> LaunchOptions:
    """What the command line says; raises InvalidArgument for what makes no sense."""
    options = LaunchOptions(
        args.launcher.replace("none", ""),
        args.slots,
        args.hosts,
        args.agent,
        args.steps,
        args.memory,
        args.warm,
        args.idle,
        args.oversubscribe,
    )
    if not options.launcher and options.given():
        raise InvalidArgument(f"{' and '.join(options.given())}: only with --launcher")
    if not 0 <= options.idle < float("inf"):
        raise InvalidArgument(f"--idle {options.idle}: seconds, 0 for never")
    if options.launcher:
        options.nodes()
        options.limits(BUILTIN)
    return options
