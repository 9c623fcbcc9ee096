"""What Slurm gave the job: its components, their nodes, and which of them is the quantum one.

`read` is pure but for the `Scontrol` it is given: the environment of the job says most, and since no variable tells the
GRES of a component, `scontrol show job -d` says that.
"""

from __future__ import annotations

import datetime
import fnmatch
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from qfw.program.errors import InvalidArgument, Unavailable
from qfw.qpm.job import Job
from qfw.qpm.job import of as job_of

GRES = "qc,qpu"  # types of quantum devices ($QFW_QUANTUM_GRES)
PARTITIONS = "quantum*,qpu*"  # patterns of quantum partitions ($QFW_QUANTUM_PARTITION)
TIMEOUT = 15.0  # for one command of Slurm


@dataclass(frozen=True)
class Component:
    """One component of a job; a plain job has one."""

    group: int
    job_id: str
    partition: str
    nodes: tuple[str, ...]
    cpus: tuple[int, ...]  # allocated on each node
    gres: str = ""  # as scontrol says it: "qc:QC:1"

    def text(self) -> str:
        """For people: where it is and what it has."""
        cpus = f"{self.cpus[0]} CPUs each" if len(set(self.cpus)) == 1 else f"{sum(self.cpus)} CPUs"
        gres = f", GRES {self.gres}" if self.gres else ""
        return f"{hostlist(self.nodes)}, partition {self.partition}, {cpus}{gres}"

    def hosts(self) -> str:
        """As an argument of `--hosts`: n1:4,n2:4."""
        return ",".join(f"{node}:{cpus}" for node, cpus in zip(self.nodes, self.cpus, strict=True))


@dataclass(frozen=True)
class Allocation:
    """A job's components, and the parts they play."""

    job: Job
    heterogeneous: bool
    components: tuple[Component, ...]
    quantum: Component  # where the daemon and the simulators run
    application: Component
    why: str  # how the quantum component was found
    ends: float | None = None  # seconds since the epoch, as planned at the start

    def end_time(self) -> dict[str, str]:
        """When the job ends, as newer releases of Slurm say it in the environment of the job."""
        return {} if self.ends is None else {"SLURM_JOB_END_TIME": str(int(self.ends))}

    def srun(self, component: Component) -> list[str]:
        """The options with which a step of this job runs in a component, beside the steps that are there."""
        group = [f"--het-group={component.group}"] if self.heterogeneous else []
        return [*group, "--overlap"]


class Scontrol(Protocol):
    """What is asked of Slurm's scontrol."""

    def hostnames(self, hostlist: str) -> tuple[str, ...]:
        """The nodes of "c[1-2],q1"."""

    def job(self, job_id: str) -> str:
        """What `scontrol show job -d` says, all components of a heterogeneous job."""


class Commands:
    """Slurm's commands. Raises Unavailable for one that is missing, fails, or does not answer."""

    def hostnames(self, hostlist: str) -> tuple[str, ...]:
        return tuple(self.run("scontrol", "show", "hostnames", hostlist).split())

    def job(self, job_id: str) -> str:
        return self.run("scontrol", "show", "job", "-d", job_id)

    def node_address(self, node: str) -> str:
        """By which the nodes of the cluster reach a node."""
        found = re.search(r"\bNodeAddr=(\S+)", self.run("scontrol", "show", "node", node))
        return found[1] if found else node

    def kill_wait(self) -> float:
        """Seconds between SIGTERM and SIGKILL when Slurm ends a job."""
        found = re.search(r"^KillWait\s*=\s*(\d+)", self.run("scontrol", "show", "config"), re.MULTILINE)
        return float(found[1]) if found else 30.0

    def run(self, *command: str) -> str:
        """What a command prints."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        except FileNotFoundError as error:
            raise Unavailable(f"{command[0]} is not on the PATH, and SLURM_JOB_ID is set") from error
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"{' '.join(command)}: no answer in {TIMEOUT:g} s; is slurmctld up?") from error
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            raise Unavailable(f"{' '.join(command)}: exit status {done.returncode}: {said}")
        return done.stdout


def read(scontrol: Scontrol, environ: Mapping[str, str] = os.environ, group: int | None = None) -> Allocation | None:
    """The job's allocation; None outside of Slurm.

    The quantum component is `group` or $QFW_QUANTUM_GROUP, else the first with a GRES of a type in $QFW_QUANTUM_GRES,
    else the first in a partition that matches $QFW_QUANTUM_PARTITION, else the second; a plain job is all of it both.

    Raises InvalidArgument for a group that the job does not have, Unavailable where Slurm does not answer.
    """
    job = job_of(environ)
    if job is None:
        return None
    size = _number(environ, "SLURM_HET_SIZE") or 1
    heterogeneous = "SLURM_HET_SIZE" in environ
    said = scontrol.job(job.job_id)
    gres = gres_by_job(said)
    suffixes = [f"_HET_GROUP_{n}" for n in range(size)] if heterogeneous else [""]
    components = tuple(_component(n, s, scontrol, environ, gres) for n, s in enumerate(suffixes))
    quantum, why = _quantum(components, environ, group)
    application = next((c for c in components if c is not quantum), quantum)
    return Allocation(job, heterogeneous, components, quantum, application, why, end_time(said))


def in_job(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a job of Slurm that steps can be started in."""
    return bool(environ.get("SLURM_JOB_ID")) and shutil.which("srun", path=environ.get("PATH")) is not None


def _component(
    group: int, suffix: str, scontrol: Scontrol, environ: Mapping[str, str], gres: Mapping[str, str]
) -> Component:
    def said(name: str) -> str:
        value = environ.get(name + suffix, "")
        if not value:
            raise Unavailable(f"Slurm's environment is not whole: SLURM_JOB_ID is set, and {name + suffix} is not")
        return value

    job_id = said("SLURM_JOB_ID")
    nodes = scontrol.hostnames(said("SLURM_JOB_NODELIST"))
    cpus = counts(environ.get("SLURM_JOB_CPUS_PER_NODE" + suffix, ""))
    if len(cpus) != len(nodes):  # in a step of a plain job the variable may be the step's
        cpus = (cpus[0] if cpus else 1,) * len(nodes)
    return Component(group, job_id, environ.get("SLURM_JOB_PARTITION" + suffix, ""), nodes, cpus, gres.get(job_id, ""))


def _quantum(components: Sequence[Component], environ: Mapping[str, str], group: int | None) -> tuple[Component, str]:
    asked = "--het-group" if group is not None else "QFW_QUANTUM_GROUP"
    chosen = group if group is not None else _number(environ, "QFW_QUANTUM_GROUP")
    if chosen is not None:
        if not 0 <= chosen < len(components):
            have = "; ".join(f"{c.group}: {c.text()}" for c in components)
            raise InvalidArgument(f"{asked} {chosen}: the job has the components {have}")
        return components[chosen], f"named by {asked}"
    if len(components) == 1:
        return components[0], "the only component"
    types = environ.get("QFW_QUANTUM_GRES") or GRES
    for component in components:
        if any(type_ in types.split(",") for type_ in gres_types(component.gres)):
            return component, f"has the GRES {component.gres}"
    patterns = environ.get("QFW_QUANTUM_PARTITION") or PARTITIONS
    for component in components:
        if any(fnmatch.fnmatchcase(component.partition, p) for p in patterns.split(",")):
            return component, f"is in the partition {component.partition}"
    return components[1], f"the second, by convention: no GRES of {types}, no partition like {patterns}"


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "")
    if text and not text.isdigit():
        raise InvalidArgument(f"{name}={text!r} is not a number of a component")
    return int(text) if text else None


def counts(text: str) -> tuple[int, ...]:
    """Numbers per node as Slurm writes them: "2(x2),4" is 2, 2, 4."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if not match:
            raise Unavailable(f"{text!r} is not a list of numbers per node, as in '2(x2),4'")
        found += [int(match[1])] * int(match[2] or 1)
    return tuple(found)


def gres_by_job(text: str) -> dict[str, str]:
    """The GRES of each component by its job id, of what `scontrol show job -d` printed."""
    found: dict[str, str] = {}
    for record in re.split(r"^(?=JobId=)", text, flags=re.MULTILINE):
        job = re.match(r"JobId=(\d+)", record)
        gres = re.search(r"\bJOB_GRES=(\S+)", record) or re.search(r"\bTresPerNode=(\S+)", record)
        if job and gres and gres[1] != "(null)":
            found[job[1]] = re.sub(r"\bgres[:/]", "", gres[1])
    return found


def end_time(text: str) -> float | None:
    """When the job ends, of what `scontrol show job` printed in this host's time zone; None when it says nothing."""
    found = re.search(r"\bEndTime=(\d[\d:T-]+)", text)
    return datetime.datetime.fromisoformat(found[1]).timestamp() if found else None


def gres_types(text: str) -> list[str]:
    """The types in "qc:QC:1,gpu:2"."""
    return [part.split(":")[0].split("=")[0] for part in text.split(",") if part]


def hostlist(nodes: Sequence[str]) -> str:
    """For people: all names of a few nodes, else the first, the last and how many."""
    return ", ".join(nodes) if len(nodes) <= 4 else f"{nodes[0]} ... {nodes[-1]} ({len(nodes)} nodes)"
