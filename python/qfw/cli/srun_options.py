"""The options of Slurm's srun, as far as telling them from the program that follows them needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Short options with a value: `-n 4` or `-n4`. All others have none, or one that is glued to them.
SHORT = frozenset("ABbcCdDeFGiJLmMnNopqrStTwWx")
# Long options with a value: `--ntasks 4` or `--ntasks=4` (srun 20.11 to 24.11). All others, and those of SPANK plugins,
# have none, or one that follows a "=".
_LONG = """
    account accel-bind acctg-freq bb bbf begin chdir cluster-constraint clusters comment constraint container
    container-id core-spec cores-per-socket cpu-bind cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency
    distribution epilog error export extra extra-node-info gid gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket
    gpus-per-task gres gres-flags het-group hint input job-name jobid licenses mail-type mail-user mcs-label mem
    mem-bind mem-per-cpu mem-per-gpu mincpus mpi msg-timeout multi network nodefile nodelist nodes ntasks
    ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket ntasks-per-tres open-mode output partition power
    prefer priority profile prolog qos relative reservation signal slurmd-debug sockets-per-node switches task-epilog
    task-prolog tasks-per-node thread-spec threads threads-per-core time time-min tmp treewidth tres-bind tres-per-task
    uid wait wckey exclude
"""
LONG = frozenset(_LONG.split())


def split(argv: Sequence[str], own: Mapping[str, bool]) -> tuple[dict[str, str], list[str], list[str]]:
    """Our options, srun's, and the program with its arguments.

    `own`: our long options, and whether a value follows; those of the name of a srun option are ours. Raises ValueError
    for an option whose value is missing.
    """
    ours: dict[str, str] = {}
    theirs: list[str] = []
    rest = list(argv)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        option = rest.pop(0)
        name, glued, value = option.removeprefix("--").partition("=")
        mine = option.startswith("--") and name in own
        if _takes_next(option, own[name] if mine else name in LONG, bool(glued)):
            if not rest:
                raise ValueError(f"{option} needs a value")
            value = rest.pop(0)
            theirs += [] if mine else [option, value]
        elif not mine:
            theirs.append(option)
        if mine:
            ours[name] = value
    return ours, theirs, rest[1:] if rest[:1] == ["--"] else rest


def _takes_next(option: str, valued: bool, glued: bool) -> bool:
    """Whether the value of an option is the next word."""
    if option.startswith("--"):
        return valued and not glued
    for index, letter in enumerate(option[1:], 1):  # -lun 4: the first letter with a value takes what follows it
        if letter in SHORT:
            return index == len(option) - 1
    return False


def value_of(options: Sequence[str], name: str, short: str = "") -> str | None:
    """The value of one of srun's options as given, the last one that was; None when it was not."""
    found = None
    for index, option in enumerate(options):
        if option == f"--{name}" or (short and option == f"-{short}"):
            found = options[index + 1] if index + 1 < len(options) else ""
        elif option.startswith(f"--{name}="):
            found = option.partition("=")[2]
        elif short and option.startswith(f"-{short}") and not option.startswith("--"):
            found = option[2:]
    return found
