"""The commands of `qfw` and their options; what they do is in the module of the same name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="qfw: quantum processors and simulators as accelerators of an application.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Endpoint = Annotated[
    str | None,
    typer.Option(help="'embedded', 'unix:/path' or a path of endpoint.json. Default: the current run, else embedded."),
]


@app.command()
def devices(json: Json = False, endpoint: Endpoint = None) -> None:
    """List the devices that programs can run on."""
    from qfw.cli.devices import show

    show(endpoint, as_json=json)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="A program in OpenQASM 2 (.qasm) or 3 (.qasm3); - reads it from stdin.")],
    device: Annotated[str, typer.Option(help="Name of the device.")] = "statevec",
    shots: Annotated[int, typer.Option(help="How often the program is run.")] = 1024,
    seed: Annotated[int | None, typer.Option(help="Same seed, same counts; default: a fresh one, reported.")] = None,
    json: Json = False,
    endpoint: Endpoint = None,
) -> None:
    """Run a program and print its counts."""
    from qfw.cli.run import show

    show(file, device=device, shots=shots, seed=seed, as_json=json, endpoint=endpoint)


@app.command()
def runs(json: Json = False) -> None:
    """List this user's runs, live or left behind."""
    from qfw.qpm import run as qpm_run

    raise typer.Exit(qpm_run.main(["list", *(["--json"] if json else [])]))


@app.command()
def jobs(json: Json = False, endpoint: Endpoint = None) -> None:
    """List the jobs that the runtime remembers."""
    from qfw.cli.jobs import show_all

    show_all(endpoint, as_json=json)


job = typer.Typer(help="Look at one job of the runtime.", no_args_is_help=True)
app.add_typer(job, name="job")
JobId = Annotated[str, typer.Argument(help="Its id: `job.job_id()` in Qiskit, or as `qfw jobs` lists it.")]


@job.command("show")
def job_show(id: JobId, json: Json = False, endpoint: Endpoint = None) -> None:
    """Print all that is known of a job, as JSON (always)."""
    from qfw.cli.jobs import show

    show(id, endpoint)


@job.command("cancel")
def job_cancel(
    id: JobId,
    forget: Annotated[bool, typer.Option("--forget", help="Drop its results too.")] = False,
    endpoint: Endpoint = None,
) -> None:
    """Cancel what is unfinished of a job."""
    from qfw.cli.jobs import cancel

    cancel(id, endpoint, forget=forget)


@job.command("result")
def job_result(
    id: JobId,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for the next result.")] = None,
    json: Json = False,
    endpoint: Endpoint = None,
) -> None:
    """Print what came of a job's tasks, as JSON (always); waits for what is unfinished."""
    from qfw.cli.jobs import result

    result(id, endpoint, timeout)


@app.command()
def doctor(json: Json = False) -> None:
    """Look at what qfw needs and finds here, and say what would help. Exit status 1 when something is broken."""
    from qfw.cli.doctor import show

    raise typer.Exit(show(as_json=json))


@app.command()
def prefix() -> None:
    """Print the directory with include/, lib/ and lib/pkgconfig, for C programs."""
    from qfw import _core

    print(Path(_core.__file__ or "").parent)


@app.command()
def version() -> None:
    """Print the version."""
    from qfw import __version__

    print(f"qfw {__version__}")
