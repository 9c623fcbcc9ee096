"""qfw_setup.sh, qfw_srun.sh, qfw_teardown.sh and their aliases: QFw's command lines over `qfw.qpm.run`.

    python -m qfw.cli.launch setup|srun|teardown|status [OPTION...]

Options of both generations of QFw's scripts are accepted; those that mean nothing here say so and are ignored.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qfw.cli import srun_options

if TYPE_CHECKING:
    from qfw.qpm.run import Run

IGNORED = {
    "--services-config": "the services are found by themselves: plugins are Python packages",
    "--site-config": "a run needs no site configuration",
    "--runtime-config": "a run needs no runtime configuration",
    "--service-id": "one run serves all of its devices",
}
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as a shell has them


def _parser(name: str, text: str, usage: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"qfw_{name}.sh", description=text, usage=usage, allow_abbrev=False)
    parser.add_argument("--run-id", help="name of the run")
    parser.add_argument("--run-dir", help="directory of the run, in place of the one that its name gives")
    return parser


def _warn(text: str) -> None:
    print(f"qfw: warning: {text}", file=sys.stderr)


def _fail(text: str, status: int = 1) -> int:
    print(f"qfw: {text}", file=sys.stderr)
    return status


def _chosen(args: argparse.Namespace) -> list[str]:
    """The run that the options name, as options of `qfw.qpm.run`."""
    chosen = ["--run-id", args.run_id] if args.run_id else []
    return chosen + (["--run-dir", args.run_dir] if args.run_dir else [])


def _run(*argv: str) -> int:
    from qfw.qpm import run

    return run.main(list(argv))


def setup(argv: Sequence[str] | None = None) -> int:
    """Start a run; returns 0 when its services are ready."""
    from qfw.qpm.launch_options import add_options, options_of

    parser = _parser(
        "setup",
        "Start a run of qfw: in a Slurm job on its quantum component, else on this machine. "
        "Returns when its services are ready; the exit status tells.",
    )
    parser.add_argument(
        "--profile", choices=("local", "hybrid"), help="'local': on this machine, though it is in a Slurm job"
    )
    parser.add_argument(
        "--het-group",
        type=int,
        metavar="N",
        help="number of the quantum component; default: found",
    )
    parser.add_argument("--threads", type=int, help="threads of the runtime; default: the CPUs this process may use")
    parser.add_argument(
        "--tcp", metavar="HOST[:PORT]", nargs="?", const="", help="listen on the network, with mutual TLS"
    )
    parser.add_argument("--tls-hours", type=float, help="how long its certificates are good for")
    parser.add_argument("--restart", action="store_true", help="start the daemon again when it dies")
    parser.add_argument("--drain", type=float, help="seconds that unfinished tasks get when the run is ended (5)")
    parser.add_argument("--timeout", type=float, help="seconds to wait; default $QFW_STARTUP_TIMEOUT or 40")
    add_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--no-start-services", action="store_true", help="look at the options, start nothing")
    for option, why in IGNORED.items():
        parser.add_argument(option, metavar="X", help=f"accepted for QFw's sake, no effect: {why}")
    args = parser.parse_args(argv)
    for option, why in IGNORED.items():
        if getattr(args, option[2:].replace("-", "_")) is not None:
            _warn(f"{option} has no effect: {why}")
    command = ["setup", *_chosen(args)]
    if args.restart:
        command.append("--restart")
    for option in ("profile", "het-group", "threads", "drain", "timeout", "tcp", "tls-hours"):
        if (value := getattr(args, option.replace("-", "_"))) is not None:
            command += [f"--{option}", str(value)] if value != "" else [f"--{option}"]
    try:
        command += options_of(args).arguments()
    except _run_error() as error:
        return _fail(str(error), 2)
    if args.dry_run or args.no_start_services:
        print("would run: " + shlex.join([sys.executable, "-m", "qfw.qpm.run", *command]))
        return 0
    return _run(*command)


def teardown(argv: Sequence[str] | None = None) -> int:
    """End a run; 0 also when there is none."""
    parser = _parser("teardown", "End the current run: the processes that it recorded, its sockets and its directory.")
    parser.add_argument("--all", action="store_true", help="end every run of this user")
    parser.add_argument("--keep-run-dir", action="store_true", help="accepted for QFw's sake, no effect: logs are kept")
    args = parser.parse_args(argv)
    if args.keep_run_dir:
        _warn("--keep-run-dir has no effect: the logs are kept, and nothing else of a run is of use after its end")
    return _run("teardown", *_chosen(args), *(["--all"] if args.all else []))


def status(argv: Sequence[str] | None = None) -> int:
    """List the user's runs."""
    parser = argparse.ArgumentParser(prog="qfw-status", description="List this user's runs.")
    parser.add_argument("--json", action="store_true")
    return _run("list", *(["--json"] if parser.parse_args(argv).json else []))


SRUN_USAGE = """usage: qfw_srun.sh [--run-id ID] [--run-dir DIR] [SRUN OPTION...] [python3] app.py [ARGUMENT...]

Run a program against the current run. Its exit status and signals are its own. In a Slurm job it becomes an srun step
with --overlap, in a heterogeneous one in the application's component, and with --mpi=pmix where Slurm has that; srun's
own options say otherwise. --load-modules is accepted for QFw's sake, and has no effect."""
OWN_OPTIONS = {"run-id": True, "run-dir": True, "load-modules": True, "help": False}


def srun(argv: Sequence[str] | None = None) -> int:
    """Become the application, with the current run in its environment. Returns only when it cannot be started."""
    given = sys.argv[1:] if argv is None else argv
    try:
        own, options, program = srun_options.split(["--help" if a == "-h" else a for a in given[:1]] + list(given[1:]),
                                                   OWN_OPTIONS)  # fmt: skip
    except ValueError as error:
        return _fail(f"{error}\n{SRUN_USAGE}", 2)
    if "help" in own:
        print(SRUN_USAGE)
        return 0
    if not program:
        return _fail(f"no program given\n{SRUN_USAGE}", 2)
    try:
        from qfw.qpm import run, step

        chosen = run.require(own.get("run-id"), own.get("run-dir"))
        changes = _environment(chosen)
        command = [*_slurm(options, step.application_group(chosen)), *with_python(program)]
    except _run_error() as error:
        return _fail(str(error))
    return _become(command, {**os.environ, **changes})


def with_python(program: list[str]) -> list[str]:
    """QFw's script puts `python3` in front of everything, the paper's listing writes it out: only a script gets it."""
    return [sys.executable, *program] if program[0].endswith(".py") else program


def _run_error() -> type[Exception]:
    from qfw.program.errors import QfwError

    return QfwError


def _environment(chosen: Run) -> dict[str, str]:
    """What the application needs to find its run, under qfw's names and under QFw's."""
    from qfw.qpm import run_cli, step

    profile = "hybrid" if step.of(chosen) else "local"
    here = os.path.dirname(os.path.abspath(sys.executable))
    prefix = os.path.dirname(here)
    return {
        **run_cli.environment(chosen),
        "QFW_TMP_PATH": str(chosen.path.parent),
        "QFW_PATH": prefix,
        "QFW_SETUP_PATH": here,
        "QFW_BIN_PATH": here,
        "QFW_RUNTIME_MODE": profile,
        "QFW_RUNTIME_PROFILE": profile,
        # `python3 app.py` means the Python that has qfw, whether or not its environment is active.
        "PATH": here + os.pathsep + os.environ.get("PATH", os.defpath),
    }


def _slurm(options: list[str], group: int) -> list[str]:
    """The srun in front of the program, where there is a job: its steps must overlap, or they wait for one another."""
    from qfw.program.errors import InvalidArgument
    from qfw.qpm import allocation

    if not allocation.in_job():
        if any(srun_options.value_of(options, *name) not in (None, "1") for name in (("ntasks", "n"), ("nodes", "N"))):
            raise InvalidArgument(
                f"{shlex.join(options)}: there is no Slurm job here; on one machine start ranks with mpirun, "
                'after eval "$(python3 -m qfw.qpm.run env)"'
            )
        return []
    command = ["srun", "--overlap"]
    if os.environ.get("SLURM_HET_SIZE") and srun_options.value_of(options, "het-group") is None:
        command.append(f"--het-group={group}")
    if srun_options.value_of(options, "mpi") is None and "SLURM_MPI_TYPE" not in os.environ and _has_pmix():
        command.append("--mpi=pmix")
    return [*command, *options]


def _has_pmix() -> bool:
    done = subprocess.run(["srun", "--mpi=list"], capture_output=True, text=True, timeout=60, check=False)
    return "pmix" in (done.stdout + done.stderr).split()


def _become(command: list[str], environ: dict[str, str]) -> int:
    """Replace this process: signals and the exit status need no passing on."""
    program = shutil.which(command[0], path=environ["PATH"])
    if program is None:
        exists = os.path.exists(command[0])
        what = "not executable" if exists else "no such program"
        return _fail(f"{command[0]}: {what}", NOT_EXECUTABLE if exists else NOT_FOUND)
    sys.stdout.flush()
    try:
        os.execve(program, command, environ)
    except OSError as error:
        return _fail(f"{program}: {error.strerror}", NOT_EXECUTABLE)


COMMANDS: dict[str, Callable[[Sequence[str] | None], int]] = {
    "setup": setup,
    "srun": srun,
    "teardown": teardown,
    "status": status,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(_fail(f"usage: python -m qfw.cli.launch {'|'.join(COMMANDS)} [OPTION...]", 2))
    sys.exit(COMMANDS[sys.argv[1]](sys.argv[2:]))
